"""A store's first bucket: one that is not there, or does not let it in, ends the start with the reason, and is not remembered."""

import subprocess
import sys

import pytest

from tests.nodes.cluster import Cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("unusable")) as cluster:
        yield cluster


def served(cluster, name, bucket="segments", environment=None):
    """What a node says that is started with such a bucket."""
    options = [option.replace("s3://segments/", f"s3://{bucket}/") for option in cluster.options]
    command = [sys.executable, "-m", "isotherm.cli", "serve", "--data", str(cluster.directory / name), "--port", "0"]
    command += ["--admin-port", "0", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


def test_a_bucket_that_is_not_there(cluster):
    ended = served(cluster, "missing", bucket="mistyped")
    assert ended.returncode != 0
    assert "the bucket of s3://mistyped/of/one does not exist" in ended.stderr


def test_a_bucket_that_refuses_the_credentials(cluster, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    ended = served(cluster, "refused")
    assert ended.returncode != 0
    assert "refuses these credentials" in ended.stderr


def test_afterwards_the_right_one_is_taken_as_if_nothing_had_been(cluster):
    node = cluster.start("right")
    cluster.client(node).create_bucket(Bucket="lake")
    cluster.client(node).put_object(Bucket="lake", Key="key", Body=b"x" * 50_000)
    assert cluster.backing.list_objects_v2(Bucket="segments", Prefix="of/one/")["KeyCount"] > 1
