"""Data in bulk: `$export` to NDJSON (Bulk Data IG 2.0) and `$import` from it, as far as the store knows of them.

Who runs the slices of work, and when, is a higher floor's: see `runner.py` for what is asked of it.
"""
