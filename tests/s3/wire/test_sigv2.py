"""Signature Version 2 in presigned URLs: botocore's own signer makes them; what is accepted, and the word for what is not."""

from urllib.parse import urlsplit

import pytest
from botocore.auth import HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.s3.wire.harness import ACCESS, SECRET, Wire, echo, run, talk

NOW_S = 1_700_000_000


def url(method="GET", path="/b/k", headers=(), expires_s=NOW_S + 3600, secret=SECRET):
    """The target of a request that botocore presigned."""

    class Auth(HmacV1QueryAuth):
        def _get_date(self):
            return str(expires_s)

    request = AWSRequest(method, f"http://127.0.0.1{path}", headers=dict(headers))
    request.auth_path = urlsplit(path).path
    Auth(Credentials(ACCESS, secret)).add_auth(request)
    return request.url.removeprefix("http://127.0.0.1")


def told(target, method="GET", headers="", body=b""):
    lines = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    [answer] = talk(lines.encode() + body)
    return answer


def test_a_url_is_good_until_it_expires():
    assert told(url()).status == 200
    assert told(url(expires_s=NOW_S + 1)).status == 200
    over = told(url(expires_s=NOW_S))
    assert (over.status, over.code) == (403, "AccessDenied")
    assert b"Request has expired" in over.body


@pytest.mark.parametrize(
    "path",
    ["/b/a%20b%2Fc", "/b/%E4%BC%9A", "/b/k?versionId=null", "/b/k?response-content-type=text/x%20y", "/b?list-type=2"],
)
def test_paths_and_parameters_are_signed_as_clients_sign_them(path):
    assert told(url(path=path)).status == 200


def test_headers_that_went_into_the_url_are_headers():
    seen = []

    async def verb(request):
        seen.append(dict(request.headers))
        return await echo(request)

    headers = {"x-amz-meta-b": "2", "x-amz-meta-a": "1", "content-type": "text/plain"}
    target = url("PUT", headers=headers)
    request = f"PUT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
    data = run(Wire(verb).converse(request.encode()))
    assert data.startswith(b"HTTP/1.1 200"), data
    assert {name: seen[0][name] for name in headers} == headers


REFUSED = {
    "another method": (url("HEAD"), "", "SignatureDoesNotMatch"),
    "another key": (url().replace("/b/k", "/b/l"), "", "SignatureDoesNotMatch"),
    "another secret": (url(secret="guessed"), "", "SignatureDoesNotMatch"),
    "a later end": (url().replace(f"={NOW_S + 3600}", f"={NOW_S + 3601}"), "", "SignatureDoesNotMatch"),
    "an operation not signed": (url() + "&tagging", "", "SignatureDoesNotMatch"),
    "a newer operation not signed": (url() + "&attributes", "", "SignatureDoesNotMatch"),
    "a version not signed": (url() + "&versionId=null", "", "SignatureDoesNotMatch"),
    "a name in other letters": (url() + "&version%49d=null", "", "SignatureDoesNotMatch"),
    "a header not signed": (url(), "x-amz-meta-a: 1\r\n", "SignatureDoesNotMatch"),
    "a parameter for a header, not signed": (url() + "&x-amz-meta-a=1", "", "SignatureDoesNotMatch"),
    "a type not signed": (url(), "Content-Type: text/x\r\n", "SignatureDoesNotMatch"),
    "a header against its parameter": (url(headers={"x-amz-meta-a": "1"}), "x-amz-meta-a: 2\r\n", "InvalidRequest"),
    "a copy instead": (url("PUT"), "x-amz-copy-source: /b/secret\r\n", "SignatureDoesNotMatch"),
    "an unknown access key": (url().replace(ACCESS, "AKIDOTHER"), "", "InvalidAccessKeyId"),
    "two signatures": (url() + "&Signature=x", "", "AccessDenied"),
    "no end": (url().replace("Expires", "expires"), "", "AccessDenied"),
    "an end that is no number": (url().replace(f"={NOW_S + 3600}", "=never"), "", "AccessDenied"),
    "an end beyond time": (url().replace(f"={NOW_S + 3600}", "=" + "9" * 30), "", "AccessDenied"),
    "a token": (url() + "&x-amz-security-token=t", "", "InvalidToken"),
    "version 4 too": (url() + "&X-Amz-Algorithm=AWS4-HMAC-SHA256", "", "AuthorizationQueryParametersError"),
    "an authorization header too": (url(), "Authorization: AWS a:b\r\n", "InvalidArgument"),
    "signed chunks": (
        url("PUT", headers={"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}),
        "",
        "InvalidRequest",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_url_is_refused(what):
    target, headers, code = REFUSED[what]
    method = "PUT" if what in ("a copy instead", "signed chunks") else "GET"
    answer = told(target, method, headers, b"body" if method == "PUT" else b"")
    assert answer.code == code
