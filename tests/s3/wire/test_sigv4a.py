"""Signature Version 4A: requests signed by Amazon's own library (awscrt), verified by us."""

import datetime

import awscrt.auth
import awscrt.http
import pytest

from isotherm.protocols.s3 import sigv4a
from isotherm.protocols.s3.wire import Reply
from tests.s3.wire.chunking import Ecdsa, framed
from tests.s3.wire.harness import ACCESS, DATE, EMPTY, SECRET, Wire, run, talk

NOW = datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.UTC)


def signed(
    target="/b/k", *, method="GET", kind="HTTP_REQUEST_HEADERS", secret=SECRET, region="*", payload=EMPTY, **given
):
    headers = awscrt.http.HttpHeaders([("host", "s3.test"), *given.pop("headers", {}).items()])
    request = awscrt.http.HttpRequest(method, target, headers)
    config = awscrt.auth.AwsSigningConfig(
        algorithm=awscrt.auth.AwsSigningAlgorithm.V4_ASYMMETRIC,
        signature_type=getattr(awscrt.auth.AwsSignatureType, kind),
        credentials_provider=awscrt.auth.AwsCredentialsProvider.new_static(ACCESS, secret),
        region=region,
        service="s3",
        date=NOW,
        use_double_uri_encode=False,
        should_normalize_uri_path=False,
        signed_body_value=payload,
        signed_body_header_type=awscrt.auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256
        if kind == "HTTP_REQUEST_HEADERS"
        else awscrt.auth.AwsSignedBodyHeaderType.NONE,
        **given,
    )
    done = awscrt.auth.aws_sign_request(request, config).result(30)
    lines = "".join(f"{name}: {value}\r\n" for name, value in done.headers)
    return f"{method} {done.path} HTTP/1.1\r\n{lines}\r\n".encode()


async def tell(request):
    body = b"".join([bytes(piece) async for piece in request.body.pieces])
    return Reply(200, [("x-region", request.region), ("x-key", request.key)], body)


@pytest.mark.parametrize("secret", [SECRET, "", "s", "x" * 200])
def test_keys_are_derived_as_amazons_library_does(secret):
    from isotherm.tenancy.identity import Credential

    wire = Wire(tell)
    wire.keys.active[ACCESS] = Credential(ACCESS, secret, 1)
    request = signed(secret=secret) if secret else signed(secret="y")
    assert run(wire.converse(request)).startswith(b"HTTP/1.1 200" if secret else b"HTTP/1.1 403")


@pytest.mark.parametrize("target", ["/b/k", "/b/a%20b//c", "/b?list-type=2&prefix=a%2Fb", "/b/%E4%B8%AD?acl"])
def test_headers_are_accepted(target):
    first, second = talk(signed(target), signed(target), dispatch=tell)
    assert (first.status, first.headers["x-region"], second.status) == (200, "*", 200)


def test_the_region_is_a_set():
    [answer] = talk(signed(region="eu-x-1,us-*"), dispatch=tell)
    assert answer.headers["x-region"] == "eu-x-1,us-*"


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"/b/k", b"/b/l"), (b"GET", b"POST"), (b"221320Z", b"221321Z"), (b"Region-Set: *", b"Region-Set: a")],
)
def test_what_was_signed_cannot_be_changed(old, new):
    request = signed("/b/k")
    assert old in request
    assert talk(request.replace(old, new), dispatch=tell)[0].code == "SignatureDoesNotMatch"


def test_another_secret_is_refused():
    assert talk(signed(secret="wrong"), dispatch=tell)[0].code == "SignatureDoesNotMatch"


def test_a_signature_that_is_none_is_refused():
    request = signed()
    head, _, signature = request.rpartition(b"Signature=")
    end = signature.index(b"\r\n")
    for wrong in (b"", b"zz", b"30", b"3006020101020101", b"00" * 71, signature[:end].upper() + b"00"):
        assert talk(head + b"Signature=" + wrong + signature[end:], dispatch=tell)[0].status in (400, 403)


def test_the_region_set_must_be_there():
    request = signed()
    lines = [line for line in request.split(b"\r\n") if not line.lower().startswith(b"x-amz-region-set")]
    [answer] = talk(b"\r\n".join(lines), dispatch=tell)
    assert answer.status in (400, 403)


def test_presigned_urls_are_accepted_in_their_time():
    request = signed(kind="HTTP_REQUEST_QUERY_PARAMS", payload="UNSIGNED-PAYLOAD", expiration_in_seconds=60)
    [answer] = talk(request, dispatch=tell)
    assert (answer.status, answer.headers["x-region"]) == (200, "*")
    wire = Wire(tell)
    wire.clock.step_wall(60_000)
    assert b"Request has expired" in run(wire.converse(request))


@pytest.mark.parametrize("trailers", [None, {"x-amz-checksum-crc32": "AAAAAA=="}])
def test_signed_chunks_are_accepted(trailers):
    chunks = [b"a" * 8_192, b"b" * 10]
    payload = f"STREAMING-{sigv4a.ALGORITHM}-PAYLOAD{'-TRAILER' if trailers else ''}"
    headers = {"x-amz-decoded-content-length": "8202"}
    if trailers:
        headers["x-amz-trailer"] = ",".join(trailers)
    request = signed(method="PUT", payload=payload, headers=headers)
    seed = request.rpartition(b"Signature=")[2].partition(b"\r\n")[0].decode()
    body = framed(chunks, Ecdsa(seed), trailers)
    head = request.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % len(body))
    assert talk(head + body, dispatch=tell)[0].body == b"".join(chunks)
    assert talk(head + body.replace(b"bb", b"bc", 1), dispatch=tell)[0].code == "SignatureDoesNotMatch"


def test_the_scope_of_a_claim_has_no_region():
    assert f"{DATE[:8]}/s3/aws4_request".encode() in signed()
