"""What a valid resource is. The face is `varde.fhir.validate`.

walk.py: the fault and the walk. primitives.py: values. shapes.py: the structure of types, one check a type, made at
its first use. references.py: references. invariants.py: constraints. html.py: narratives. profiles/: profiles, slices
and extensions.
"""
