"""Letters (Brev): from ward to patient, on screen or on paper. Each file has one part; see DESIGN."""
