"""Who may see what, and why: identity, legal grounds, decisions, scopes, sessions and the access log."""
