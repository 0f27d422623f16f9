"""Requests signed by awscrt, keys that HTTP clients like to tidy up, over the loopback."""

import http.client
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import pytest
from awscrt import auth
from awscrt import http as crt_http
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.s3.verbs.loopback import serving

PROVIDER = auth.AwsCredentialsProvider.new_static("KEY", "secret")


@pytest.fixture(scope="module")
def call(tmp_path_factory, metadata_of_module):
    with serving(tmp_path_factory.mktemp("store"), {"KEY": ("secret", 1)}) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc)

        def send(method: str, target: str, body: bytes = b"", **headers: str):
            names = [("host", connection.host + f":{connection.port}"), ("content-length", str(len(body)))]
            names += [(name.replace("_", "-"), value) for name, value in headers.items()]
            request = crt_http.HttpRequest(method, target, crt_http.HttpHeaders(names))
            auth.aws_sign_request(request, _signing()).result()
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers:
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

        assert send("PUT", "/bucket")[0] == 200
        yield send
        connection.close()


def _signing() -> auth.AwsSigningConfig:
    return auth.AwsSigningConfig(
        algorithm=auth.AwsSigningAlgorithm.V4,
        signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=PROVIDER,
        region="eu-central-1",
        service="s3",
        date=datetime.now(UTC),
        use_double_uri_encode=False,
        should_normalize_uri_path=False,
        signed_body_value="UNSIGNED-PAYLOAD",
        signed_body_header_type=auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
    )


@pytest.mark.parametrize(
    "key", [".", "..", "a/../b", "//", "a//b", "/", "%2F", "\x00", "\x7f", "a\nb", "é", "🐘", "k" * 1024]
)
def test_keys_are_not_tidied_up(call, key):
    target = "/bucket/" + quote(key)
    assert call("PUT", target, key.encode())[0] == 200
    assert call("GET", target)[2] == key.encode()
    assert call("DELETE", target)[0] == 204


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_any_key_is_stored_listed_and_deleted(call, key):
    target = "/bucket/" + quote(key, safe="")
    assert call("PUT", target, key.encode(), x_amz_meta_k="v")[0] == 200
    status, headers, body = call("GET", target)
    assert (status, headers["x-amz-meta-k"], body) == (200, "v", key.encode())
    listed = call("GET", f"/bucket?encoding-type=url&list-type=2&prefix={quote(key, safe='')}")[2]
    assert f"<Key>{quote(key, safe='/-_.~*')}</Key>".encode() in listed
    assert call("DELETE", target)[0] == 204


def test_a_range_and_a_condition(call):
    call("PUT", "/bucket/k", b"hello")
    status, headers, body = call("GET", "/bucket/k", range="bytes=1-3")
    assert (status, headers["Content-Range"], headers["Content-Length"], body) == (206, "bytes 1-3/5", "3", b"ell")
    status, headers, body = call("GET", "/bucket/k", if_none_match='"5d41402abc4b2a76b9719d911017c592"')
    assert (status, headers["ETag"], body) == (304, '"5d41402abc4b2a76b9719d911017c592"', b"")
    status, headers, body = call("HEAD", "/bucket/k")
    assert (status, headers["Content-Length"], body) == (200, "5", b"")
    status, headers, body = call("HEAD", "/bucket/none")
    assert (status, body) == (404, b"")
    assert b"<Code>InvalidRange</Code>" in call("GET", "/bucket/k", range="bytes=9-")[2]
