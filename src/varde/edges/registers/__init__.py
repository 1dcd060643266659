"""Registers of people: population, contact and reservation. No rule of their use lives here."""
