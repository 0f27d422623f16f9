"""Signature Version 4 in headers and in queries: what is accepted, and the word for what is not."""

import hashlib
import hmac

import pytest

from tests.s3.wire.harness import ACCESS, DATE, SECRET, TENANT, Wire, run, sign, talk

SCOPE = f"{DATE[:8]}/eu-x-1/s3/aws4_request"


def refused(request, **given):
    [answer] = talk(request, **given)
    return answer.status, answer.code


def changed(request, old, new):
    assert old in request
    return request.replace(old, new, 1)


GET = sign("GET", "/b/k")

HEADERS = {
    "no authorization": (changed(GET, b"authorization", b"x-authorization"), 403, "AccessDenied"),
    "an empty one": (GET[: GET.index(b"authorization")] + b"Authorization: \r\n\r\n", 403, "AccessDenied"),
    "signature version 2": (changed(GET, b"AWS4-HMAC-SHA256 Credential=", b"AWS ak:c2ln,="), 400, "InvalidRequest"),
    "basic": (changed(GET, b"AWS4-HMAC-SHA256 ", b"Basic "), 400, "InvalidArgument"),
    "another algorithm": (changed(GET, b"AWS4-HMAC-SHA256 ", b"AWS4-HMAC-SHA512 "), 400, "InvalidArgument"),
    "a word alone": (GET[: GET.index(b"authorization")] + b"Authorization: AWS4\r\n\r\n", 400, "InvalidArgument"),
    "no credential": (changed(GET, b"Credential=", b"Credentials="), 400, "AuthorizationHeaderMalformed"),
    "no signature": (changed(GET, b"Signature=", b"Sign="), 400, "AuthorizationHeaderMalformed"),
    "no signed headers": (changed(GET, b"SignedHeaders=", b"Signed="), 400, "AuthorizationHeaderMalformed"),
    "a credential twice": (
        changed(GET, b"Credential=", b"Credential=a, Credential="),
        400,
        "AuthorizationHeaderMalformed",
    ),
    "a credential too short": (
        changed(GET, b"/s3/aws4_request", b"/aws4_request"),
        400,
        "AuthorizationHeaderMalformed",
    ),
    "no access key": (changed(GET, b"=AKIDEXAMPLE/", b"=/"), 400, "AuthorizationHeaderMalformed"),
    "no region": (changed(GET, b"/eu-x-1/", b"//"), 400, "AuthorizationHeaderMalformed"),
    "another service": (changed(GET, b"/s3/aws4", b"/ec2/aws4"), 400, "AuthorizationHeaderMalformed"),
    "another terminator": (changed(GET, b"/aws4_request", b"/aws5_request"), 400, "AuthorizationHeaderMalformed"),
    "another day": (changed(GET, b"/20231114/", b"/20231115/"), 400, "AuthorizationHeaderMalformed"),
    "a day that is none": (changed(GET, b"/20231114/", b"/2023111x/"), 400, "AuthorizationHeaderMalformed"),
    "signed headers in capitals": (changed(GET, b"=host;", b"=Host;"), 400, "AuthorizationHeaderMalformed"),
    "an empty signed header": (changed(GET, b"=host;", b"=host;;"), 400, "AuthorizationHeaderMalformed"),
    "a signed header twice": (changed(GET, b"=host;", b"=host;host;"), 400, "AuthorizationHeaderMalformed"),
    "host not signed": (changed(GET, b"=host;", b"="), 403, "AccessDenied"),
    "an x-amz header not signed": (changed(GET, b"\r\n\r\n", b"\r\nx-amz-acl: private\r\n\r\n"), 403, "AccessDenied"),
    "a date not signed": (changed(GET, b";x-amz-date", b""), 403, "AccessDenied"),
    "a signed header that lacks": (changed(GET, b"=host;", b"=a;host;"), 403, "SignatureDoesNotMatch"),
    "a short signature": (GET[:-5] + b"\r\n\r\n", 403, "SignatureDoesNotMatch"),
    "a signature beyond ASCII": (GET[:-8] + b"\xc3\xa4\xff\xff\r\n\r\n", 403, "SignatureDoesNotMatch"),
    "another method": (changed(GET, b"GET", b"HEAD"), 403, "SignatureDoesNotMatch"),
    "another path": (changed(GET, b"/b/k", b"/b/l"), 403, "SignatureDoesNotMatch"),
    "another query": (changed(GET, b"/b/k", b"/b/k?acl"), 403, "SignatureDoesNotMatch"),
    "another host": (changed(GET, b"s3.test", b"s4.test"), 403, "SignatureDoesNotMatch"),
    "another region": (changed(GET, b"/eu-x-1/", b"/eu-x-2/"), 403, "SignatureDoesNotMatch"),
    "a token": (sign("GET", "/b/k", {"x-amz-security-token": "t"}), 400, "InvalidToken"),
    "no hash": (sign("GET", "/b/k", {"x-amz-content-sha256": None}), 400, "InvalidRequest"),
    "no date": (sign("GET", "/b/k", {"x-amz-date": None}), 403, "AccessDenied"),
    "a date that is none": (sign("GET", "/b/k", date="20231314T221320Z"), 403, "AccessDenied"),
    "a bad escape": (sign("GET", "/b/%zz"), 400, "InvalidURI"),
    "a bad escape in the query": (sign("GET", "/b/k?a=%2"), 400, "InvalidURI"),
    "no UTF-8": (sign("GET", "/b/%ff"), 400, "InvalidURI"),
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_is_refused(what):
    request, status, code = HEADERS[what]
    if request.startswith(b"HEAD"):
        [answer] = talk(request, methods=["HEAD"])
        assert answer.status == status
    else:
        assert refused(request) == (status, code)


def test_the_order_of_authorization_is_free():
    credential, signed, signature = GET.partition(b"authorization: AWS4-HMAC-SHA256 ")[2][:-4].split(b", ")
    other = GET.replace(b", ".join([credential, signed, signature]), b",".join([signature, signed, credential]))
    unspaced = GET.replace(b", ", b",")
    assert other != GET
    assert [answer.status for answer in talk(other, unspaced, GET, other)] == [200] * 4


def test_a_claim_that_was_accepted_once_is_verified_every_time():
    wrong = sign("GET", "/b/k", secret="wrong")
    assert [answer.status for answer in talk(GET, wrong, GET, wrong)] == [200, 403, 200, 403]


def test_a_claim_with_other_things_behind_the_signature_is_not_mistaken_for_another():
    odd = GET.replace(b"AWS4-HMAC-SHA256 Credential", b"AWS4-HMAC-SHA256 Signature=0,Credential").replace(
        b", Signature=", b",X="
    )
    assert [answer.status for answer in talk(odd, GET, odd, GET)] == [403, 200, 403, 200]


def test_a_secret_that_changed_is_not_served_from_the_cache():
    from isotherm.tenancy.identity import Credential

    async def conversation():
        wire = Wire()
        first = await wire.converse(GET)
        wire.keys.active[ACCESS] = Credential(ACCESS, "another", TENANT)
        return first, await wire.converse(GET), await wire.converse(sign("GET", "/b/k", secret="another"))

    first, old, new = run(conversation())
    assert first.startswith(b"HTTP/1.1 200")
    assert old.startswith(b"HTTP/1.1 403")
    assert new.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("seconds", "status"), [(-901, 403), (-900, 200), (900, 200), (901, 403)])
