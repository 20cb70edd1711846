"""Conversion: the engine that turns a plan into shards. No dataset names."""
