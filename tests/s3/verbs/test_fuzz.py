"""Whatever a client asks, it gets a precise answer: never a 500, never an unknown code."""

from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isotherm.protocols.s3.error_table import CODES
from isotherm.protocols.s3.harmless import CHECKED
from isotherm.protocols.s3.routes import ROUTES, SUBRESOURCES

PARAMETERS = sorted({name for route in ROUTES.values() for name in route.query} | SUBRESOURCES | {"policy", "x-id"})
HEADERS = sorted(
    {name for route in ROUTES.values() for name in route.headers}
    | set(CHECKED)
    | {"range", "if-range", "content-md5", "content-type", "content-encoding", "expires", "x-amz-checksum-mode"}
)
VALUES = st.one_of(
    st.sampled_from(
        ["", "0", "1", "-1", "2", "9999999999999999999", "null", "url", "true", "*", "bytes=0-", "bytes=-1"]
    ),
    st.sampled_from(
        ['"x"', "CRC32", "FULL_OBJECT", "REPLACE", "STANDARD", "private", "AAAAAA==", "bucket/k", "/bucket/%"]
    ),
    st.sampled_from(
        ["0" * 32, "Tue, 14 Nov 2023 22:13:20 GMT", "2023-11-14T22:13:20Z", "Tue, 99 Nov 99999 99:99:99 GMT"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=20),
)
LATIN = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=20)
BODIES = st.one_of(
    st.sampled_from([b"", b"<Delete/>", b"<Tagging><TagSet/></Tagging>", b"<CompleteMultipartUpload/>", b"junk"]),
    st.sampled_from(
        [
            b"<Delete><Object><Key>k</Key></Object></Delete>",
            b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
        ]
    ),
    st.binary(max_size=60),
)
KEYS = st.one_of(st.sampled_from(["", "k", "big"]), st.text(st.characters(codec="utf-8"), max_size=20))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"]),
    bucket_name=st.sampled_from(["", "bucket", "none", "Bad..Name"]),
    key=KEYS,
    query=st.dictionaries(st.sampled_from(PARAMETERS), VALUES, max_size=4),
    headers=st.dictionaries(
        st.sampled_from(HEADERS), st.one_of(VALUES.filter(lambda text: text.isascii()), LATIN), max_size=4
    ),
    body=BODIES,
)
def test_any_request_gets_a_precise_answer(s3, bucket, method, bucket_name, key, query, headers, body):
    path = f"/{bucket_name}" + (f"/{quote(key, safe='')}" if bucket_name and key else "")
    asked = "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in query.items())
    answer = s3(method, f"{path}?{asked}", body, **headers)
    assert answer.status in (200, 204, 206, 304, 400, 403, 404, 405, 409, 412, 416, 501)
    if answer.status >= 400:
        assert answer.code in CODES
        assert method == "HEAD" or answer.text("Code") == answer.code