def test_clocks_may_differ_by_a_quarter_of_an_hour(seconds, status):
    wire = Wire()
    wire.clock.step_wall(seconds * 1000)
    data = run(wire.converse(GET))
    assert data.startswith(b"HTTP/1.1 %d" % status)
    assert (b"RequestTimeTooSkewed" in data) == (status == 403)


def test_a_date_header_stands_in_for_x_amz_date():
    payload = hashlib.sha256(b"").hexdigest()
    key = f"AWS4{SECRET}".encode()
    for part in SCOPE.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    http = "Tue, 14 Nov 2023 22:13:20 GMT"
    names = "date;host;x-amz-content-sha256"
    canonical = f"GET\n/b/k\n\ndate:{http}\nhost:h\nx-amz-content-sha256:{payload}\n\n{names}\n{payload}"
    text = f"AWS4-HMAC-SHA256\n{DATE}\n{SCOPE}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    request = (
        f"GET /b/k HTTP/1.1\r\nDate: {http}\r\nHost: h\r\nx-amz-content-sha256: {payload}\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential={ACCESS}/{SCOPE}, SignedHeaders={names}, Signature={signature}\r\n\r\n"
    )
    assert talk(request.encode())[0].status == 200


@pytest.mark.parametrize(
    ("signed", "sent"),
    [
        ("/b/a%20b", "/b/a%20b"),
        ("/b/a%2Bb", "/b/a%2Bb"),
        ("/b/a%2Bb", "/b/a+b"),
        ("/b/%C3%A4", "/b/%c3%a4"),
        ("/b/a~b", "/b/a%7Eb"),
        ("/b/a%7Eb", "/b/a%7Eb"),
        ("/b/x%2Fy", "/b/x%2Fy"),
        ("/b/x/y", "/b/x%2Fy"),
        ("/b/a%21b%28%29%27%2A", "/b/a!b()'*"),
        ("/b//a/../b/./", "/b//a/../b/./"),
        ("/b/%01%7F", "/b/%01%7f"),
        ("/", "/"),
        ("/b/k?a=&b=%20c", "/b/k?b=%20c&a"),
        ("/b/k?a=1&a=2", "/b/k?a=2&a=1"),
        ("/b/k?a=&a-b=1", "/b/k?a-b=1&a="),
        ("/b/k?a%3D=%26", "/b/k?a%3d=%26"),
        ("/b/k?x=%2F%2B%20", "/b/k?x=/%2B+"),
        ("/b/k?a=1&b=2", "/b/k?&a=1&&b=2&"),
    ],
)
def test_the_canonical_form_is_found_however_the_target_is_written(signed, sent):
    request = sign("GET", signed).replace(f" {signed} ".encode(), f" {sent} ".encode(), 1)
    assert talk(request)[0].status == 200


