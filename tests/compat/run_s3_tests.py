"""Ceph's s3-tests, from a checkout of the user's, against a server that is started for them.

The suite runs in a virtual environment of its own (.venv/s3-tests), on two files: test_s3.py and test_headers.py. The others
(IAM, STS, SNS, S3 Select) are of services that are no part of S3's objects. What is expected to fail stands in
s3_tests_expected.toml, with the reason; an unexpected failure, an unexpected pass and an expected failure that no longer
exists are all errors.
"""

import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import boto3

from isotherm.clock import SystemClock
from isotherm.devices.waiting import drive
from isotherm.ids import SystemIds
from isotherm.meta.lmdb import LmdbMeta
from isotherm.tenancy.identity import Credentials
from isotherm.tenancy.keystore import FileKeys
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.terms import Terms
from isotherm.tenancy.vault import Vault
from isotherm.testing.server import RunningServer
from tests.compat.outcomes import Verdict, judge, read_expected, read_junit

HERE = Path(__file__).parent
TOP = HERE.parents[1]
ENVIRONMENT = TOP / ".venv" / "s3-tests"
EXPECTED = HERE / "s3_tests_expected.toml"
FILES = ("s3tests/functional/test_s3.py", "s3tests/functional/test_headers.py")
UNNEEDED = ("gevent", "tox")  # of the suite's requirements: neither is imported
SECONDS_A_TEST = 120
ACCOUNTS = ("main", "alt", "tenant", "iam", "iam root", "iam alt root")


def run_s3_tests(checkout: Path, options: Sequence[str] = (), listing: Path | None = None) -> int:
    """Run, print what was unexpected, and return the exit status: 0 where everything was as expected."""
    files = [checkout / name for name in FILES]
    if not all(file.exists() for file in files):
        print(f"{checkout} is no checkout of ceph/s3-tests: {FILES[0]} is missing")
        return 2
    python = _environment(checkout)
    workers = max(1, min(4, os.cpu_count() or 1))
    with tempfile.TemporaryDirectory(prefix="isotherm-compat-") as name:
        scratch = Path(name)
        with _server(scratch, workers):
            print(f"Running {', '.join(FILES)} with {workers} workers", flush=True)
            report = scratch / "report.xml"
            _run(python, checkout, scratch, report, workers, options)
        if not report.exists():
            print("The suite did not run.")
            return 2
        outcomes = read_junit(report)
    if listing is not None:
        listing.write_text("".join(f"{one.result} {test} {one.why}\n" for test, one in sorted(outcomes.items())))
    verdict = judge(outcomes, read_expected(EXPECTED), whole=not options)
    _print(verdict)
    return 0 if verdict.good else 1


def _environment(checkout: Path) -> Path:
    """The interpreter of the suite's own virtual environment, made where there is none."""
    python = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / "complete"
    if not stamp.exists():
        print(f"Making {ENVIRONMENT.relative_to(TOP)} for the suite", flush=True)
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        wanted = [line.strip() for line in (checkout / "requirements.txt").read_text().splitlines()]
        wanted = [line for line in wanted if line and not line.startswith(("#", *UNNEEDED))]
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *wanted, "pytest-xdist", "pytest-timeout"], check=True)
        stamp.touch()
    return python


@contextmanager
def _server(scratch: Path, workers: int) -> Iterator[None]:
    """A server with accounts for every worker, and the suite's configuration of each."""
    with RunningServer(scratch / "data", gateways=2, options=["--no-access-log"]) as server:
        pairs = _accounts(server.data, workers)
        for worker in range(workers):
            sections = {name: pairs[worker * len(ACCOUNTS) + at] for at, name in enumerate(ACCOUNTS)}
            text = _configuration(server.address.s3, worker, sections)
            (scratch / f"worker-{worker}.conf").write_text(text)
        yield


def _accounts(data: Path, workers: int) -> list[tuple[str, str]]:
    """Key pairs, each of a tenant of its own, made through the store: a command for each would take its time."""
    clock, ids = SystemClock(), SystemIds()
    meta = LmdbMeta.open(data / "meta", clock=clock, ids=ids, role="foreign")
    try:
        keys = FileKeys(data / "keys", ids)
        credentials = Credentials(meta, keys, clock, ids)
        tenants = Tenants(meta, clock, Vault(meta, keys, clock, ids))
        made = []
        for at in range(workers * len(ACCOUNTS)):
            seen, _ = drive(tenants.create(OWNER, f"s3-tests-{at}", {}, Terms()))
            made.append(drive(credentials.create("s3-tests", tenant=seen.node.id)))
    finally:
        meta.close()
    return [(one.access_key, one.secret) for one in made]


def _configuration(url: str, worker: int, sections: Mapping[str, tuple[str, str]]) -> str:
    host, _, port = url.removeprefix("http://").partition(":")
    lines = ["[DEFAULT]", f"host = {host}", f"port = {port}", "is_secure = False", "ssl_verify = False"]
    lines += ["[fixtures]", f"bucket prefix = s3t{worker}-{{random}}-"]
    for name, (access_key, secret) in sections.items():
        owner = _owner(url, access_key, secret)
        lines.append(f"[{name}]" if name.startswith("iam") else f"[s3 {name}]")
        lines += [f"access_key = {access_key}", f"secret_key = {secret}", f"user_id = {owner}"]
        lines += [f"display_name = {owner}", f"email = {name.replace(' ', '-')}@example.org"]
        if name == "tenant":
            lines.append("tenant = another")
    return "\n".join(lines) + "\n"


def _owner(url: str, access_key: str, secret: str) -> str:
    """What the server calls the owner of that pair."""
    client = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
    )
    return str(client.list_buckets()["Owner"]["ID"])


def _run(python: Path, checkout: Path, scratch: Path, report: Path, workers: int, options: Sequence[str]) -> None:
    command = [python, "-m", "pytest", "-q", "--tb=short", "--no-header", "--show-capture=no", "-r", "N"]
    command += ["-p", "accounts", "-n", str(workers), f"--timeout={SECONDS_A_TEST}", f"--junit-xml={report}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST"))}
    environment |= {"PYTHONPATH": str(HERE), "S3TEST_CONFS": str(scratch), "S3_USE_SIGV4": "1"}
    environment |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
    with subprocess.Popen(
        [*map(str, command), *FILES, *options], cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True
    ) as suite:
        assert suite.stdout is not None
        for line in suite.stdout:
            if line.rstrip().endswith("%]"):  # the dots; what failed is told below, without what was expected
                print(line, end="", flush=True)


def _print(verdict: Verdict) -> None:
    for reason, count in sorted(verdict.expected.items()):
        print(f"{count:4} failed as expected: {reason}")
    for test in verdict.missing:
        print(f"NO SUCH TEST        {test}")
    for test in verdict.passes:
        print(f"UNEXPECTED PASS     {test}")
    for test, why in verdict.failures.items():
        print(f"UNEXPECTED FAILURE  {test}: {why}")
    known = sum(verdict.expected.values())
    print(
        f"{verdict.passed} passed, {len(verdict.failures)} failed, "
        f"{known} failed as expected, {verdict.skipped} skipped"
    )
    sys.stdout.flush()
