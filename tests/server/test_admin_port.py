"""The second port: health, numbers and the change feed."""

import json
import socket
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

import isotherm
from isotherm.tenancy.identity import Credential
from tests.server.clients import basic, get, keys, metrics, ready, run, s3, server, serving

__all__ = ["server"]


def feed(server, query="", headers=None):
    status, body = get(f"{server.address.admin}/v1/feed{query}", {**basic(server.credential), **(headers or {})})
    return status, json.loads(body)


def now(server):
    return feed(server, "?cursor=now")[1]["cursor"]


class Events:
    """A stream of server-sent events, read as they come."""

    def __init__(self, server, query, credential=None, last=None):
        headers = {"Accept": "text/event-stream", **basic(credential or server.credential)}
        if last:
            headers["Last-Event-ID"] = last
        request = urllib.request.Request(f"{server.address.admin}/v1/feed{query}", headers=headers)
        self.answer = urllib.request.urlopen(request, timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.answer.close()

    def next(self):
        """(id, change) of the next event with data; None at the end of the stream."""
        fields = {}
        while line := self.answer.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                return fields["id"], json.loads(fields["data"])
        return None


def test_the_root_page_names_the_others(server):
    status, body = get(server.address.admin + "/")
    assert status == 200
    assert all(path in body for path in (b"/healthz", b"/readyz", b"/metrics", b"/v1/feed"))
    assert get(server.address.admin + "/elsewhere")[0] == 404


def test_a_server_that_works_is_ready(server):
    assert get(server.address.admin + "/healthz") == (200, b"ok\n")
    assert ready(server) == (200, {})


def test_numbers_are_those_of_all_gateways(server):
    sample = 'isotherm_s3_requests_total{operation="PutObject",status="2xx"}'
    bytes_in = 'isotherm_s3_received_bytes_total{operation="PutObject"}'
    before = metrics(server)
    for number in range(12):
        s3(server).put_object(Bucket="shared", Key=f"counted-{number}", Body=b"12345")
    after = metrics(server)
    assert after[sample] - before.get(sample, 0) == 12
    assert after[bytes_in] - before.get(bytes_in, 0) == 60
    assert after['isotherm_s3_latency_seconds_count{operation="PutObject"}'] == after[sample]
    assert all(after[f'isotherm_process_up{{process="{name}"}}'] == 1 for name in ("gateway-0", "gateway-1", "mover"))
    assert after['isotherm_process_resident_bytes{process="supervisor"}'] > 0


def test_openmetrics_is_spoken_to_who_asks_for_it(server):
    status, body = get(server.address.admin + "/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})
    assert status == 200
    assert body.endswith(b"# EOF\n")


def test_numbers_tell_nothing_of_tenants_keys_or_objects(server):
    s3(server).put_object(Bucket="shared", Key="a-private-name", Body=b"x")
    body = get(server.address.admin + "/metrics")[1] + get(server.address.admin + "/readyz")[1]
    assert b"a-private-name" not in body
    assert b"shared" not in body
    assert server.credential.access_key.encode() not in body


def test_the_feed_tells_what_changed_in_order_and_only_once(server):
    start = now(server)
    client = s3(server)
    for number in range(5):
        client.put_object(Bucket="shared", Key=f"fed/{number}", Body=b"x" * number)
    client.delete_object(Bucket="shared", Key="fed/0")
    status, page = feed(server, f"?cursor={start}&bucket=shared&prefix=fed/")
    assert status == 200
    told = [(change["kind"], change["key"], change["size"]) for change in page["changes"]]
    assert told == [("put", f"fed/{n}", n) for n in range(5)] + [("delete", "fed/0", 0)]
    assert feed(server, f"?cursor={page['cursor']}&prefix=fed/")[1]["changes"] == []
    third = page["changes"][2]["cursor"]
    assert [c["key"] for c in feed(server, f"?cursor={third}&prefix=fed/")[1]["changes"]] == ["fed/3", "fed/4", "fed/0"]
    assert feed(server, f"?cursor={start}&bucket=another")[1]["changes"] == []


def test_a_long_poll_answers_when_something_happens(server):
    start = now(server)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(feed(server, f"?cursor={start}&prefix=polled&wait=60")))
    asking.start()
    s3(server).put_object(Bucket="shared", Key="not for it", Body=b"x")
    s3(server).put_object(Bucket="shared", Key="polled", Body=b"x")
    asking.join(60)
    ((status, page),) = answers
    assert status == 200
    assert [change["key"] for change in page["changes"]] == ["polled"]


def test_a_long_poll_in_vain_moves_the_cursor_on(server):
    start = now(server)
    s3(server).put_object(Bucket="shared", Key="not for it", Body=b"x")
    status, page = feed(server, f"?cursor={start}&prefix=never&wait=0.05")
    assert (status, page["changes"]) == (200, [])
    assert page["cursor"] > start


def test_a_stream_goes_on_where_it_broke_off(server):
    with Events(server, "?cursor=now&prefix=streamed/") as events:
        s3(server).put_object(Bucket="shared", Key="streamed/1", Body=b"x")
        last, change = events.next()
        assert (change["kind"], change["key"], change["cursor"]) == ("put", "streamed/1", last)
    s3(server).put_object(Bucket="shared", Key="streamed/2", Body=b"x")
    with Events(server, "?prefix=streamed/", last=last) as events:
        assert events.next()[1]["key"] == "streamed/2"
        s3(server).put_object(Bucket="shared", Key="streamed/3", Body=b"x")
        assert events.next()[1]["key"] == "streamed/3"


def test_a_stream_ends_with_its_key(server):
    pair = keys(server, "create", "--json")
    credential = Credential(pair["access_key"], pair["secret_key"], 1)
    address = server.address.admin + "/v1/feed"
    server.until(lambda: get(address, basic(credential))[0] == 200, 10, "the new pair is not accepted")
    with Events(server, "?cursor=now", credential) as events:
        keys(server, "revoke", pair["access_key"])
        assert events.next() is None
    server.until(lambda: get(address, basic(credential))[0] == 401, 10, "the revoked pair is still accepted")


def test_a_follower_behind_what_is_retained_is_told_so(tmp_path):
    with serving(tmp_path / "data", options=("--feed-retained", "1000")) as server, isotherm.open(server.data) as store:
        store.create_bucket("many")
        start = feed(server)[1]["cursor"]
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda n: store.put("many", f"{n}", b""), range(1_500)))
        done = 'isotherm_mover_done_total{what="feed_records"}'
        server.until(lambda: metrics(server)[done] > 0, 60, "the feed was not trimmed")
        server.until(lambda: feed(server, f"?cursor={start}")[0] == 410, 30, "the old cursor is still good")
        page = feed(server, "?limit=10000")[1]
        assert 1_000 <= len(page["changes"]) < 1_500


