"""Improvement (Tilbakemelding, driftsstatus): proof that the services work, and what operators see to."""
