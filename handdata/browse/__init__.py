"""A page over shards: filter, sort and look at hands, compare runs, tag what is wrong, save what was chosen."""
