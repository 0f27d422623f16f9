"""The S3 protocol: its connection and its verbs."""
