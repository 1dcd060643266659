"""Profiles: tree.py makes one of a StructureDefinition (snapshot or differential); check.py judges values by it;
slicing.py says which slice an item is of; patterns.py compares with fixed values and patterns; nested.py finds what
in a resource names profiles and extensions.
"""
