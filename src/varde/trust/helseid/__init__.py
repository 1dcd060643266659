"""HelseID's access tokens at our API (resource server; IDENTITY.md 1.3 and 1.4): from the token to the same Scope and
Grant that apps' tokens give. Logging staff in is `trust/identity`'s; proofs of possession are `trust/proofs.py`'s.
"""
