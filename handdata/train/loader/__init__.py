"""The loader: shards to batches on the device."""
