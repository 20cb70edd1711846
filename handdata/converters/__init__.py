"""Native layouts to samples: one module a dataset, found by its name."""
