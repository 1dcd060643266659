"""Data in bulk."""
