"""Shards: the schema, one shard written and read, a folder of them as one dataset."""
