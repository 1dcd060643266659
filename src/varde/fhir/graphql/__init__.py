"""GraphQL over the store (hl7.org/fhir/R4/graphql.html): reads and searches, all through the caller's gate.

The library is loaded, and the schema made, when somebody first asks.
"""
