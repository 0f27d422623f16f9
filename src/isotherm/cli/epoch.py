"""`isotherm epoch`: the epoch that a store's positions in the change feed belong to, and a new one after a loss."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from isotherm.cli.places import Data, Meta, RootKey, Segments
from isotherm.cli.reporting import reporting


def epoch(
    data: Data = None,
    meta: Meta = None,
    segments: Segments = None,
    root_key: RootKey = None,
    new: Annotated[
        bool, typer.Option("--new", help="Begin a new one: after the database failed over and lost commits.")
    ] = False,
) -> None:
    """Print the store's epoch. With --new, cursors of the change feed expire: whoever follows it starts from a snapshot."""
    from isotherm.devices.waiting import drive
    from isotherm.settings import environment, load
    from isotherm.store import compose

    with reporting():
        settings = load({"data": data, "meta": meta, "segments": segments, "root_key": root_key}, environment())
        with closing(compose(settings, role="foreign", create=False)) as engines:
            typer.echo(drive(engines.meta.bump_epoch()) if new else engines.meta.epoch)
