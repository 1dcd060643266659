"""Proofs of who may see what: twin worlds, every route for every actor, markers, abuse, birthdays. See docs/proofs.md."""
