"""The law of who may see what, as data: things, the table, what it makes of a person's bonds. No input or output."""
