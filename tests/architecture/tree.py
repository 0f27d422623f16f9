"""The source tree as these tests see it: parsed once, named by paths from the top of the repository."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / "src" / "isotherm"


@dataclass(frozen=True, slots=True)
class Module:
    path: Path
    text: str
    syntax: ast.Module

    @property
    def name(self) -> str:
        """`src/isotherm/meta/port.py`"""
        return self.path.relative_to(TOP).as_posix()

    @property
    def room(self) -> str:
        """`meta` for everything in that folder, `clock` for clock.py; empty outside the package."""
        if not self.path.is_relative_to(PACKAGE):
            return ""
        return self.path.relative_to(PACKAGE).parts[0].removesuffix(".py")

    def at(self, node: ast.AST) -> str:
        return f"{self.name}:{getattr(node, 'lineno', 1)}"


@cache
def modules(*roots: str) -> tuple[Module, ...]:
    """Every Python file below `roots`."""
    paths = (path for root in roots for path in sorted((TOP / root).rglob("*.py")))
    return tuple(Module(path, text := path.read_text(), ast.parse(text, str(path))) for path in paths)


def product() -> tuple[Module, ...]:
    return modules("src/isotherm")


def everything() -> tuple[Module, ...]:
    return modules("src", "tests", "demo", "benchmarks", "tools")


def imported(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Every name that `module` imports, with the node that does; relative imports are left out (there are none)."""
    for node in ast.walk(module.syntax):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def dotted(node: ast.AST | None) -> str:
    """`os.path.join` for that expression; empty for anything but names and attributes."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""