def test_a_stream_ends_when_the_server_does(tmp_path):
    with serving(tmp_path / "data") as server, Events(server, "?cursor=now") as events:
        assert server.stop() == 0
        assert events.next() is None


def test_a_cursor_that_has_expired_is_gone_with_the_way_to_go_on(server):
    status, told = feed(server, "?cursor=" + "0" * 32)
    assert status == 410
    assert told["code"] == "CursorExpired"
    assert "List what you follow" in told["do"]
    assert feed(server, f"?cursor={told['cursor']}")[0] == 200
    assert feed(server, "?cursor=" + "0" * 32, {"Accept": "text/event-stream"})[0] == 410


@pytest.mark.parametrize("query", ["cursor=x", "cursor=00", "limit=0", "limit=x", "wait=61", "wait=nan", "colour=red"])
def test_a_wrong_parameter_is_named(server, query):
    status, told = feed(server, "?" + query)
    assert (status, told["code"]) == (400, "InvalidArgument")


@pytest.mark.parametrize("authorization", ["", "Basic", "Basic !", "Basic QQ==", "Bearer x", "Basic 4pyTOuKckw=="])
def test_strangers_see_no_feed(server, authorization):
    headers = {"Authorization": authorization} if authorization else {}
    status, body = get(server.address.admin + "/v1/feed", headers)
    assert (status, json.loads(body)["code"]) == (401, "AccessDenied")
    wrong = basic(Credential(server.credential.access_key, "wrong", 1))
    assert get(server.address.admin + "/v1/feed", wrong)[0] == 401


def test_looking_at_readiness_leaves_nothing_that_fsck_wonders_at(server):
    assert ready(server) == (200, {})
    done = run("fsck", "--data", server.data)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "note" not in done.stdout
    assert "Clean" in done.stdout


def test_clients_that_say_nothing_or_half_a_head_do_not_hold_the_port(server):
    host, port = server.address.admin.removeprefix("http://").split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(20)]
    for number, each in enumerate(silent):
        each.settimeout(60)
        if number % 2:
            each.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
    assert [each.recv(1) for each in silent] == [b""] * len(silent)
    assert get(f"{server.address.admin}/healthz")[0] == 200


@pytest.mark.parametrize("name", ["a%0Ab", "%0A", "%C2%90%0A", "%00", "%0D%0A"])
def test_a_name_with_any_character_in_it_is_answered_by_a_problem_document(server, name):
    request = urllib.request.Request(f"{server.address.admin}/v1/tenants/{name}", headers=basic(server.credential))
    with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(request, timeout=60):
        pass
    with refused.value as answer:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert json.loads(answer.read())["status"] == answer.status in (400, 404)
