"""The synthetic region: places, people and their care. Never loaded in production; no real person lives here."""
