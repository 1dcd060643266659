"""The FHIR R4 store. Knows FHIR; knows no service and no law."""
