"""Search: parameters parsed, planned and made into SQL; index values extracted. No HTTP lives here."""
