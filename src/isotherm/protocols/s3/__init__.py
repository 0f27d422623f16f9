"""S3 over HTTP: the connection and what it uses, the router, and the verbs behind it."""
