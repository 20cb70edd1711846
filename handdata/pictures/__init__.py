"""Pictures: decoded, cut, resampled and drawn on; arrays in, arrays out, but for the reading of files."""
