"""Varde's own authorization server for apps: SMART App Launch 2.2 and SMART Backend Services.

Logging in is `trust/login.py`'s, the pages are `web/apps`'; what an app's token opens is decided by `grant.py`
within what `access.py` gives the person or the system.
"""
