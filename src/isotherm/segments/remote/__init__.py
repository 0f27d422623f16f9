"""The remote engine of the `segments` port: objects of a bucket, small values in the metadata. Use `engine.RemoteSegments`."""
