"""Trust: look at native files and shards, and say what is missing or wrong."""
