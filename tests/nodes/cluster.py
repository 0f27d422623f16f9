"""A bucket of a second Isotherm, a PostgreSQL, and nodes over both, each with a directory that may be thrown away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack

import boto3
import pytest
from botocore.config import Config

from isotherm.testing.postgres import TemporaryPostgres
from isotherm.testing.server import RunningServer
from tests.nodes.proxy import FaultyProxy

_CONFIG = Config(retries={"max_attempts": 0}, read_timeout=100, max_pool_connections=32)


class Cluster:
    """Use it with `with`.

    Args:
        postgres: metadata in a database, so that there may be several nodes; else in the directory of the only one.
    """

    def __init__(self, directory, *, postgres=True):
        self.directory = directory
        self._postgres = postgres
        self._stack = ExitStack()
        self.nodes = {}
        self.credential = None

    def __enter__(self):
        with ExitStack() as stack:
            backing = stack.enter_context(RunningServer(self.directory / "backing"))
            self.backing = boto3.client("s3", config=_CONFIG, **backing.client())
            self.backing.create_bucket(Bucket="segments")
            self.proxy = stack.enter_context(FaultyProxy(backing.address.s3))
            patched = stack.enter_context(pytest.MonkeyPatch.context())
            patched.setenv("AWS_ACCESS_KEY_ID", backing.credential.access_key)
            patched.setenv("AWS_SECRET_ACCESS_KEY", backing.credential.secret)
            where = f"s3://segments/of/one?region=us-east-1&endpoint={self.proxy.url}&retry_s=2&request_s=20"
            self.options = ["--segments", where]
            if self._postgres:
                database = stack.enter_context(TemporaryPostgres()).database()
                key = self.directory / "root.key"
                key.write_bytes(os.urandom(32))
                key.chmod(0o600)
                self.options += ["--meta", database, "--root-key", str(key)]
                self.options += ["--keystore", (self.directory / "secrets").as_uri()]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc):
        for name in list(self.nodes):
            self.nodes.pop(name).stop()
        self._stack.close()

    @property
    def one(self):
        """Any node."""
        return next(iter(self.nodes.values()))

    @property
    def two(self):
        """Another."""
        return list(self.nodes.values())[-1]

    def start(self, name, gateways=1):
        """Another node."""
        node = self.nodes[name] = RunningServer(self.directory / name, options=self.options, gateways=gateways)
        node.start()
        if self.credential is None:
            self.credential = node.credential
        return node

    def destroy(self, name):
        """SIGKILL every process of a node at once, and throw its directory away."""
        self.nodes.pop(name).kill_all()
        shutil.rmtree(self.directory / name)

    def client(self, node, credential=None):
        """A client with connections of its own, of the root unless another is named."""
        credential = credential or self.credential
        return boto3.client(
            "s3",
            endpoint_url=node.address.s3,
            aws_access_key_id=credential.access_key,
            aws_secret_access_key=credential.secret,
            region_name="us-east-1",
            config=_CONFIG,
        )

    def fsck(self, name):
        """(exit status, what it printed), from the directory of a node."""
        command = [sys.executable, "-m", "isotherm.cli", "fsck", "--data", str(self.directory / name), *self.options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr
