"""`isotherm serve`: the options of a server. Their values are read and judged in settings.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from isotherm import __version__
from isotherm.cli.reporting import reporting


def _option(metavar: str, text: str, panel: str | None = None, default: str | bool = False) -> Any:
    return typer.Option(metavar=metavar, help=text, rich_help_panel=panel, show_default=default)


_LISTEN, _SECURITY, _RUNNING = "Where it listens", "Security", "How it runs"

_Data = Annotated[Path | None, _option("DIR", "Directory of the store; made if missing.", None, "ISOTHERM_DATA")]
_Meta = Annotated[
    str | None,
    _option("URL", "postgresql://…: a database for the metadata.", None, "ISOTHERM_META; else in DIR"),
]
_Segments = Annotated[
    str | None,
    _option("URL", "s3://bucket/prefix, gs://…, az://…: for the data.", None, "ISOTHERM_SEGMENTS; else in DIR"),
]
_RootKey = Annotated[str | None, _option("FILE", "The root key, where nodes share it.", _SECURITY, "keys/root.key")]
_KeyStore = Annotated[
    str | None,
    _option("URL", "file:///DIR, aws-kms:…: for tenants' secrets.", _SECURITY, "ISOTHERM_KEYSTORE; else in DIR"),
]
_Host = Annotated[str | None, _option("ADDRESS", "Address to listen on.", _LISTEN, "127.0.0.1")]
_Port = Annotated[str | None, _option("PORT", "Port of S3; 0 chooses a free one.", _LISTEN, "9000")]
_AdminPort = Annotated[str | None, _option("PORT", "Port of health, metrics, feed and tenants.", _LISTEN, "9001")]
_Domain = Annotated[list[str] | None, _option("NAME", "Host under which buckets are sub-domains; repeatable.", _LISTEN)]
_TlsCert = Annotated[str | None, _option("FILE", "PEM: certificate and chain.", _SECURITY)]
_TlsKey = Annotated[str | None, _option("FILE", "PEM: private key.", _SECURITY)]
_Gateways = Annotated[str | None, _option("N", "Processes that serve S3.", _RUNNING, "one per core")]
_Performance = Annotated[list[str] | None, _option("DIR", "Further directory on fast media; repeatable.", _RUNNING)]
_Capacity = Annotated[list[str] | None, _option("DIR", "Further directory on large media; repeatable.", _RUNNING)]
_Drain = Annotated[str | None, _option("SECONDS", "What requests may take to end on SIGTERM.", _RUNNING, "30")]
_Hung = Annotated[str | None, _option("SECONDS", "Replace a process that shows no life for so long.", _RUNNING, "60")]
_Retained = Annotated[str | None, _option("N", "Records of the change feed to keep.", _RUNNING, "1000000")]
_Expire = Annotated[str | None, _option("DAYS", "Abort unfinished uploads of this age; 0: never.", _RUNNING, "0")]
_Log = Annotated[str | None, _option("LEVEL", "debug, info, warning or error.", _RUNNING, "info")]
_AccessLog = Annotated[
    bool | None,
    typer.Option(
        "--access-log/--no-access-log", help="Keep log/access.log.", rich_help_panel=_RUNNING, show_default="on"
    ),
]
_Qos = Annotated[
    bool | None,
    typer.Option(
        "--qos/--no-qos", help="Hold requests to their tenants' terms.", rich_help_panel=_RUNNING, show_default="on"
    ),
]
_QosRequests = Annotated[str | None, _option("N", "Tenants' requests under way at once.", _RUNNING, "64")]
_QosMib = Annotated[str | None, _option("MIB", "The same, by what they move.", _RUNNING, "64")]


def serve(
    data: _Data = None,
    meta: _Meta = None,
    segments: _Segments = None,
    root_key: _RootKey = None,
    keystore: _KeyStore = None,
    host: _Host = None,
    port: _Port = None,
    admin_port: _AdminPort = None,
    domain: _Domain = None,
    tls_cert: _TlsCert = None,
    tls_key: _TlsKey = None,
    gateways: _Gateways = None,
    performance: _Performance = None,
    capacity: _Capacity = None,
    drain_s: _Drain = None,
    hung_s: _Hung = None,
    feed_retained: _Retained = None,
    uploads_expire_days: _Expire = None,
    log: _Log = None,
    access_log: _AccessLog = None,
    qos: _Qos = None,
    qos_requests: _QosRequests = None,
    qos_mib: _QosMib = None,
) -> None:
    """Serve a store over S3, in the foreground, until Ctrl-C or SIGTERM."""
    given = dict(locals())
    with reporting():
        from isotherm.server.serve import serve as run
        from isotherm.settings import environment, load

        raise typer.Exit(run(load(given, environment()), __version__))
