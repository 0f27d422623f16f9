"""Commands made from the operations' table (`protocols/admin/operations.py`): `isotherm tenant …`, `isotherm audit …`.

They work on the store itself, whether a server runs on it or not. What they run is what the administrative API runs, as the owner of
the store, and the audit log is told of it like there. On the store, and not over the API, for the reason for which `keys` and
`fsck` are: who may open the directory needs no credential, nor a server, and there is one way to say where a store lies. With a
server, changes go through it. Tenants' own admins, who have no directory, use the API.

The table is read when a command is wanted, so that `isotherm --help` stays quick.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from isotherm.cli.places import Data, KeyStore, Meta, RootKey, Segments
from isotherm.cli.reporting import reporting

if TYPE_CHECKING:
    import msgspec

    from isotherm.protocols.admin.operation import Operation

_PLACES = {"data": Data, "meta": Meta, "segments": Segments, "root_key": RootKey, "keystore": KeyStore}
_NAMED = {"labels": "label"}
_HELP = {
    "tenant": "Its path, as acme/research, or its id, as @17.",
    "to": "Its new path.",
    "grant": "The grant's name.",
    "alias": "The name of the bucket there.",
}
_TEXTS = ("to", "under", "after", "bucket", "prefix", "alias", "access", "owner", "grant")
_METAVARS = {
    **dict.fromkeys(_TEXTS, "TEXT"),
    "confirm": "PATH",
    "subtree": "true",
    "since": "TIME",
    "until": "TIME",
}
_NONE = "none"
_LEADING = ("path", "id", "state", "standing")


class FromTable(TyperGroup):
    """A group whose commands are made when they are asked for: the operations whose names begin with the group's, and its own."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*commands(self.name or ""), *self.commands]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return self.commands.get(cmd_name) or commands(self.name or "").get(cmd_name)


def commands(group: str) -> Mapping[str, Any]:
    """Those of a group, by their names."""
    from isotherm.protocols.admin.operations import OPERATIONS

    made = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
    for operation in OPERATIONS:
        if operation.command is not None and operation.name.startswith(f"{group}."):
            made.command(operation.command)(_command(operation))
    found: Mapping[str, Any] = typer.main.get_command(made).commands  # type: ignore[attr-defined]
    return found


def _command(operation: Operation) -> Callable[..., None]:
    """A function whose signature says what the operation takes, for typer to read."""

    def command(**given: Any) -> None:
        with reporting():
            places = {name: given.pop(name) for name in _PLACES}
            as_json = given.pop("as_json")
            path = {name: given.pop(name) for name in operation.parameters}
            _print(_run(operation, places, path, given), operation.columns, as_json)

    parameters = [
        _parameter(name, str, typer.Argument(metavar=name.upper(), help=_HELP[name])) for name in operation.parameters
    ]
    for field, text in _fields(operation):
        many = field.name in _NAMED
        option = typer.Option(
            f"--{_NAMED.get(field.name, field.name).replace('_', '-')}",
            metavar="NAME=VALUE" if many else _METAVARS.get(field.name, "N"),
            help=text,
            show_default=False,
        )
        if field.required:
            parameters.append(_parameter(field.name, str, option))
        else:
            parameters.append(_parameter(field.name, list[str] if many else str | None, option, [] if many else None))
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=None)
        for name, kind in _PLACES.items()
    ]
    as_json = typer.Option("--json", help="Print JSON.")
    parameters.append(_parameter("as_json", bool, as_json, False))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__name__ = operation.name.replace(".", "_")
    command.__doc__ = operation.summary
    return command


def _parameter(name: str, kind: Any, declared: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, declared], default=default
    )


def _fields(operation: Operation) -> list[tuple[msgspec.structs.FieldInfo, str]]:
    """What an operation takes beside its path, each with what it means."""
    import msgspec

    struct = operation.body or operation.query
    if struct is None:
        return []
    properties = msgspec.json.schema(struct)["$defs"][struct.__name__]["properties"]
    fields = msgspec.structs.fields(struct)
    return [(field, _described(properties[field.name]) or _HELP.get(field.name, "")) for field in fields]


