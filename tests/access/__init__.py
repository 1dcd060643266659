"""Proofs of who may see what: twin worlds, routes by actors, markers, abuse, birthdays. See docs/proofs.md."""
