"""aws-chunked in its five variants: Amazon's own examples, then everything that can be wrong with a body."""

import hashlib

import pytest

from isotherm.errors import IsothermError
from isotherm.protocols.s3.chunked import AwsChunks, ChunkedCheck, EcdsaChain, HmacChain
from isotherm.protocols.s3.sigv4 import Signer
from isotherm.protocols.s3.sigv4a import private_key
from isotherm.protocols.s3.wire import Reply
from tests.s3.wire.chunking import SCOPE, SCOPE_V4A, Ecdsa, Hmac, framed, signing_key
from tests.s3.wire.harness import ACCESS, DATE, SECRET, sign, talk

SEED = "0" * 64
BODY = [b"a" * 65_536, b"b" * 8_192, b"c" * 100]
SIZE = sum(map(len, BODY))
CHECKSUM = {"x-amz-checksum-crc32c": "sOO8/Q=="}


def read(wire, *, chain=None, declared=SIZE, announced=(), trailing=False, pieces=(1 << 20,)):
    """(the body, the trailers) of bytes that arrive in pieces of the given sizes, over and over."""
    trailers = {}
    check = ChunkedCheck(AwsChunks(declared, chain, announced, trailing=trailing), trailers)
    out, at, turn = b"", 0, 0
    while at < len(wire):
        size = pieces[turn % len(pieces)]
        out += b"".join(bytes(piece) for piece in check.feed(wire[at : at + size]))
        at, turn = at + size, turn + 1
    check.finish()
    return out, trailers


def hmac_chain(seed=SEED):
    return HmacChain(Signer(signing_key()), DATE, SCOPE, seed)


def ecdsa_chain(seed=SEED):
    return EcdsaChain(private_key(ACCESS, SECRET).public_key(), DATE, SCOPE_V4A, seed)


# "Transferring Payload in Multiple Chunks" and "Including Trailing Headers", Amazon S3 API Reference
EXAMPLE = {"key": None, "moment": "20130524T000000Z", "scope": "20130524/us-east-1/s3/aws4_request"}
EXAMPLE_KEY = signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", EXAMPLE["scope"])
PLAIN_EXAMPLE = (
    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
)
TRAILER_EXAMPLE = (
    "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435",
)


def example(signatures, trailer=b""):
    wire = b""
    for size, signature in zip((65_536, 1_024, 0), signatures[1:4], strict=True):
        wire += f"{size:x};chunk-signature={signature}\r\n".encode() + b"a" * size + (b"\r\n" if size else b"")
    return wire + trailer + b"\r\n", HmacChain(Signer(EXAMPLE_KEY), EXAMPLE["moment"], EXAMPLE["scope"], signatures[0])


def test_amazons_example_without_trailers():
    wire, chain = example(PLAIN_EXAMPLE)
    assert read(wire, chain=chain, declared=66_560) == (b"a" * 66_560, {})


def test_amazons_example_with_a_trailer():
    trailer = f"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:{TRAILER_EXAMPLE[4]}\r\n".encode()
    wire, chain = example(TRAILER_EXAMPLE, trailer)
    found = read(wire, chain=chain, declared=66_560, announced=list(CHECKSUM), trailing=True)
    assert found == (b"a" * 66_560, CHECKSUM)


VARIANTS = {
    "unsigned": (lambda: None, lambda: None, True),
    "signed": (lambda: Hmac(SEED), hmac_chain, False),
    "signed with trailers": (lambda: Hmac(SEED), hmac_chain, True),
    "signed v4a": (lambda: Ecdsa(SEED), ecdsa_chain, False),
    "signed v4a with trailers": (lambda: Ecdsa(SEED), ecdsa_chain, True),
}


