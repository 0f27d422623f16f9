"""The bounds within which a connection works: sizes, counts and times. Pure; from anywhere.

The server composes `S3Settings` from its own settings; every default is what `isotherm serve` uses.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class S3Settings:
    """What is refused, and how long is waited.

    `domains`: hosts whose sub-domains are bucket names ("s3.example.org": bucket.s3.example.org); without any, and for every
    other host, the bucket is the first segment of the path.

    Sizes in bytes, times in seconds. Times are checked once a second, so that none is exact.

    `head_bytes_most`, `headers_most`: of a request line with its headers, and their number.
    `pipelined_bytes_most`: what is read ahead while a request is being answered.
    `body_bytes_ahead`: of a body that its verb has not taken yet; reading stops there.
    `drain_bytes_most`: a body that nobody wanted is read to its end up to here; beyond, the connection closes.
    `write_bytes_ahead`: of a reply that the kernel has not taken yet; the next piece waits.
    `head_s`: from the first byte of a head to its last. `body_s`: without a byte of a body that is waited for.
    `send_s`: without the client taking a byte of a reply. `idle_s`: between requests. `linger_s`: between the last reply and
    the end of the connection, for the client to read it. `abandoned_s`: a verb goes on after its client stopped sending.
    `skew_s`: between the client's clock and ours.
    """

    domains: tuple[str, ...] = ()
    head_bytes_most: int = 64 * KIB
    headers_most: int = 200
    connections_most: int = 10_000
    pipelined_bytes_most: int = 128 * KIB
    body_bytes_ahead: int = MIB
    drain_bytes_most: int = 256 * KIB
    write_bytes_ahead: int = MIB
    head_s: float = 20.0
    body_s: float = 30.0
    send_s: float = 30.0
    idle_s: float = 60.0
    linger_s: float = 2.0
    abandoned_s: float = 5.0
    skew_s: int = 900
