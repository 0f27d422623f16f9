"""The S3 path and the embedded store beside nginx, rclone and SQLite."""
