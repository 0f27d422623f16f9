"""Everything an operator may set, as one frozen tree: the only reader of the environment.

A setting is given on the command line, or else in an environment variable `ISOTHERM_…`, or else has its default. Processes
that a server spawns receive the tree as JSON from their parent (`encode`, `decode`), never from the environment.

Pure except `environment`. Each room's own settings are defined in that room and hang here as a branch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from isotherm.devices.directory import MetaKind
from isotherm.errors import Invalid
from isotherm.movers.settings import MoverSettings
from isotherm.segments.remote.settings import RemoteSettings, check_url
from isotherm.segments.settings import SegmentSettings

PREFIX = "ISOTHERM_"
GATEWAYS_MOST = 64
_PORT_MOST = 65_535
_TOP = ("data", "meta", "performance", "capacity", "root_key", "keystore")


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: the certificate with its chain, and its private key without a passphrase."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server listens and runs. Ports of 0 are chosen by the operating system. Times in seconds.

    Args:
        gateways: number of gateway processes.
        domains: host names under which buckets are addressed as `bucket.domain`.
        drain_s: how long requests under way may take to end when the server is asked to stop.
        orphan_drain_s: the same, for processes whose supervisor has died.
        hung_s: a process that has shown no life for so long is killed, and started again.
        log: least level of log lines: debug, info, warning or error.
        access_log: whether gateways write `log/access.log`.
        qos: whether requests are held to the terms of their tenants.
        qos_requests: requests of tenants that all gateways together may have under way, so that the others wait in the order
            of what was promised to whom.
        qos_mib: the same, in MiB of what they move.
    """

    host: str = "127.0.0.1"
    port: int = 9_000
    admin_port: int = 9_001
    gateways: int = 1
    tls: Tls | None = None
    domains: tuple[str, ...] = ()
    drain_s: float = 30.0
    orphan_drain_s: float = 2.0
    hung_s: float = 60.0
    log: str = "info"
    access_log: bool = True
    qos: bool = True
    qos_requests: int = 64
    qos_mib: int = 64


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """`retained`: records of the change feed that are kept at least; a follower further behind starts from a snapshot."""

    retained: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """The tree.

    Args:
        data: directory of the store.
        performance, capacity: further directories of each media class, beside those in `data`.
        meta: URL of the PostgreSQL database that holds the metadata, perhaps with a password; empty: LMDB, in `data`.
        bucket: URL of the bucket that holds the segments; empty: directories.
        root_key: file with the root key, where it is not `keys/root.key` in `data`.
        keystore: URL of the key store that holds the secrets of tenants; empty: `keys/tenants` in `data`.
    """

    data: Path
    performance: tuple[Path, ...] = ()
    capacity: tuple[Path, ...] = ()
    server: ServerSettings = field(default_factory=ServerSettings)
    segments: SegmentSettings = field(default_factory=SegmentSettings)
    feed: FeedSettings = field(default_factory=FeedSettings)
    movers: MoverSettings = field(default_factory=MoverSettings)
    meta: str = field(default="", repr=False)
    bucket: str = ""
    remote: RemoteSettings = field(default_factory=RemoteSettings)
    root_key: Path | None = None
    keystore: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", Path(self.data))  # programs like to give a str

    @property
    def meta_kind(self) -> MetaKind:
        """Which engine holds the metadata."""
        return "postgresql" if self.meta else "lmdb"


def environment() -> dict[str, str]:
    """The variables of this process that concern Isotherm, without their prefix, in lower case."""
    return {name[len(PREFIX) :].lower(): text for name, text in os.environ.items() if name.startswith(PREFIX)}


def load(given: Mapping[str, object], variables: Mapping[str, str]) -> Settings:
    """The tree from values given on the command line (None: not given) and the variables of `environment`.

    Raises:
        Invalid: names the option or variable, its value, and what it may be.
    """
    _refuse_misspelt(variables)
    values: dict[str, Any] = {}
    for name, read in _READERS.items():
        value = given.get(name)
        if value is not None and value != []:
            values[name] = read(f"--{name.replace('_', '-')}", value)
        elif name in variables:
            values[name] = read(f"{PREFIX}{name.upper()}", variables[name])
    if "data" not in values:
        raise Invalid(f"which directory? Give --data DIR or set {PREFIX}DATA")
    certificate, key = values.pop("tls_cert", None), values.pop("tls_key", None)
    if (certificate is None) != (key is None):
        raise Invalid("TLS needs both --tls-cert and --tls-key")
    tls = Tls(certificate, key) if certificate and key else None
    top = {name: values.pop(name) for name in _TOP if name in values}
    if "segments" in values:
        top["bucket"] = values.pop("segments")
        if "performance" in top or "capacity" in top:
            raise Invalid("--segments keeps all data in a bucket: --performance and --capacity name no place then")
    feed = FeedSettings(values.pop("feed_retained")) if "feed_retained" in values else FeedSettings()
    expire_days = values.pop("uploads_expire_days", None)
    movers = MoverSettings(uploads_expire_s=expire_days * 86_400.0) if expire_days else MoverSettings()
    values.setdefault("gateways", min(len(os.sched_getaffinity(0)), GATEWAYS_MOST))
    server = ServerSettings(tls=tls, domains=values.pop("domain", ()), **values)
    if server.port == server.admin_port != 0:
        raise Invalid(f"--port and --admin-port are both {server.port}; they must differ")
    return Settings(**top, server=server, feed=feed, movers=movers)