@pytest.mark.parametrize("pieces", [(1,), (2, 3, 5, 7), (8_192,), (1 << 20,)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_body_arrives_however_it_is_cut(variant, pieces):
    signing, verifying, trailing = VARIANTS[variant]
    trailers = CHECKSUM if trailing else None
    wire = framed(BODY, signing(), trailers)
    found = read(
        wire, chain=verifying(), announced=list(CHECKSUM) if trailing else (), trailing=trailing, pieces=pieces
    )
    assert found == (b"".join(BODY), trailers or {})


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_empty_body_arrives(variant):
    signing, verifying, trailing = VARIANTS[variant]
    wire = framed([], signing(), {} if trailing else None)
    assert read(wire, chain=verifying(), declared=0, trailing=trailing) == (b"", {})


def refusal(wire, **given):
    with pytest.raises(IsothermError) as refused:
        read(wire, **given)
    return refused.value.code


SIGNED = framed(BODY, Hmac(SEED))
UNSIGNED = framed(BODY, None, CHECKSUM)
TRAILED = framed(BODY, Hmac(SEED), CHECKSUM)
WITH = {"announced": list(CHECKSUM), "trailing": True}


@pytest.mark.parametrize("cut", [1, 2, 10, 200, 8_500, len(UNSIGNED) - 5])
def test_a_body_that_breaks_off_is_incomplete(cut):
    assert refusal(UNSIGNED[:-cut], **WITH) == "IncompleteBody"
    assert refusal(SIGNED[:-cut] if cut < len(SIGNED) else b"", chain=hmac_chain()) == "IncompleteBody"


@pytest.mark.parametrize("declared", [0, SIZE - 1, SIZE + 1, 10 * SIZE])
def test_a_body_of_another_length_than_declared_is_incomplete(declared):
    assert refusal(UNSIGNED, declared=declared, **WITH) == "IncompleteBody"


def test_bytes_behind_the_end_are_refused():
    assert refusal(UNSIGNED + b"x", **WITH) == "IncompleteBody"
    assert refusal(UNSIGNED + UNSIGNED, **WITH) == "IncompleteBody"


def test_only_the_last_chunk_may_be_small():
    small = framed([b"a" * 8_191, b"b"])
    assert refusal(small, declared=8_192) == "InvalidChunkSizeError"
    assert read(framed([b"a" * 8_192, b"b"]), declared=8_193)[0] == b"a" * 8_192 + b"b"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"10000\r\n", b"10000;chunk-signature=" + b"0" * 64 + b"\r\n"),
        (b"10000\r\n", b"10000 \r\n"),
        (b"10000\r\n", b"0x10000\r\n"),
        (b"10000\r\n", b"10000\n"),
        (b"10000\r\n", b"\r\n"),
        (b"10000\r\n", b"fffffffffffffffff\r\n"),
        (b"10000\r\n", b"10000" + b";" * 600 + b"\r\n"),
        (b"a\r\n2000", b"aa\r\n2000"),
        (b"a\r\n2000", b"a2000"),
    ],
)
def test_malformed_framing_is_refused(old, new):
    assert old in UNSIGNED
    assert refusal(UNSIGNED.replace(old, new, 1), **WITH) == "IncompleteBody"


def test_every_byte_of_a_signed_body_counts():
    for at in (0, 5, 30, 90, 5_000, len(SIGNED) - 80, len(SIGNED) - 3):
        broken = SIGNED[:at] + bytes([SIGNED[at] ^ 1]) + SIGNED[at + 1 :]
        assert refusal(broken, chain=hmac_chain()) in (
            "SignatureDoesNotMatch",
            "IncompleteBody",
            "InvalidChunkSizeError",
        )


def swapped(signer):
    """Two chunks of one size, signed in order and sent the other way round."""
    one, two = b"1" * 8_192, b"2" * 8_192
    first, second = signer.chunk(one), signer.chunk(two)
    last = signer.chunk(b"")
    parts = [(two, second), (one, first), (b"", last)]
    return b"".join(b"%x;chunk-signature=%b\r\n%b\r\n" % (len(data), mark.encode(), data) for data, mark in parts)


@pytest.mark.parametrize(("signer", "chain"), [(Hmac, hmac_chain), (Ecdsa, ecdsa_chain)])
def test_chunks_cannot_be_moved_left_out_or_taken_from_elsewhere(signer, chain):
    assert refusal(swapped(signer(SEED)), chain=chain(), declared=16_384) == "SignatureDoesNotMatch"
    elsewhere = framed(BODY, signer("1" * 64))
    assert refusal(elsewhere, chain=chain()) == "SignatureDoesNotMatch"
    without_first = framed(BODY[1:], signer(SEED), None)[:0] + framed(BODY, signer(SEED))[65_536 + 100 :]
    assert refusal(b"2000;" + without_first, chain=chain(), declared=None) in (
        "SignatureDoesNotMatch",
        "IncompleteBody",
    )


def test_a_signed_body_needs_its_signatures():
    assert refusal(framed(BODY), chain=hmac_chain()) == "SignatureDoesNotMatch"
    assert refusal(framed(BODY, None), chain=ecdsa_chain()) == "SignatureDoesNotMatch"


def test_the_trailer_is_signed_too():
    other = TRAILED.replace(b"sOO8/Q==", b"sOO8/g==")
    unsigned = framed(BODY, Hmac(SEED), CHECKSUM, signed_trailer=False)
    assert refusal(other, chain=hmac_chain(), **WITH) == "SignatureDoesNotMatch"
    assert refusal(unsigned, chain=hmac_chain(), **WITH) == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    "trailers",
    [
        {},
        {"x-amz-checksum-sha1": "a"},
        {**CHECKSUM, "x-amz-meta-a": "b"},
        {"X-Amz-Checksum-Crc32": "a"},
    ],
)
def test_trailers_must_be_those_announced(trailers):
    assert refusal(framed(BODY, None, trailers), **WITH) == "MalformedTrailerError"


