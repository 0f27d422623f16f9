"""Documents do not rot: their links lead somewhere, and the files and make targets they name are there."""

import re

from tests.architecture.tree import PACKAGE, TOP

LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)]*)?\)")
SOURCE = re.compile(r"`((?:[a-z0-9_]+/)*[a-z0-9_]+\.py)`")
ROOM = re.compile(r"`([a-z0-9_]+/(?:[a-z0-9_]+/)*)`")
TARGET = re.compile(r"\bmake ([a-z]+)\b(?=[`\s])")


def _documents():
    named = [TOP / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")]
    return named + sorted((TOP / "docs").rglob("*.md"))


def test_every_relative_link_leads_to_something():
    dead = [
        f"{document.relative_to(TOP)}: {link}"
        for document in _documents()
        for link, _ in LINK.findall(document.read_text())
        if not (document.parent / link).exists()
    ]
    assert not dead


def test_the_architecture_page_names_only_files_and_rooms_that_exist():
    text = (TOP / "docs" / "architecture.md").read_text()
    here = ["/" + path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")]
    missing = [name for name in SOURCE.findall(text) if not any(path.endswith("/" + name) for path in here)]
    missing += [room for room in ROOM.findall(text) if not (PACKAGE / room).is_dir()]
    assert not missing


def test_every_room_has_its_row_on_the_architecture_page():
    text = (TOP / "docs" / "architecture.md").read_text()
    rooms = {path.name for path in PACKAGE.iterdir() if path.suffix == ".py" and path.name != "__init__.py"}
    rooms |= {f"{path.name}/" for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert not [room for room in rooms if f"| `{room}" not in text and f"` `{room}`" not in text]


def test_make_targets_that_documents_name_exist():
    targets = set(re.findall(r"^([a-z]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
    named = {
        f"{document.relative_to(TOP)}: make {target}"
        for document in _documents()
        for span in re.findall(r"`[^`]+`|^    .*$|```sh.*?```", document.read_text(), re.MULTILINE | re.DOTALL)
        for target in TARGET.findall(span)
        if target not in targets
    }
    assert not named
