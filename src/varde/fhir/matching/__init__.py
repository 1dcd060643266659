"""`Patient/$match`: which patients a description may be of, and how sure that is.

weights.py: what agreement and disagreement tell, as data. demographics.py: a Patient as it is compared. scoring.py: the
judgement, pure. candidates.py: who is compared at all. operation.py: the operation.
"""
