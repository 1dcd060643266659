"""Logging in by OpenID Connect: patients by ID-porten, staff by HelseID. What a person may then see is decided
elsewhere in `trust`; the routes are `trust/login.py` and `logout.py`."""
