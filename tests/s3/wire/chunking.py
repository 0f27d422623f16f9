"""A client's side of aws-chunked: frames and signs bodies, in all five variants, right or wrong as a test wants it."""

import hashlib
import hmac

from isotherm.protocols.s3 import sigv4a
from tests.s3.wire.harness import ACCESS, DATE, EMPTY, SECRET

SCOPE = f"{DATE[:8]}/eu-x-1/s3/aws4_request"
SCOPE_V4A = f"{DATE[:8]}/s3/aws4_request"


def signing_key(secret=SECRET, scope=SCOPE):
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


class Hmac:
    """Signs the parts of one body, each over the one before."""

    algorithm = "AWS4-HMAC-SHA256"

    def __init__(self, seed, *, key=None, moment=DATE, scope=SCOPE):
        self.last, self.key, self.moment, self.scope = seed, key or signing_key(), moment, scope

    def sign(self, kind, hashes):
        text = f"{self.algorithm}-{kind}\n{self.moment}\n{self.scope}\n{self.last}\n{hashes}"
        self.last = self._sign(text)
        return self.last

    def _sign(self, text):
        return hmac.digest(self.key, text.encode(), "sha256").hex()

    def chunk(self, data):
        return self.sign("PAYLOAD", f"{EMPTY}\n{hashlib.sha256(data).hexdigest()}")

    def trailer(self, lines):
        return self.sign("TRAILER", hashlib.sha256(lines.encode()).hexdigest())


class Ecdsa(Hmac):
    algorithm = "AWS4-ECDSA-P256-SHA256"

    def __init__(self, seed, *, scope=SCOPE_V4A, access=ACCESS, secret=SECRET):
        super().__init__(seed, key=sigv4a.private_key(access, secret), scope=scope)

    def _sign(self, text):
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        return self.key.sign(text.encode(), ec.ECDSA(SHA256())).hex()

    def chunk(self, data):
        return super().chunk(data).ljust(144, "*")

    def trailer(self, lines):
        return super().trailer(lines).ljust(144, "*")


def framed(chunks, chain=None, trailers=None, *, signed_trailer=True):
    """The bytes on the wire: `chunks`, the last one of size zero, and trailers if any."""
    out = b""
    for data in [*chunks, b""]:
        extension = f";chunk-signature={chain.chunk(data)}" if chain else ""
        out += f"{len(data):x}{extension}\r\n".encode() + data + (b"\r\n" if data else b"")
    if trailers is not None:
        out += "".join(f"{name}:{value}\r\n" for name, value in trailers.items()).encode()
        if chain and signed_trailer:
            lines = "".join(f"{name}:{value}\n" for name, value in sorted(trailers.items()))
            out += f"x-amz-trailer-signature:{chain.trailer(lines)}\r\n".encode()
    return out + b"\r\n"
