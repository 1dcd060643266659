"""Varde: digital patient services for a health region. Only the version lives here."""

__version__ = "0.1.0"
