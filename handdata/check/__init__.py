"""Checks of native files and shards: what is missing or wrong."""
