"""A run: what is to be done, doing it shard by shard, and the folder that keeps the result."""
