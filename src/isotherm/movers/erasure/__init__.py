"""The background half of erasing tenants: rows go, bytes are given to compaction, it is verified and certified."""
