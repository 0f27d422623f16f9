"""What a server says when it is ready: to the person who started it, and to programs in `run/address.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from isotherm.devices import durable
from isotherm.ids import Ids

ADDRESS = "address.json"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a running server is reached. `pids` by process name, as they were when it became ready."""

    s3: str
    admin: str
    supervisor: int
    pids: Mapping[str, int]


def write_address(run: Path, address: Address, ids: Ids) -> None:
    """Raises OSError."""
    value = {name: getattr(address, name) for name in address.__slots__}
    durable.replace(run / ADDRESS, json.dumps(value, indent=2).encode() + b"\n", ids)


def read_address(run: Path) -> Address | None:
    """None where no server has left one, or it is not readable."""
    try:
        data = durable.read_small(run / ADDRESS)
        return None if data is None else Address(**json.loads(data))
    except (OSError, ValueError, TypeError):
        return None


def remove_address(run: Path) -> None:
    (run / ADDRESS).unlink(missing_ok=True)


def banner(
    program: str, data: Path, address: Address, gateways: int, credentials: Path | None, *, made: bool, secure: bool
) -> str:
    """A screenful: where it listens, and how to use it."""
    lines = [
        f"Isotherm {program} serves {data}",
        "",
        f"  S3     {address.s3}   {gateways} gateway{'s' if gateways > 1 else ''}",
        f"  admin  {address.admin}   /healthz /readyz /metrics /v1/feed /v1/openapi.json",
        "",
    ]
    if credentials is None:
        lines += ["  Root credentials: not kept here. `isotherm keys list` shows which there are.", ""]
        return "\n".join(lines)
    lines += [
        f"  Root credentials ({'made just now' if made else 'made by an earlier start'}; readable by this user alone):",
        f"    {credentials}",
        "",
    ]
    if made:
        lines += _usage(address.s3, credentials, secure)
    return "\n".join(lines)


def _usage(url: str, credentials: Path, secure: bool) -> list[str]:
    trust = ["    export AWS_CA_BUNDLE=<the certificate, if no public authority signed it>"] if secure else []
    return [
        "  Use it from a shell:",
        f"    export AWS_SHARED_CREDENTIALS_FILE={credentials}",
        *trust,
        f"    aws --endpoint-url {url} s3 mb s3://first",
        f"    aws --endpoint-url {url} s3 cp README.md s3://first/",
        "",
        "  or, with that variable set, from Python:",
        "    import boto3",
        f'    s3 = boto3.client("s3", endpoint_url="{url}", region_name="us-east-1")',
        '    s3.create_bucket(Bucket="first")',
        '    s3.put_object(Bucket="first", Key="hello", Body=b"world")',
        "",
    ]
