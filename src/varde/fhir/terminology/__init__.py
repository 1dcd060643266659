"""Terminology in use: code systems, value sets and concept maps, of the specification and of the store.

concepts.py: what a code system says, taken apart. core.py, listed.py, grammars.py, tables.py: where its concepts are
found. resolving.py: which one a url means, through the gate. composing.py: what a value set is made of. The
operations stand in a file each; `operations.py` lists them.
"""
