"""From a head to an authenticated request: at once, or after the store has been asked for a credential. On one loop's thread.

Whoever has proved who he is asks at the gate, too, where the process has one: `Exchange.passage`, which may have to wait.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from isotherm.objects.model import Body
from isotherm.protocols.s3 import refusals
from isotherm.protocols.s3.authentication import Find
from isotherm.protocols.s3.endpoint import S3Endpoint
from isotherm.protocols.s3.exchange import Exchange
from isotherm.protocols.s3.inlet import NoBody
from isotherm.protocols.s3.parsing import Head, bucket_of_host, decoded, decoded_query
from isotherm.protocols.s3.payload import check_for, without_aws_chunked
from isotherm.protocols.s3.wire import Request
from isotherm.tenancy.identity import NotAtHand
from isotherm.tenancy.passage import Passage
from isotherm.tenancy.roles import Role

_EMPTY = Body(NoBody(), 0)


Later = Coroutine[Any, Any, Request]
"""A request whose credential must be looked up first."""


def admit(endpoint: S3Endpoint, exchange: Exchange, head: Head) -> Request | Later:
    """Name the bucket and key, prove who asks, and decide what must hold of the body. Fills `exchange`.

    Raises (or what comes later raises):
        IsothermError: whatever is to be told instead of an answer.
    """
    try:
        return _admit(endpoint, exchange, head)
    except NotAtHand as unknown:
        return _admit_later(endpoint, exchange, head, unknown.access_key)


async def _admit_later(endpoint: S3Endpoint, exchange: Exchange, head: Head, access_key: str) -> Request:
    credential = await endpoint.authenticator.credentials.look_up(access_key)
    return _admit(endpoint, exchange, head, lambda _: credential)


def _admit(endpoint: S3Endpoint, exchange: Exchange, head: Head, find: Find | None = None) -> Request:
    """As `admit`.

    Raises:
        NotAtHand: the credential that `find` did not find; call again with one that does.
        IsothermError: whatever is to be told instead of an answer.
    """
    headers = head.headers
    if exchange.inlet is not None:
        _demand_known_expectation(head, exchange)
    path = decoded(head.path)
    domains = endpoint.settings.domains
    if domains and (bucket := bucket_of_host(headers["host"], domains)):
        exchange.bucket = bucket
        exchange.key = path[1:]
    else:
        exchange.bucket, _, exchange.key = path[1:].partition("/")
        if not exchange.bucket and path != "/":
            raise refusals.bad_bucket()
    query = decoded_query(head.query) if head.query else []
    proof = endpoint.authenticator.authenticate(head, query, exchange.now_ms, find)
    credential, headers = proof.credential, head.headers
    exchange.tenant = credential.tenant
    exchange.access_key = credential.access_key
    credential.demand(Role.DATA)
    trailers: dict[str, str] = {}
    check, size = check_for(proof, head, endpoint.authenticator, trailers)
    inlet = exchange.inlet
    if inlet is None:
        body = _EMPTY
        if head.method == "PUT" and head.length is None and exchange.key and "x-amz-copy-source" not in headers:
            raise refusals.length_required()
    else:
        inlet.check = check
        body = Body(inlet, size, inlet.hand_over)
    encoding = headers.get("content-encoding")
    if encoding is not None and "aws-chunked" in encoding.lower():
        headers = {**headers, "content-encoding": without_aws_chunked(encoding)}
        if not headers["content-encoding"]:
            del headers["content-encoding"]
    exchange.request = request = Request(
        exchange.id,
        head.method,
        path,
        exchange.bucket,
        exchange.key,
        dict(reversed(query)) if query else {},
        headers,
        body,
        trailers,
        endpoint.space_of(credential.tenant),
        credential.access_key,
        proof.region,
        endpoint.owner_of(credential.tenant),
    )
    if endpoint.gate is not None:
        sent_bytes, short = (0, True) if inlet is None else (inlet.received, inlet.complete)
        passage = endpoint.gate.admit(credential.tenant, sent_bytes, reads=head.method == "GET", short=short)
        exchange.passage = passage
        if inlet is not None and isinstance(passage, Passage):
            inlet.passage = passage
    return request


def _demand_known_expectation(head: Head, exchange: Exchange) -> None:
    expectation = head.headers.get("expect")
    if expectation is None or head.version == "1.0":
        return
    if expectation.lower() != "100-continue":
        raise refusals.invalid_argument(
            "The only expectation this server can meet is 100-continue.",
            ArgumentName="Expect",
            ArgumentValue=expectation,
        )
    exchange.expects = True