def test_a_trailer_may_not_come_twice():
    twice = UNSIGNED.replace(b"x-amz-checksum-crc32c:", b"x-amz-checksum-crc32c:AAAAAA==\r\nx-amz-checksum-crc32c:")
    assert refusal(twice, **WITH) == "MalformedTrailerError"


def test_a_variant_without_trailers_takes_none():
    wire = framed(BODY, Hmac(SEED), CHECKSUM, signed_trailer=False)
    assert refusal(wire, chain=hmac_chain()) == "MalformedTrailerError"


# over a connection ------------------------------------------------------------------------------------------------------


async def tell(request):
    body = b"".join([bytes(piece) async for piece in request.body.pieces])
    told = [("x-encoding", request.headers.get("content-encoding", "none")), ("x-size", str(request.body.size))]
    return Reply(200, [*told, *[(f"t-{name}", value) for name, value in request.trailers.items()]], body)


def put(payload, trailers=None, *, declared=SIZE, headers=None, **frame):
    more = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(declared), **(headers or {})}
    if trailers:
        more["x-amz-trailer"] = ",".join(trailers)
    if declared is None:
        del more["x-amz-decoded-content-length"]
    head = sign("PUT", "/b/k", more, payload=payload)
    seed = head.partition(b"Signature=")[2].partition(b"\r\n")[0].decode()
    chain = Hmac(seed) if "HMAC" in payload else None
    body = framed(BODY, chain, trailers, **frame)
    return head.replace(b"content-length: 0\r\n", b"content-length: %d\r\n" % len(body)) + body


def test_unsigned_chunks_with_a_trailer_arrive_over_a_connection():
    request = put("STREAMING-UNSIGNED-PAYLOAD-TRAILER", CHECKSUM)
    first, second = talk(request[:1000], request[1000:] + sign("GET", "/b/l"), dispatch=tell)
    assert first.body == b"".join(BODY)
    assert (first.headers["x-encoding"], first.headers["x-size"]) == ("none", str(SIZE))
    assert first.headers["t-x-amz-checksum-crc32c"] == "sOO8/Q=="
    assert second.status == 200


def test_signed_chunks_arrive_over_a_connection():
    plain = put("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", headers={"content-encoding": "gzip, aws-chunked"})
    trailed = put("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", CHECKSUM)
    first, second = talk(plain, trailed, dispatch=tell)
    assert first.body == second.body == b"".join(BODY)
    assert first.headers["x-encoding"] == "gzip"
    assert second.headers["t-x-amz-checksum-crc32c"] == "sOO8/Q=="


def test_http_chunks_around_aws_chunks_arrive():
    request = put("STREAMING-UNSIGNED-PAYLOAD-TRAILER", CHECKSUM, headers={"transfer-encoding": "chunked"})
    head, _, body = request.partition(b"\r\n\r\n")
    head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"content-length"))
    wrapped = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:70_000], body[70_000:])) + b"0\r\n\r\n"
    first, second = talk(head + b"\r\n\r\n" + wrapped, sign("GET", "/b/l"), dispatch=tell)
    assert (first.body, second.status) == (b"".join(BODY), 200)


def test_a_broken_chunk_is_refused_over_a_connection():
    request = put("STREAMING-AWS4-HMAC-SHA256-PAYLOAD").replace(b"ccc", b"ccd", 1)
    first, second = talk(request, sign("GET", "/b/l"), dispatch=tell)
    assert (first.status, first.code, second.status) == (403, "SignatureDoesNotMatch", 200)


def test_the_decoded_length_must_be_declared():
    [answer] = talk(put("STREAMING-UNSIGNED-PAYLOAD-TRAILER", CHECKSUM, declared=None), dispatch=tell)
    assert (answer.status, answer.code) == (411, "MissingContentLength")


@pytest.mark.parametrize("declared", ["-1", "1e5", "", "٣"])
def test_the_decoded_length_must_be_a_number(declared):
    headers = {"x-amz-decoded-content-length": declared.encode().decode("latin-1")}
    [answer] = talk(put("STREAMING-UNSIGNED-PAYLOAD-TRAILER", CHECKSUM, headers=headers), dispatch=tell)
    assert answer.code in ("InvalidArgument", "SignatureDoesNotMatch")


def test_chunks_of_the_other_algorithm_are_refused():
    [answer] = talk(put("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"), dispatch=tell)
    assert answer.code == "InvalidRequest"


def test_chunks_without_a_body_are_refused():
    request = sign("PUT", "/b/k", {"x-amz-decoded-content-length": "0"}, payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    assert talk(request, dispatch=tell)[0].code == "MissingContentLength"


def test_the_example_signatures_are_of_the_example_bytes():
    assert (
        hashlib.sha256(b"a" * 65_536).hexdigest() == "bf718b6f653bebc184e1479f1935b8da974d701b893afcf49e701f3e2f9f9c5a"
    )
