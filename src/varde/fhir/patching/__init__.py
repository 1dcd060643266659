"""The three kinds of patches: JSON Patch, merge patch, FHIRPath Patch."""
