"""Batches and transactions, and the links between their entries."""
