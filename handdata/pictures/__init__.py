"""Pictures: decode, cut, resample and draw; arrays in, arrays out, except for reading files."""
