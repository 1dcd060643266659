"""The store's own parts: reading, searching and writing rows. The face of them all is `fhir/store.py`."""
