"""Patient records in step with the population register: what is written, and when. What the register is asked and how
is edges/registers; who may act for whom is trust/mandates. docs/decisions/0034.
"""
