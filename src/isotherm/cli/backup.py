"""`isotherm backup` and `isotherm restore`."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isotherm.cli.places import Data, Meta, RootKey, Segments
from isotherm.cli.reporting import reporting

if TYPE_CHECKING:
    from isotherm.movers.backup.layout import Manifest
    from isotherm.movers.backup.restore import RestoreReport
    from isotherm.movers.backup.take import BackupReport

EXIT_DAMAGE = 2

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def backup(
    target: Annotated[Path, typer.Argument(metavar="DEST", help="Directory of the backups; made if missing.")],
    data: Data = None,
    meta: Meta = None,
    segments: Segments = None,
    root_key: RootKey = None,
    hardlink: Annotated[
        bool, typer.Option("--hardlink", help="Link segments instead of copying them, on the same file system.")
    ] = False,
    keep: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Afterwards keep only the newest N generations.")
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="First read again all that lies there, and copy anew what is not what it was."),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Back a store up while it is in use. A later backup to the same directory copies only what is new.

    No secret is in a backup. Keep copies of keys/root.key and keys/tenants/ of the store elsewhere, anew when new tenants have
    written: without them nothing that tenants stored can be read.

    Exit status: 0 all is well, 2 something is damaged, in the store or in DEST (this backup was made), 1 mend the request, 75 try again later.
    """
    from isotherm import __version__
    from isotherm.cli.showing import showing
    from isotherm.devices.waiting import drive
    from isotherm.movers.backup.take import back_up
    from isotherm.settings import environment, load
    from isotherm.store import compose
    from isotherm.tenancy.vault_record import key_rows

    with reporting():
        engines = compose(
            load({"data": data, "meta": meta, "segments": segments, "root_key": root_key}, environment()),
            role="foreign",
            create=False,
        )
        with closing(engines), showing() as shown:
            made = back_up(
                engines.opened(), target, __version__, hardlink=hardlink, keep=keep, verified=verify, progress=shown
            )
            sealed = bool(drive(engines.meta.range(*key_rows(), 1)))
        if as_json:
            typer.echo(json.dumps(_made(made)))
        else:
            _print_made(made, target, verify, sealed=sealed)
        if not made.is_whole:
            _print_damage(made, target)
            raise typer.Exit(EXIT_DAMAGE)


def _made(made: BackupReport) -> dict[str, object]:
    return {
        **_told(made.manifest),
        "copied_bytes": made.copied_bytes,
        "removed": made.removed,
        "unreadable": [one.generation for one in made.unreadable],
        "verified_bytes": made.verified_bytes,
        "rotten": [{"path": one.path, "generations": one.generations} for one in made.rotten],
        "mended": made.mended,
    }


def _print_made(made: BackupReport, target: Path, verified: bool, *, sealed: bool) -> None:
    """`sealed`: tenants have a key each, under which they have stored something."""
    from isotherm.cli.showing import size

    manifest = made.manifest
    typer.echo(
        f"generation {manifest.generation} in {target}: {size(manifest.size)} in {len(manifest.segments):,} segments, "
        f"{size(made.copied_bytes)} of them copied now"
    )
    if verified:
        typer.echo(f"read again and compared: {size(made.verified_bytes)} of earlier generations")
    for path in made.mended:
        typer.echo(f"{target / path} was damaged and has been copied again or removed")
    if made.removed:
        typer.echo(f"removed generations {', '.join(map(str, made.removed))}")
    if sealed:
        typer.echo(
            "No secret is in a backup. Keep copies of keys/root.key and keys/tenants/ elsewhere, anew when new tenants have written:\n"
            "without them nothing that tenants stored can be read."
        )


def _print_damage(made: BackupReport, target: Path) -> None:
    from isotherm.movers.backup.layout import GENERATIONS, generation_name

    manifest = made.manifest
    lines = []
    if manifest.missing or manifest.damaged:
        lines.append(
            f"{len(manifest.missing)} segments are missing, {len(manifest.damaged)} could not be read whole; run isotherm fsck"
        )
    for one in made.rotten:
        lines.append(
            f"{target / one.path} is damaged, and the store does not have the same any more: generations "
            f"{', '.join(map(str, one.generations))} cannot be restored whole"
        )
    for broken in made.unreadable:
        place = target / GENERATIONS / generation_name(broken.generation)
        lines.append(
            f"{broken.why}: generation {broken.generation} cannot be restored, and --keep removes no segments while it lies "
            f"there. Put its manifest back from another copy of the backups, or run: rm -r {place}"
        )
    for line in lines:
        typer.secho(f"isotherm: {line}", err=True, fg=typer.colors.RED)


