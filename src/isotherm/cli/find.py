"""`isotherm find`: objects by their tags, straight from the store, whether a server runs on it or not."""

from __future__ import annotations

from typing import Annotated

import typer

from isotherm.cli.places import Data, Meta, RootKey, Segments
from isotherm.cli.reporting import reporting

_PAGE = 1_000


def find(
    tags: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE…", help="Tags that an object must carry, all of them.")
    ],
    data: Data = None,
    meta: Meta = None,
    segments: Segments = None,
    root_key: RootKey = None,
    bucket: Annotated[str | None, typer.Option(metavar="NAME", help="Only in this bucket.")] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, help="Print at most so many.", show_default="all")
    ] = 1_000_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    """Print the objects whose current version carries all of the tags."""
    with reporting():
        import json

        from isotherm.devices.waiting import drive
        from isotherm.objects.model import Found
        from isotherm.settings import environment, load
        from isotherm.store import compose

        wanted = _parsed(tags)
        settings = load({"data": data, "meta": meta, "segments": segments, "root_key": root_key}, environment())
        engines = compose(settings, role="foreign", create=False)
        try:
            after: Found | None = None
            left = limit
            while left > 0:
                page = drive(engines.space().find(wanted, bucket=bucket, after=after, limit=min(left, _PAGE)))
                for found in page:
                    told = {"bucket": found.bucket, "key": found.key, "version_id": found.version_id}
                    typer.echo(json.dumps(told) if as_json else f"{found.bucket}/{found.key}")
                if not page:
                    return
                left, after = left - len(page), page[-1]
        finally:
            engines.close()


def _parsed(tags: list[str]) -> dict[str, str]:
    from isotherm.errors import Invalid

    wanted: dict[str, str] = {}
    for tag in tags:
        name, equals, value = tag.partition("=")
        if not name or not equals or wanted.get(name, value) != value:
            raise Invalid(f"{tag!r}: a tag is given as NAME=VALUE, and each name once")
        wanted[name] = value
    return wanted
