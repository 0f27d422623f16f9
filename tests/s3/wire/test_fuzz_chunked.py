"""The chunk codecs against a model: any body, any chunks, any cuts; then any damage."""

from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import given, settings

from isotherm.errors import IsothermError
from isotherm.protocols.s3.chunked import AwsChunks, ChunkedCheck, HmacChain
from isotherm.protocols.s3.framing import ChunkFraming, LengthFraming
from isotherm.protocols.s3.sigv4 import Signer
from tests.s3.wire.chunking import SCOPE, Hmac, framed, signing_key
from tests.s3.wire.harness import DATE

SEED = "0" * 64
cuts = st.lists(st.integers(0, 1 << 20), max_size=10)
# All chunks but the last hold 8,192 bytes or more.
chunk_lists = st.tuples(st.lists(st.integers(8_192, 9_000), max_size=3), st.integers(1, 9_000)).map(
    lambda sizes: [bytes([at % 251]) * size for at, size in enumerate([*sizes[0], sizes[1]])]
)
trailer_sets = st.dictionaries(
    st.from_regex(r"\Ax-amz-checksum-[a-z0-9]{1,8}\Z"), st.from_regex(r"\A[!-~]{1,20}\Z"), max_size=3
)


def pieces_of(wire, places):
    edges = sorted({0, len(wire), *(place % (len(wire) + 1) for place in places)})
    return [wire[start:end] for start, end in pairwise(edges)]


def read(wire, places, *, signed, declared, trailers=None):
    found = {}
    chain = HmacChain(Signer(signing_key()), DATE, SCOPE, SEED) if signed else None
    chunks = AwsChunks(declared, chain, set(trailers or ()), trailing=trailers is not None)
    check = ChunkedCheck(chunks, found)
    body = b"".join(bytes(piece) for part in pieces_of(wire, places) for piece in check.feed(part))
    check.finish()
    return body, found


@settings(deadline=None, max_examples=200)
@given(chunk_lists, st.one_of(st.none(), trailer_sets), st.booleans(), cuts)
def test_what_was_framed_is_read(chunks, trailers, signed, places):
    wire = framed(chunks, Hmac(SEED) if signed else None, trailers)
    size = sum(map(len, chunks))
    assert read(wire, places, signed=signed, declared=size, trailers=trailers) == (b"".join(chunks), trailers or {})


@settings(deadline=None, max_examples=300)
@given(chunk_lists, st.one_of(st.none(), trailer_sets), cuts, st.integers(0, 1 << 20), st.integers(1, 255), st.data())
def test_a_signed_body_that_was_damaged_is_never_accepted(chunks, trailers, places, place, flip, data):
    wire = framed(chunks, Hmac(SEED), trailers)
    at = place % len(wire)
    kind = data.draw(st.sampled_from(["flip", "cut", "double"]))
    if kind == "flip":
        damaged = wire[:at] + bytes([wire[at] ^ flip]) + wire[at + 1 :]
    elif kind == "cut":
        damaged = wire[:at] + wire[at + flip :]
    else:
        damaged = wire[:at] + wire[at : at + flip] * 2 + wire[at + flip :]
    meant = (b"".join(chunks), trailers or {})
    try:
        found = read(damaged, places, signed=True, declared=len(meant[0]), trailers=trailers)
    except IsothermError:
        return
    assert (
        found == meant
    )  # the case of a hexadecimal digit or of a trailer's name, or bytes that equal their neighbours


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=2000), st.booleans(), cuts)
def test_noise_is_an_error_of_the_tree(noise, signed, places):
    try:
        read(noise, places, signed=signed, declared=None)
    except IsothermError:
        return
    assert noise.startswith(b"0")


@settings(deadline=None, max_examples=200)
@given(st.lists(st.binary(min_size=1, max_size=300), max_size=6), st.binary(max_size=50), cuts)
def test_http_chunks_end_where_they_end(chunks, following, places):
    wire = b"".join(b"%x\r\n%b\r\n" % (len(data), data) for data in chunks) + b"0\r\n\r\n"
    framing, body, rest = ChunkFraming(), b"", None
    for part in pieces_of(wire + following, places):
        if rest is None:
            pieces, rest = framing.feed(part)
            body += b"".join(bytes(piece) for piece in pieces)
        else:
            rest += part
    assert (body, rest) == (b"".join(chunks), following)


@settings(deadline=None, max_examples=200)
@given(st.binary(min_size=1, max_size=2000), st.binary(max_size=50), cuts)
def test_a_length_ends_where_it_says(body, following, places):
    framing, found, rest = LengthFraming(len(body)), b"", None
    for part in pieces_of(body + following, places):
        if rest is None:
            pieces, rest = framing.feed(part)
            found += b"".join(bytes(piece) for piece in pieces)
        else:
            rest += part
    assert (found, rest) == (body, following)