def test_a_refusal_tells_what_should_have_been_signed():
    async def conversation():
        return await Wire().converse(sign("GET", "/b/k?b=1&a=2", secret="wrong"))

    data = run(conversation()).decode()
    assert "GET\\n/b/k\\na=2&b=1\\nhost:s3.test\\n" in data
    assert f"AWS4-HMAC-SHA256\\n{DATE}\\n{SCOPE}\\n" in data


# presigned ------------------------------------------------------------------------------------------------------------


def presign(method="GET", target="/b/k", *, headers=None, date=DATE, expires="3600", secret=SECRET, drop=(), **more):
    """A presigned request. `more`: parameters that are signed too; `drop`: some that are taken out before signing."""
    headers = {"host": "s3.test", **(headers or {})}
    path, _, query = target.partition("?")
    fields = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{ACCESS}%2F{SCOPE.replace('/', '%2F')}",
        "X-Amz-Date": date,
        "X-Amz-Expires": expires,
        "X-Amz-SignedHeaders": "%3B".join(sorted(headers)),
        **more,
    }
    pairs = [f"{name}={value}" for name, value in fields.items() if name not in drop]
    query = "&".join(sorted([*pairs, *filter(None, query.split("&"))]))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    payload = headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{';'.join(sorted(headers))}\n{payload}"
    text = f"AWS4-HMAC-SHA256\n{date}\n{SCOPE}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in SCOPE.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    length = "" if method == "GET" else "Content-Length: 5\r\n"
    return f"{method} {path}?{query}&X-Amz-Signature={signature} HTTP/1.1\r\n{lines}{length}\r\n".encode()


def test_a_presigned_url_is_good_for_what_it_says():
    seen = {}

    async def dispatch(request):
        from isotherm.protocols.s3.wire import Reply

        seen.update(query=dict(request.query), region=request.region)
        return Reply(200, [], b"".join([bytes(piece) async for piece in request.body.pieces]))

    get = presign(target="/b/k?versionId=1")
    put = presign("PUT") + b"hello"
    first, second = talk(get + put, dispatch=dispatch)
    assert (first.status, second.body) == (200, b"hello")
    assert talk(get, dispatch=dispatch)[0].status == 200
    assert seen == {"query": {"versionId": "1"}, "region": "eu-x-1"}


