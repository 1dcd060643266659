"""Reading the access log: who may read which rows (`reach`), as lines for people (`lines`), as AuditEvents (`events`),
and what in it looks like snooping (`snooping`, `findings`). Writing it is `trust/audit.py`'s.
"""