def encode(settings: Settings) -> object:
    """The tree as a JSON value."""
    value: object = _plain(asdict(settings))
    return value


def decode(value: object) -> Settings:
    """The inverse of `encode`."""
    import msgspec

    return msgspec.convert(value, Settings, dec_hook=lambda kind, text: kind(text))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def _number(least: int, most: int) -> Callable[[str, object], int]:
    def read(source: str, value: object) -> int:
        try:
            number = int(str(value))
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise Invalid(f"{source} is {value!r}; it must be a whole number from {least} to {most:_}")
        return number

    return read


def _seconds(source: str, value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise Invalid(f"{source} is {value!r}; it must be a number of seconds from 0 to 86400")
    return seconds


def _word(*words: str) -> Callable[[str, object], str]:
    def read(source: str, value: object) -> str:
        word = str(value).lower()
        if word not in words:
            raise Invalid(f"{source} is {value!r}; it must be one of {', '.join(words)}")
        return word

    return read


def _switch(source: str, value: object) -> bool:
    word = str(value).lower()
    if word not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
        raise Invalid(f"{source} is {value!r}; it must be true or false")
    return word in ("true", "1", "yes", "on")


def _text(source: str, value: object) -> str:
    if not (text := str(value).strip()):
        raise Invalid(f"{source} is empty")
    return text


def _database(source: str, value: object) -> str:
    url = str(value).strip()
    if not url.startswith(("postgresql://", "postgres://")):  # it may hold a password: not told
        raise Invalid(
            f"{source} must be a URL postgresql://[USER[:PASSWORD]@][HOST[:PORT],…]/DATABASE[?OPTION=VALUE&…]"
        )
    return url


def _bucket(source: str, value: object) -> str:
    try:
        return check_url(str(value).strip())
    except Invalid as error:
        raise Invalid(f"{source}: {error}") from error


def _keystore(source: str, value: object) -> str:
    url = str(value).strip()
    if not url.startswith(("file:///", "aws-kms:")):
        raise Invalid(f"{source} is {url!r}; it must be file:///DIR or aws-kms:[?region=…&endpoint=…]")
    return url


def _path(source: str, value: object) -> Path:
    return Path(_text(source, value)).expanduser().absolute()


def _file(source: str, value: object) -> Path:
    path = _path(source, value)
    if not path.is_file():
        raise Invalid(f"{source} is {str(value)!r}; there is no such file")
    return path


def _paths(source: str, value: object) -> tuple[Path, ...]:
    return tuple(_path(source, part) for part in _parts(value, os.pathsep))


def _domains(source: str, value: object) -> tuple[str, ...]:
    domains = tuple(part.strip().strip(".").lower() for part in _parts(value, ","))
    for domain in domains:
        if not domain or len(domain) > 253 or not all(letter.isalnum() or letter in ".-" for letter in domain):
            raise Invalid(f"{source} has {domain!r}, which is not a host name")
    return domains


def _parts(value: object, separator: str) -> list[str]:
    return (
        [part for part in value.split(separator) if part] if isinstance(value, str) else [str(p) for p in _each(value)]
    )


def _each(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


_READERS: Mapping[str, Callable[[str, object], object]] = {
    "data": _path,
    "meta": _database,
    "segments": _bucket,
    "root_key": _file,
    "keystore": _keystore,
    "performance": _paths,
    "capacity": _paths,
    "host": _text,
    "port": _number(0, _PORT_MOST),
    "admin_port": _number(0, _PORT_MOST),
    "gateways": _number(1, GATEWAYS_MOST),
    "tls_cert": _file,
    "tls_key": _file,
    "domain": _domains,
    "drain_s": _seconds,
    "hung_s": _seconds,
    "log": _word("debug", "info", "warning", "error"),
    "access_log": _switch,
    "qos": _switch,
    "qos_requests": _number(1, 100_000),
    "qos_mib": _number(1, 1_000_000),
    "uploads_expire_days": _number(0, 36_500),
    "feed_retained": _number(1_000, 1_000_000_000),
}


def _refuse_misspelt(variables: Mapping[str, str]) -> None:
    """Variables nobody knows are left alone (orchestrators set ISOTHERM_SERVICE_HOST and the like), unless near one we know."""
    for name in variables:
        if name in _READERS:
            continue
        from difflib import get_close_matches

        near = get_close_matches(name, _READERS, n=1, cutoff=0.8)
        if near:
            raise Invalid(f"{PREFIX}{name.upper()} is not a setting; did you mean {PREFIX}{near[0].upper()}?")
