"""A gateway on a loopback port for the length of a test, and a certificate for it."""

import asyncio
import datetime
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from isotherm.protocols.s3.listener import Gateway


def listening():
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener


class Served:
    """A gateway on a loopback port, for the length of a test."""

    def __init__(self, wire, listener=None, **given):
        self.owned = listener is None
        self.listener = listener or listening()
        self.gateway = Gateway(wire.endpoint, self.listener, **given)

    async def __aenter__(self):
        self.gateway.start()
        return self

    async def __aexit__(self, *exc):
        await self.gateway.drain(0.0)
        if self.owned:
            self.listener.close()

    async def connect(self, **given):
        return await asyncio.open_connection("127.0.0.1", self.listener.getsockname()[1], **given)

    async def accepted(self, count):
        """Wait until so many connections are open."""
        while self.gateway.connections != count:  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0)


@dataclass
class Certificate:
    """`server` and `client` are contexts; the client's trusts the certificate in the file `path`."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    path: Path


def certify(folder):
    """A certificate of 127.0.0.1 that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    begin = datetime.datetime(2020, 1, 1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + datetime.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "certificate").write_bytes(made.public_bytes(pem))
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key").write_bytes(secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "certificate", folder / "key")
    client = ssl.create_default_context(cafile=folder / "certificate")
    return Certificate(server, client, folder / "certificate")
