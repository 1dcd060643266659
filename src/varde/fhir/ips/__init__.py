"""The International Patient Summary (hl7.fhir.uv.ips 2.0.0): a patient's record as one document."""
