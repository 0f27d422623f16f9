"""`isotherm fsck`: whether every object of a store is readable and every byte accounted for, and what is not.

Exit status: 0 clean, 1 space is wasted, 2 damage, 8 it could not be checked, 75 try again later.

The check runs in a process of its own: where the metadata's pages are damaged, its engine may take the process down, and
that must be told as damage too.
"""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isotherm.cli.places import Data, KeyStore, Meta, RootKey, Segments
from isotherm.cli.reporting import EXIT_AGAIN, is_passing
from isotherm.errors import Corrupt, IsothermError

if TYPE_CHECKING:
    from isotherm.movers.fsck.findings import Report
    from isotherm.store import Engines

EXIT_DAMAGE = 2
EXIT_UNCHECKED = 8


def fsck(
    data: Data = None,
    meta: Meta = None,
    segments: Segments = None,
    root_key: RootKey = None,
    keystore: KeyStore = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Mend what can be derived, and drop what nothing can refer to. Stop the server first."
        ),
    ] = False,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Do not read the objects' bytes; see only that all are where they should be."),
    ] = False,
    scratch: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where scratch space is taken.", show_default="run/ of the store"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    inner: Annotated[bool, typer.Option("--inner", hidden=True)] = False,
) -> None:
    """Prove every object readable and every byte accounted for; also while a server runs."""
    if not inner:
        raise typer.Exit(_in_child())
    with _exiting():
        places: dict[str, object] = {"data": data, "meta": meta, "segments": segments}
        places |= {"root_key": root_key, "keystore": keystore}
        raise typer.Exit((_repair if repair else _check)(places, quick, scratch, as_json))


def _in_child() -> int:
    command = [sys.executable, "-m", "isotherm.cli", *sys.argv[1:], "--inner"]
    try:
        child = subprocess.run(command, check=False)
    except KeyboardInterrupt:
        return EXIT_UNCHECKED
    if child.returncode < 0 and -child.returncode not in (2, 9, 15):  # not one that a person sends
        typer.secho(
            f"isotherm: damage: the metadata's engine failed with signal {-child.returncode} while reading its own pages. "
            "Put the store back from a backup.",
            err=True,
            fg=typer.colors.RED,
        )
        return EXIT_DAMAGE
    return child.returncode if child.returncode >= 0 else EXIT_UNCHECKED


@contextmanager
def _exiting() -> Iterator[None]:
    try:
        yield
    except IsothermError as error:
        typer.secho(f"isotherm: {error}", err=True, fg=typer.colors.RED)
        code = EXIT_DAMAGE if isinstance(error, Corrupt) else EXIT_AGAIN if is_passing(error) else EXIT_UNCHECKED
        raise typer.Exit(code) from error
    except typer.Exit:
        raise
    except Exception as error:  # whatever else fails must not look like an answer
        traceback.print_exc()
        raise typer.Exit(EXIT_UNCHECKED) from error


def _check(places: dict[str, object], quick: bool, scratch: Path | None, as_json: bool) -> int:
    from isotherm.cli.showing import showing
    from isotherm.movers.fsck.check import DEEP, QUICK, check
    from isotherm.settings import environment, load
    from isotherm.store import compose

    engines = compose(load(places, environment()), role="foreign", create=False)
    with closing(engines), showing() as shown:
        depth = QUICK if quick else DEEP
        report = check(engines.opened(), scratch or engines.directory.run, depth=depth, progress=shown)
    if as_json:
        typer.echo(report.to_json().decode())
    else:
        _print(report)
    return report.exit_code


def _repair(places: dict[str, object], quick: bool, scratch: Path | None, as_json: bool) -> int:
    from isotherm import __version__
    from isotherm.cli.showing import showing
    from isotherm.clock import SystemClock
    from isotherm.devices.directory import open_directory
    from isotherm.ids import SystemIds
    from isotherm.meta.lmdb import ServerLock
    from isotherm.movers.fsck.check import DEEP, QUICK
    from isotherm.movers.fsck.check import repair as mend
    from isotherm.settings import environment, load
    from isotherm.store import compose

    settings = load(places, environment())
    directory = open_directory(
        settings.data,
        program=__version__,
        clock=SystemClock(),
        ids=SystemIds(),
        create=False,
        meta_kind=settings.meta_kind,
    )
    with ServerLock(directory.meta) as held:
        engines = compose(settings, role="server", create=False)
        with closing(engines), showing() as shown:
            _demand_alone(engines)
            depth = QUICK if quick else DEEP
            before, after = mend(engines.opened(), held, scratch or directory.run, depth=depth, progress=shown)
    if as_json:
        typer.echo(b'{"before": %s, "after": %s}' % (before.to_json(), after.to_json()))
        return after.exit_code
    if after is not before:
        _print(before, verdict=False)
        typer.echo(f"\nRepairs made: {after.repaired:,}. Checked again:\n")
    _print(after)
    return after.exit_code


def _demand_alone(engines: Engines) -> None:
    """A database may be open elsewhere, where no lock of the directory is seen."""
    if engines.settings.meta_kind != "postgresql":
        return
    from isotherm.devices.waiting import drive
    from isotherm.errors import Unavailable
    from isotherm.meta.postgresql import PostgresMeta

    if isinstance(engines.meta, PostgresMeta) and (others := drive(engines.meta.others())):
        raise Unavailable(
            f"{others} connections of other programs to this store's database are open: end those programs first"
        )


def _print(report: Report, *, verdict: bool = True) -> None:
    from isotherm.cli.fsck_summary import print_summary

    print_summary(report, verdict=verdict)
