"""The sockets a server listens on: bound once, by the supervisor, and inherited by those who accept.

So a gateway that dies or is replaced takes no waiting connection with it.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
from collections.abc import Callable

from isotherm.errors import Invalid, NotPermitted, Unavailable
from isotherm.settings import Tls

BACKLOG = 4_096
_RETRY_S = 0.05


def listen(host: str, port: int, *, patience_s: float = 0.0, sleep: Callable[[float], None]) -> socket.socket:
    """A listening, non-blocking TCP socket; port 0 is chosen by the operating system.

    Args:
        patience_s: how long to wait for a port that processes of a killed server are about to leave.

    Raises:
        Invalid: the host does not name an address of this machine.
        Unavailable: the port is taken. NotPermitted: it may not be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise Invalid(f"--host {host}: {error.strerror}") from error
    while True:
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE and patience_s > 0:
                sleep(_RETRY_S)
                patience_s -= _RETRY_S
                continue
            raise _explained(error, host, port) from error
        listener.setblocking(False)
        return listener


def _explained(error: OSError, host: str, port: int) -> Invalid | Unavailable:
    match error.errno:
        case errno.EADDRINUSE:
            return Unavailable(
                f"port {port} on {host} is taken by another program; choose others with --port and --admin-port"
            )
        case errno.EACCES:
            return NotPermitted(f"port {port} needs privileges this user does not have; choose one above 1023")
        case errno.EADDRNOTAVAIL:
            return Invalid(f"--host {host} is not an address of this machine")
        case _:
            return Unavailable(f"cannot listen on {host} port {port}: {error.strerror}")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url(scheme: str, listener: socket.socket) -> str:
    """How a program on this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"{scheme}://[{address}]:{port}" if address.version == 6 else f"{scheme}://{address}:{port}"


def tls_context(tls: Tls | None) -> ssl.SSLContext | None:
    """Raises Invalid for files that are no certificate and key."""
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key, password="")
    except (OSError, ssl.SSLError) as error:
        raise Invalid(f"TLS: cannot use {tls.certificate} with {tls.key}: {error}") from error
    return context
