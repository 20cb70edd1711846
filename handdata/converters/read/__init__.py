"""Reading native files: what several converters share. No dataset names."""
