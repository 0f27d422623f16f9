"""Foreign suites against a server started for them. `make compat S3_TESTS=<checkout of ceph/s3-tests>`."""