QUERIES = {
    "no expiry": (presign(drop=["X-Amz-Expires"]), 400, "AuthorizationQueryParametersError"),
    "an expiry that is no number": (presign(expires="1e3"), 400, "AuthorizationQueryParametersError"),
    "a negative expiry": (presign(expires="-1"), 403, "AccessDenied"),
    "a very negative expiry": (presign(expires="-" + "9" * 18), 403, "AccessDenied"),
    "more than a week": (presign(expires="604801"), 400, "AuthorizationQueryParametersError"),
    "an endless expiry": (presign(expires="9" * 5000), 400, "AuthorizationQueryParametersError"),
    "no credential": (presign(drop=["X-Amz-Credential"]), 400, "AuthorizationQueryParametersError"),
    "no date": (presign(drop=["X-Amz-Date"]), 400, "AuthorizationQueryParametersError"),
    "no signed headers": (presign(drop=["X-Amz-SignedHeaders"]), 400, "AuthorizationQueryParametersError"),
    "no algorithm": (presign(drop=["X-Amz-Algorithm"]), 400, "AuthorizationQueryParametersError"),
    "another algorithm": (presign(**{"X-Amz-Algorithm": "MD5"}), 400, "AuthorizationQueryParametersError"),
    "another date form": (presign(date="2023-11-14"), 400, "AuthorizationQueryParametersError"),
    "another day": (presign(date="20231113T000000Z"), 400, "AuthorizationQueryParametersError"),
    "another service": (
        changed(presign(), b"%2Fs3%2F", b"%2Fec2%2F"),
        400,
        "AuthorizationQueryParametersError",
    ),
    "a parameter twice": (presign(target="/b/k?X-Amz-Date=x"), 400, "AuthorizationQueryParametersError"),
    "a token": (presign(**{"X-Amz-Security-Token": "t"}), 400, "InvalidToken"),
    "a wrong secret": (presign(secret="wrong"), 403, "SignatureDoesNotMatch"),
    "another path": (changed(presign(), b"/b/k", b"/b/l"), 403, "SignatureDoesNotMatch"),
    "a parameter more": (
        changed(presign(), b"&X-Amz-Signature", b"&acl&X-Amz-Signature"),
        403,
        "SignatureDoesNotMatch",
    ),
    "an x-amz header not signed": (
        changed(presign(), b"\r\n\r\n", b"\r\nx-amz-acl: private\r\n\r\n"),
        403,
        "AccessDenied",
    ),
    "an authorization header too": (
        changed(presign(), b"\r\n\r\n", b"\r\nAuthorization: AWS4-HMAC-SHA256 x\r\n\r\n"),
        400,
        "InvalidArgument",
    ),
    "an unknown access key": (changed(presign(), b"=AKID", b"=AKIE"), 403, "InvalidAccessKeyId"),
}


@pytest.mark.parametrize("what", QUERIES)
def test_a_presigned_url_is_refused(what):
    request, status, code = QUERIES[what]
    assert refused(request) == (status, code)


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(-901, "Request is not valid yet"), (-900, None), (3599, None), (3600, "Request has expired")],
)
def test_a_presigned_url_has_its_time(seconds, says):
    wire = Wire()
    wire.clock.step_wall(seconds * 1000)
    data = run(wire.converse(presign()))
    if says is None:
        assert data.startswith(b"HTTP/1.1 200")
    else:
        assert data.startswith(b"HTTP/1.1 403")
        assert says.encode() in data
        assert b"AccessDenied" in data


def test_signed_parameters_stand_for_headers():
    seen = {}

    async def dispatch(request):
        from isotherm.protocols.s3.wire import Reply

        seen.update(headers=dict(request.headers), query=dict(request.query))
        return Reply()

    request = presign(**{"X-Amz-Meta-Color": "blue", "x-amz-checksum-crc32": "AAAAAA%3D%3D"})
    assert talk(request, dispatch=dispatch)[0].status == 200
    assert seen["headers"]["x-amz-meta-color"] == "blue"
    assert seen["headers"]["x-amz-checksum-crc32"] == "AAAAAA=="
    assert seen["query"] == {}


def test_a_browsers_upload_is_not_there_yet():
    head = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 5\r\n\r\n--x--"
    assert refused(head) == (501, "NotImplemented")


def test_a_parameter_and_a_header_must_not_contradict_each_other():
    agreeing = presign(headers={"x-amz-acl": "private"}, **{"x-amz-acl": "private"})
    arguing = presign(headers={"x-amz-acl": "private"}, **{"x-amz-acl": "public-read"})
    assert talk(agreeing)[0].status == 200
    assert refused(arguing) == (400, "InvalidRequest")


def test_a_presigned_body_may_be_signed_too():
    headers = {"x-amz-content-sha256": hashlib.sha256(b"hello").hexdigest()}
    assert talk(presign("PUT", headers=headers) + b"hello")[0].body == b"hello"
    assert refused(presign("PUT", headers=headers) + b"hellx") == (400, "XAmzContentSHA256Mismatch")
