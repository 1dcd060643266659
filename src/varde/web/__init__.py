"""The shell of the pages: layout, components, languages, forms, error pages. Knows no service and no law."""
