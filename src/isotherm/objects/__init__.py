"""Objects in buckets: versions, conditions, multipart uploads, tags, listings. See `space.py` for the entrance."""