def _described(schema: Mapping[str, Any]) -> str:
    """The description in a schema, however deep it lies."""
    if "description" in schema:
        return str(schema["description"])
    return next((text for part in schema.get("anyOf", ()) if (text := _described(part))), "")


def _typed(operation: Operation, given: Mapping[str, Any]) -> Any:
    """The struct that the options describe. Raises Invalid."""
    import msgspec

    from isotherm.errors import Invalid

    struct = operation.body or operation.query
    if struct is None:
        return None
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in _NAMED:
            if value:
                values[name] = dict(_pair(text) for text in value)
        elif value is not None:
            values[name] = None if value == _NONE else value
    try:
        return msgspec.convert(values, struct, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(str(error)) from None


def _pair(text: str) -> tuple[str, str | None]:
    """`NAME=VALUE`; a bare NAME takes a label away."""
    name, equals, value = text.partition("=")
    return name, value if equals else None


def _run(
    operation: Operation, places: Mapping[str, Any], path: Mapping[str, str], given: Mapping[str, Any]
) -> msgspec.Struct | None:
    from isotherm.devices.waiting import drive
    from isotherm.protocols.admin.composition import administration
    from isotherm.protocols.admin.operation import Answer, Call
    from isotherm.settings import environment, load
    from isotherm.store import compose
    from isotherm.tenancy.audit.deed import Deed
    from isotherm.tenancy.audit.recorder import Recorder
    from isotherm.tenancy.register import Register
    from isotherm.tenancy.roles import OWNER

    settings = load(places, environment())
    with closing(compose(settings, role="foreign", create=False)) as engines:
        register = Register(engines.meta, engines.keys, engines.clock, engines.ids)
        on = administration(engines, register)

        async def act(deed: Deed | None) -> Answer:
            taken = {"body" if operation.body is not None else "query": _typed(operation, given)}
            return await operation.act(on, Call(OWNER, path, **taken, deed=deed))

        if not operation.audited:
            return drive(act(None)).body
        recorder = Recorder(engines.meta, engines.clock, engines.ids)
        deed = recorder.begin(operation.name, OWNER)
        return drive(recorder.watch(deed, act(deed), tenant=path.get("tenant", ""))).body


def _print(answer: msgspec.Struct | None, columns: Sequence[str], as_json: bool) -> None:
    import msgspec

    if answer is None:
        return
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(answer)).decode())
        return
    told: dict[str, Any] = msgspec.to_builtins(answer)
    rows = next((value for value in told.values() if isinstance(value, list)), None) if "next" in told else None
    if rows is None:
        leading = [name for name in _LEADING if name in told]
        for name in (*leading, *(name for name in told if name not in leading)):
            if told[name] is not None and told[name] != {}:
                value = ", ".join(told[name]) if isinstance(told[name], list) else told[name]
                typer.echo(f"{name.replace('_', ' '):<32}{_shown(value)}")
        return
    _print_table(rows, columns)
    if told.get("next"):
        typer.secho(f"More follow: --after {told['next']}", err=True, dim=True)


def _print_table(rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    """Without columns: those that tell tenants apart, no times, and no term that is everywhere what it is by default."""
    import msgspec
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from isotherm.protocols.admin.schemas import NewTenant

    usual = msgspec.structs.asdict(NewTenant())
    columns = columns or [*_LEADING, *(name for name in usual if any(row.get(name) != usual[name] for row in rows))]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), no_wrap=column == "path")
    for row in rows:
        table.add_row(*(Text(_shown(row[column])) for column in columns))  # which is no markup, whatever is in it
    Console().print(table)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and "signature" in value:
        return "see --json"
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_shown(part)}" for name, part in value.items()) or "–"
    if isinstance(value, list) and len(value) == 2:  # of a record: before and after
        return f"{_shown(value[0])}→{_shown(value[1])}"
    text = "–" if value is None or value == "" else str(value)
    return "".join(
        letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text
    )  # a terminal obeys others
