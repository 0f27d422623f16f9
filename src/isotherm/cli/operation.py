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
_TAKES_ONE_AWAY = "Labels to set; NAME= takes one away."


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
    for field, schema in _fields(operation):
        many = field.name in _NAMED
        option = typer.Option(
            _option(field.name),
            metavar="NAME=VALUE" if many else _METAVARS.get(field.name, "N"),
            help=_help(operation, field.name, schema),
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


def _fields(operation: Operation) -> list[tuple[msgspec.structs.FieldInfo, Mapping[str, Any]]]:
    """What an operation takes beside its path, each with its schema."""
    import msgspec

    struct = operation.body or operation.query
    if struct is None:
        return []
    properties = msgspec.json.schema(struct)["$defs"][struct.__name__]["properties"]
    return [(field, properties[field.name]) for field in msgspec.structs.fields(struct)]


def _option(field: str) -> str:
    return f"--{_NAMED.get(field, field).replace('_', '-')}"


def _help(operation: Operation, field: str, schema: Mapping[str, Any]) -> str:
    """What an option means; where it changes something that is there, also how that is taken away."""
    from isotherm.cli.wording import takes_none
    from isotherm.tenancy.terms import TERM_NAMES, UNBOUND

    text = _described(schema) or _HELP.get(field, "")
    if operation.name != "tenant.update":
        return text
    if field in _NAMED:
        return _TAKES_ONE_AWAY
    if field not in TERM_NAMES or not takes_none(schema):
        return text
    usual = getattr(UNBOUND, field)
    return f"{text.removesuffix('.')}; {_NONE} takes it {'away' if usual is None else f'back to {usual}'}."


def _described(schema: Mapping[str, Any]) -> str:
    """The description in a schema, however deep it lies."""
    if "description" in schema:
        return str(schema["description"])
    return next((text for part in schema.get("anyOf", ()) if (text := _described(part))), "")


def _typed(operation: Operation, given: Mapping[str, Any]) -> Any:
    """The struct that the options describe. Raises Invalid."""
    import msgspec

    from isotherm.cli.wording import field_of, refusal, takes_none
    from isotherm.errors import Invalid

    struct = operation.body or operation.query
    if struct is None:
        return None
    schemas = {field.name: schema for field, schema in _fields(operation)}
    may_be_none = {name for name, schema in schemas.items() if operation.body is not None and takes_none(schema)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in _NAMED:
            if value:
                values[name] = dict(_pair(text) for text in value)
        elif value is not None:
            values[name] = None if value == _NONE and name in may_be_none else value
    try:
        return msgspec.convert(values, struct, strict=False)
    except msgspec.ValidationError as error:
        if (name := field_of(str(error))) not in schemas:
            raise Invalid(str(error)) from None
        raise Invalid(refusal(_option(name), schemas[name], given[name], none=name in may_be_none)) from None


def _pair(text: str) -> tuple[str, str | None]:
    """`NAME=VALUE`; `NAME=`, and a bare NAME, take a label away."""
    name, _, value = text.partition("=")
    return name, value or None


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

    from isotherm.cli.printing import print_one, print_table, print_usage
    from isotherm.protocols.admin.schemas import TenantUsage

    if answer is None:
        return
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(answer)).decode())
        return
    told: dict[str, Any] = msgspec.to_builtins(answer)
    if isinstance(answer, TenantUsage):
        print_usage(told)
    elif columns:
        print_table(next(value for value in told.values() if isinstance(value, list)), columns)
        if told["next"]:
            typer.secho(f"More follow: --after {told['next']}", err=True, dim=True)
    else:
        print_one(told)
