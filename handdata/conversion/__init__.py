"""Conversion: turns the plan of a converter into shards. No dataset names."""
