"""Clients of a running server for the tests of this room: boto3, plain HTTP, and hands on a socket."""

import base64
import json
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from isotherm.testing.server import RunningServer

ISOTHERM = [sys.executable, "-m", "isotherm.cli"]


def s3(server, **options):
    """A boto3 client that tries once: a test is to see what the server does, not what a retry hides."""
    config = Config(retries={"total_max_attempts": 1}, **options.pop("config", {}))
    return boto3.client("s3", config=config, **{**server.client(), **options})


def patient_s3(server):
    """A boto3 client as people use it, with retries."""
    return boto3.client("s3", config=Config(retries={"total_max_attempts": 8, "mode": "standard"}), **server.client())


def basic(credential):
    pair = f"{credential.access_key}:{credential.secret}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def get(url, headers=None, context=None):
    """(status, body) of a GET, whatever the status."""
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def metrics(server):
    """Sample → value, as a scraper sees them."""
    status, body = get(server.address.admin + "/metrics")
    assert status == 200
    lines = (line for line in body.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def ready(server):
    """(status, what is wrong) as /readyz tells."""
    status, body = get(server.address.admin + "/readyz")
    told = json.loads(body)
    assert told["ready"] == (status == 200) == (not told["wrong"])
    return status, told["wrong"]


def run(*arguments, **options):
    """A command of `isotherm`, to its end."""
    return subprocess.run(
        [*ISOTHERM, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False, **options
    )


def keys(server, *arguments):
    """`isotherm keys …` on the server's directory; its JSON where it prints some."""
    done = run("keys", *arguments, "--data", server.data)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


def port_of(url):
    return urlsplit(url).port


@contextmanager
def serving(path, **options):
    """A server on `path`; when the test fails, what it logged is shown."""
    server = RunningServer(path, **options)
    try:
        with server:
            yield server
    except BaseException:
        print(server.log)
        raise


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for the tests of a module that leave it as they found it."""
    with serving(tmp_path_factory.mktemp("server") / "data", gateways=2) as running:
        s3(running).create_bucket(Bucket="shared")
        yield running
