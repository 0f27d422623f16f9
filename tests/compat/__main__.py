"""`python -m tests.compat CHECKOUT [pytest options]`: Ceph's s3-tests against a server started for them."""

import argparse
import sys
from pathlib import Path

from tests.compat.run_s3_tests import run_s3_tests

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make compat", description=__doc__)
    parser.add_argument("checkout", type=Path, help="a checkout of github.com/ceph/s3-tests")
    parser.add_argument("--list", type=Path, metavar="FILE", help="write the outcome of every test to FILE")
    arguments, options = parser.parse_known_args()
    sys.exit(run_s3_tests(arguments.checkout, options, arguments.list))
