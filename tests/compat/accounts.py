"""A plugin that runs inside the foreign suite's own environment: every worker of pytest-xdist gets accounts of its own.

Tests list all buckets of an account, so that workers which shared one would see each other's.
"""

import os

_worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
os.environ["S3TEST_CONF"] = os.path.join(os.environ["S3TEST_CONFS"], f"worker-{_worker}.conf")
