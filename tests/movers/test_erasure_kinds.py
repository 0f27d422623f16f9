"""Every table that holds something of a tenant has an eraser, or says why nothing of it is removed."""

import ast
import re

from isotherm.movers.erasure.kinds import KEPT, KINDS, WALKED
from isotherm.movers.fsck.feeds import _SYSTEM_TABLES
from isotherm.objects.layout import TABLES
from tests.architecture.tree import PACKAGE, TOP

TENANT = 7
PAGE = (TOP / "docs" / "formats" / "meta-keys.md").read_text()


def erased(tenant):
    """Prefixes of the system's tables, and of a tenant's, that some eraser goes over."""
    return {kind.rows(tenant)[0][:5] for kind in KINDS}


def told(heading):
    """The letters in a table of docs/formats/meta-keys.md."""
    section = PAGE.partition(f"## {heading}")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {letter.encode() for cell in cells for letter in re.findall(r"`(.)`", cell)}


def test_every_table_below_a_tenants_id_has_an_eraser():
    own = {prefix[4:] for prefix in erased(TENANT) if prefix[:4] == TENANT.to_bytes(4, "big")}
    assert own == TABLES == told("Of a tenant")


def test_the_layout_makes_no_key_of_a_table_it_does_not_list():
    syntax = ast.parse((PACKAGE / "objects" / "layout.py").read_text())
    used = {
        node.args[1].value
        for node in ast.walk(syntax)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "pack"
        and len(node.args) > 1
        and isinstance(node.args[1], ast.Constant)
    }
    assert used == TABLES


def test_every_table_of_the_system_is_erased_from_looked_through_or_kept_for_a_reason():
    from_them = {prefix[4:] for prefix in erased(TENANT) if prefix[:4] == bytes(4)}
    lists = (from_them, set(WALKED), set(KEPT))
    assert sum(map(len, lists)) == len(set().union(*lists)), "each in one list"
    assert set().union(*lists) == set(_SYSTEM_TABLES) == told("Of the system")
    assert all({**WALKED, **KEPT}.values())


def test_an_eraser_goes_over_one_tenants_rows_alone():
    for kind in KINDS:
        start, end = kind.rows(TENANT)
        assert start < end <= kind.rows(TENANT + 1)[0]
        assert TENANT.to_bytes(4, "big") in (start[:4], start[5:9])


def test_kinds_have_names_of_their_own():
    assert len({kind.kind for kind in KINDS}) == len(KINDS)
