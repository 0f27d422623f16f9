"""What a client meets first: signed requests over one connection, their replies, their refusals."""

from isotherm.protocols.s3.wire import Reply
from tests.s3.wire.harness import DATE, Wire, answers, echo, missing, run, sign, talk


def test_a_signed_get_is_answered():
    [answer] = talk(sign("GET", "/bucket/some/key"))
    assert answer.status == 200
    assert answer.headers["x-bucket"] == "bucket"
    assert bytes.fromhex(answer.headers["x-key"]) == b"some/key"
    assert answer.headers["date"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert len(answer.headers["x-amz-request-id"]) == 16
    assert answer.headers["content-length"] == "0"
    assert "connection" not in answer.headers


def test_requests_on_one_connection_are_answered_in_order_whether_they_wait_or_not():
    requests = [sign("PUT", f"/bucket/{n}", body=b"x" * n) for n in range(40)]
    together = talk(b"".join(requests))
    apart = talk(*requests)
    for found in (together, apart):
        assert [answer.body for answer in found] == [b"x" * n for n in range(40)]
        assert [bytes.fromhex(answer.headers["x-key"]) for answer in found] == [b"%d" % n for n in range(40)]
    assert len({answer.headers["x-amz-request-id"] for answer in together}) == 40


def test_a_put_gives_its_body_to_the_verb():
    [answer] = talk(sign("PUT", "/b/k", body=b"hello" * 1000))
    assert (answer.status, answer.body, answer.headers["x-size"]) == (200, b"hello" * 1000, "5000")


def test_a_body_may_be_unsigned():
    [answer] = talk(sign("PUT", "/b/k", body=b"hello", payload="UNSIGNED-PAYLOAD"))
    assert answer.body == b"hello"


def test_a_body_that_is_not_what_was_signed_is_refused():
    request = sign("PUT", "/b/k", body=b"hello")[:-1] + b"0"
    [answer] = talk(request)
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")


def test_errors_of_verbs_are_rendered_and_the_connection_goes_on():
    first, second = talk(sign("GET", "/b/k"), sign("GET", "/b/l"), dispatch=missing)
    assert (first.status, first.code, second.status) == (404, "NoSuchKey", 404)


def test_an_error_of_ours_tells_nothing_but_is_logged():
    async def broken(request):
        raise ZeroDivisionError("secret")

    wire = Wire(broken)
    [answer] = answers(run(wire.converse(sign("GET", "/b/k"))))
    assert (answer.status, answer.code) == (500, "InternalError")
    assert "ZeroDivisionError" in wire.said[0]


def test_without_a_signature_access_is_denied():
    [answer] = talk(b"GET /b/k HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_a_wrong_signature_is_denied_and_the_connection_goes_on():
    wrong, right = talk(sign("GET", "/b/k", secret="x"), sign("GET", "/b/k"))
    assert (wrong.code, right.status) == ("SignatureDoesNotMatch", 200)


def test_an_unknown_access_key_is_denied():
    [answer] = talk(sign("GET", "/b/k", access="NOBODY"))
    assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")


def test_a_key_that_was_revoked_is_denied_at_the_next_request():
    wire = Wire()

    async def conversation():
        reader, writer = await wire.connect()
        writer.write(sign("GET", "/b/k"))
        first = await reader.readuntil(b"\r\n\r\n")
        wire.keys.active.clear()
        writer.write(sign("GET", "/b/k"))
        writer.write_eof()
        return first + await reader.read()

    first, second = answers(run(conversation()))
    assert (first.status, second.code) == (200, "InvalidAccessKeyId")


def test_head_gets_the_length_and_no_body():
    async def dispatch(request):
        return Reply(200, [], b"", length=1234)

    first, second = talk(sign("HEAD", "/b/k"), sign("HEAD", "/b/k"), methods=("HEAD", "HEAD"), dispatch=dispatch)
    assert first.headers["content-length"] == second.headers["content-length"] == "1234"


def test_the_bucket_may_stand_in_the_host():
    from isotherm.protocols.s3.limits import S3Settings

    settings = S3Settings(domains=("s3.test",))
    inside, outside = talk(
        sign("GET", "/some/key", {"host": "My.Bucket.S3.test:9000"}),
        sign("GET", "/bucket/key", {"host": "s3.test"}),
        settings=settings,
    )
    assert (inside.headers["x-bucket"], bytes.fromhex(inside.headers["x-key"])) == ("my.bucket", b"some/key")
    assert (outside.headers["x-bucket"], bytes.fromhex(outside.headers["x-key"])) == ("bucket", b"key")


def test_every_request_is_counted_and_logged():
    wire = Wire(echo)
    run(wire.converse(sign("PUT", "/b/k%22%0A", body=b"hello"), sign("GET", "/b/k", secret="x")))
    put, get = wire.logged()
    assert (put["bucket"], put["key"], put["status"], put["bytes_in"], put["bytes_out"]) == ("b", 'k"\n', 200, 5, 5)
    assert (put["tenant"], put["access_key"], put["time"]) == (7, "AKIDEXAMPLE", "2023-11-14T22:13:20.000Z")
    assert (get["status"], get["error"], get["access_key"]) == (403, "SignatureDoesNotMatch", "")
    rows = {row.operation: row for row in wire.counters.rows()}
    assert rows["GetObject"].requests == (1, 0, 0, 0, 0)
    assert rows["Other"].requests == (0, 0, 1, 0, 0)
    assert DATE[:4] == "2023"
