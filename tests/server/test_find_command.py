"""`isotherm find`, beside a running server."""

import json

from tests.server.clients import run, s3, server

__all__ = ["server"]


def put(server, key, tags):
    s3(server).put_object(Bucket="shared", Key=key, Body=b"x", Tagging=tags)


def test_objects_are_found_by_all_of_their_tags(server):
    put(server, "one", "colour=red&size=9")
    put(server, "two", "colour=red&size=10")
    put(server, "three", "colour=blue&size=9")
    found = run("find", "colour=red", "--data", server.data)
    assert sorted(found.stdout.split()) == ["shared/one", "shared/two"]
    both = run("find", "colour=red", "size=9", "--bucket", "shared", "--json", "--data", server.data)
    assert json.loads(both.stdout) == {"bucket": "shared", "key": "one", "version_id": "null"}
    assert run("find", "colour=green", "--data", server.data).stdout == ""
    assert len(run("find", "colour=red", "--limit", "1", "--data", server.data).stdout.split()) == 1


def test_a_tag_that_is_none_is_told(server):
    for tag in ("colour", "=red"):
        done = run("find", tag, "--data", server.data)
        assert (done.returncode, "NAME=VALUE" in done.stderr) == (1, True)
    twice = run("find", "a=1", "a=2", "--data", server.data)
    assert (twice.returncode, "each name once" in twice.stderr) == (1, True)