def restore(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Directory of the backups.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Directory of the store to be; empty or missing.")],
    generation: Annotated[
        int | None, typer.Option(metavar="N", help="Which generation.", show_default="the newest")
    ] = None,
    root_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="keys/root.key of the old store, so that its access keys work, and its tenants' keys."
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check all objects afterwards, beyond the checksums of the files.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Put a store back from a backup.

    No secret is in a backup: give --root-key, and copy the old store's keys/tenants into keys/ of the new one afterwards.
    """
    from isotherm import __version__
    from isotherm.cli.showing import showing
    from isotherm.clock import SystemClock
    from isotherm.devices.drive import SystemDrive, explain
    from isotherm.ids import SystemIds
    from isotherm.movers.backup.restore import restore as put_back
    from isotherm.movers.fsck.check import DEEP, QUICK

    with reporting():
        try:
            key = root_key.read_bytes() if root_key is not None else None
        except OSError as error:
            raise explain(error, f"cannot read {root_key}") from error
        with showing() as shown:
            report = put_back(
                source,
                data,
                __version__,
                clock=SystemClock(),
                ids=SystemIds(),
                device=SystemDrive(),
                generation=generation,
                root_key=key,
                depth=DEEP if verify else QUICK,
                progress=shown,
            )
        made = None if report.readable else _new_credentials(data)
        if as_json:
            told = {**_told(report.manifest), "epoch": report.epoch, "root_credentials": made and str(made)}
            told["sealing_tenants"] = report.checked.sealing_tenants
            typer.echo(json.dumps(told))
        else:
            _print_restored(report, data, made)
            if report.checked.sealing_tenants:
                _print_sealed(data, keyed=key is not None)
            typer.echo(f"\nNext: isotherm serve --data {data}")
        if report.checked.exit_code == EXIT_DAMAGE:
            raise typer.Exit(EXIT_DAMAGE)


def _new_credentials(data: Path) -> Path:
    """Make root credentials under a root key of the store's own, as a first start does."""
    from isotherm import __version__
    from isotherm.clock import SystemClock
    from isotherm.devices.directory import open_directory
    from isotherm.devices.waiting import drive
    from isotherm.ids import SystemIds
    from isotherm.meta.lmdb import LmdbMeta
    from isotherm.server import root_credentials
    from isotherm.tenancy.identity import Credentials
    from isotherm.tenancy.keystore import FileKeys

    clock, ids = SystemClock(), SystemIds()
    directory = open_directory(data, program=__version__, clock=clock, ids=ids, create=False)
    with closing(LmdbMeta.open(directory.meta, clock=clock, ids=ids, role="foreign")) as meta:
        credentials = Credentials(meta, FileKeys(directory.keys, ids), clock, ids)
        drive(root_credentials.provide(credentials, directory.root_credentials, ids))
    return directory.root_credentials


def _print_restored(report: RestoreReport, data: Path, made: Path | None) -> None:
    from isotherm.cli.fsck_summary import print_summary

    manifest = report.manifest
    taken = datetime.fromtimestamp(manifest.begun_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    typer.echo(f"Generation {manifest.generation}, taken {taken}, is in {data} as epoch {report.epoch}.\n")
    print_summary(report.checked)
    if made is None:
        typer.echo(
            f"\n{report.readable} of {report.credentials} access keys of the old store can be read, revoked ones among them."
        )
    else:
        if report.credentials:
            typer.secho(
                f"\n{report.credentials} access keys of the old store do not work: their secrets are sealed under its root key.\n"
                "To have them, restore again with --root-key FILE (keys/root.key of the old store).",
                fg=typer.colors.YELLOW,
            )
        typer.echo(f"\nNew root credentials: {made}")
    typer.echo("Whoever follows the change feed starts from a snapshot: cursors of the old epoch have expired.")


def _print_sealed(data: Path, *, keyed: bool) -> None:
    """What is still to be done before anything can be read that tenants stored. `keyed`: the old store's root key is there."""
    copied = (
        f"copy those of the old store here: cp -a YOUR-COPY-OF-KEYS/tenants {data / 'keys'}/\n"
        "(where it has a --keystore, give the same one to serve instead). "
        f"Whether they open is told by: isotherm fsck --quick --data {data}"
    )
    if keyed:
        said = f"✗ Nothing that tenants stored can be read yet: their secrets are in no backup. Now {copied}"
    else:
        said = (
            "✗ Nothing that tenants stored can be read, now or later: their keys hang on the old store's root key. To have it,\n"
            f"restore again with --root-key FILE, to an empty directory; then {copied}"
        )
    typer.secho(f"\n{said}", fg=typer.colors.RED)


def _told(manifest: Manifest) -> dict[str, object]:
    return {
        "generation": manifest.generation,
        "store": manifest.store,
        "commit": manifest.commit,
        "taken_ms": manifest.begun_ms,
        "size": manifest.size,
        "segments": len(manifest.segments),
        "missing": manifest.missing,
        "damaged": manifest.damaged,
    }
