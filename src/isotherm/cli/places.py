"""Options that say where a store lies, the same for every command that opens one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path | None, typer.Option(metavar="DIR", help="Directory of the store.", show_default="ISOTHERM_DATA")]
Segments = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Its data, where a bucket holds it: s3://bucket/prefix, …", show_default="ISOTHERM_SEGMENTS"
    ),
]
RootKey = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Its root key, where that is shared.", show_default="ISOTHERM_ROOT_KEY"),
]
KeyStore = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Its tenants' secrets, where they lie elsewhere.", show_default="ISOTHERM_KEYSTORE"
    ),
]
Meta = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Its metadata, where PostgreSQL holds it: postgresql://…", show_default="ISOTHERM_META"
    ),
]
