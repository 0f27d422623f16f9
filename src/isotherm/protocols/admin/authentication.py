"""Who asks on the second port: HTTP basic authentication (RFC 7617) with an access key and its secret.

Basic, and not Signature Version 4: a feed is followed with curl, with a browser's EventSource behind a proxy, with anything;
and the secret is as safe on the way as the changes themselves, that is, under TLS. The server warns when it listens
elsewhere than on loopback without it.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from typing import Protocol

from isotherm.errors import Denied
from isotherm.tenancy.identity import Credential, NotAtHand

CHALLENGE = 'Basic realm="isotherm", charset="UTF-8"'
"""What a 401 carries in WWW-Authenticate."""


class NotSignedIn(Denied):
    """Sign in with HTTP basic authentication: access key and secret key."""

    code = "NotSignedIn"


class Credentials(Protocol):
    """`tenancy.identity.Credentials`, as far as this protocol needs it."""

    def find(self, access_key: str) -> Credential | None: ...

    async def look_up(self, access_key: str) -> Credential | None: ...


async def found(credentials: Credentials, access_key: str) -> Credential | None:
    """The credential, from the cache or from the store. Raises what `look_up` raises."""
    try:
        return credentials.find(access_key)
    except NotAtHand:
        return await credentials.look_up(access_key)


async def authenticate(authorization: str | None, credentials: Credentials) -> Credential:
    """The credential that the header proves. What it may do, and whether it is served, is for `demand` to say.

    Raises:
        NotSignedIn: it proves none.
        What `look_up` raises.
    """
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        raise NotSignedIn
    try:
        access_key, _, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        raise NotSignedIn from None
    credential = await found(credentials, access_key)
    expected = credential.secret if credential is not None else ""
    same = hmac.compare_digest(secret.encode(), expected.encode())
    if credential is None or not same:
        raise NotSignedIn
    return credential
