"""Hands on the administrative side of a running server: its commands, its API, and clients that sign as some tenant."""

import json
import urllib.error
import urllib.request

from botocore.exceptions import ClientError

from isotherm.tenancy.identity import Credential
from tests.server.clients import basic, keys, run, s3

_POLLS = 2_000


def tenant(server, *arguments):
    """`isotherm tenant …`; its JSON where it prints some."""
    done = run("tenant", *arguments, "--data", server.data)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


def key(server, path, *roles):
    options = [option for role in roles for option in ("--role", role)]
    pair = keys(server, "create", "--tenant", path, *options, "--json")
    return Credential(pair["access_key"], pair["secret_key"], 0)


def signed(server, credential):
    return s3(server, aws_access_key_id=credential.access_key, aws_secret_access_key=credential.secret)


def call(server, credential, method, path, body=None):
    """(status, what is told) of a call of the administrative API."""
    data = None if body is None else json.dumps(body).encode()
    headers = {**basic(credential), "Content-Type": "application/json"}
    request = urllib.request.Request(server.address.admin + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            told = answer.read()
            return answer.status, json.loads(told) if told else None
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def code_of(call_, *arguments, **options):
    """The S3 code of a refusal; None where the call succeeds."""
    try:
        call_(*arguments, **options)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def seen(ask, wanted):
    """Ask until the answer is the wanted one, as often as is allowed."""
    for _ in range(_POLLS):
        if (answer := ask()) == wanted:
            return
    raise AssertionError(f"{answer!r}, not {wanted!r}")
