"""Other formats: one module per format."""
