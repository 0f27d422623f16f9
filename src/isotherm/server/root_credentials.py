"""The first pair of keys: made by the first start, kept in `keys/root-credentials` for its owner alone.

The file is in the format of AWS's shared credentials file, so that AWS_SHARED_CREDENTIALS_FILE may name it. It is written
before the pair is stored: a server that died in between finds it and stores it then. An operator may carry the file away;
nothing asks for it afterwards. The pair carries every role; one of before there were roles gets them at the next start.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from isotherm.devices import durable
from isotherm.devices.drive import explain
from isotherm.errors import Invalid
from isotherm.ids import Ids
from isotherm.tenancy.audit.deed import Deed
from isotherm.tenancy.identity import ROOT_TENANT, Credential, Credentials, State
from isotherm.tenancy.roles import ALL_ROLES

DESCRIPTION = "root, made by the first start"


@dataclass(frozen=True, slots=True)
class Provided:
    """`access_key` is None where the operator has carried the file away. `made`: just now."""

    access_key: str | None
    made: bool


async def provide(credentials: Credentials, path: Path, ids: Ids) -> Provided:
    """See to it that somebody can sign in; `path` is the file's. Raises Invalid for a damaged file, and what the store raises."""
    kept = read(path)
    await credentials.index()
    if kept is not None:
        await credentials.keep(kept, DESCRIPTION)
        return Provided(kept.access_key, made=False)
    if any(one.tenant == ROOT_TENANT and one.state is State.ACTIVE for one in await credentials.list()):
        return Provided(None, made=False)
    drawn = credentials.draw()
    write(path, drawn, ids)
    await credentials.keep(drawn, DESCRIPTION)
    return Provided(drawn.access_key, made=True)


async def rotate(
    credentials: Credentials, path: Path, ids: Ids, access_key: str, grace_s: float, deed: Deed | None = None
) -> Credential:
    """`Credentials.rotate`; where the pair is the one in the file, the file holds the new one afterwards."""
    kept = read(path)
    if kept is None or kept.access_key != access_key:
        return await credentials.rotate(access_key, grace_s=grace_s, deed=deed)
    successor = credentials.draw()
    write(path, successor, ids)
    try:
        return await credentials.rotate(access_key, grace_s=grace_s, successor=successor, deed=deed)
    except BaseException:
        write(path, kept, ids)
        raise


def read(path: Path) -> Credential | None:
    """The pair in a credentials file; None where there is no file."""
    try:
        data = durable.read_small(path)
    except OSError as error:
        raise explain(error, f"cannot read {path}") from error
    if data is None:
        return None
    lines = (line.partition("=") for line in data.decode("utf-8", "replace").splitlines())
    values = {name.strip(): value.strip() for name, _, value in lines}
    try:
        return Credential(values["aws_access_key_id"], values["aws_secret_access_key"], ROOT_TENANT, ALL_ROLES)
    except KeyError as error:
        raise Invalid(f"{path} lacks {error.args[0]}; mend the file or remove it") from error


def write(path: Path, credential: Credential, ids: Ids) -> None:
    text = (
        "# The root credentials of this Isotherm store. Whoever can read this file owns the store.\n"
        "[default]\n"
        f"aws_access_key_id = {credential.access_key}\n"
        f"aws_secret_access_key = {credential.secret}\n"
        "region = us-east-1\n"
    )
    try:
        durable.replace(path, text.encode(), ids)
    except OSError as error:
        raise explain(error, f"cannot write {path}") from error
