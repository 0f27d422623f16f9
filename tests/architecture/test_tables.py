"""No two rooms keep their rows of the system tenant under one letter."""

import ast
from collections import defaultdict

from tests.architecture.tree import PACKAGE, product

SYSTEM = bytes(4)


def _letter(value):
    """The table that a module-level constant begins: four zero bytes and a letter, however that is written; else None."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add) and isinstance(value.right, ast.Constant):
        name = value.left.id if isinstance(value.left, ast.Name) else ast.unparse(value.left)
        zero = name in ("_SYSTEM", "_SYSTEM_TENANT", "bytes(4)")
        return value.right.value if zero and isinstance(value.right.value, bytes) else None
    if isinstance(value, ast.Constant) and isinstance(value.value, bytes) and value.value[:4] == SYSTEM:
        return value.value[4:] or None
    return None


def test_each_table_of_the_system_belongs_to_one_module():
    owners = defaultdict(set)
    for module in product():
        for node in module.syntax.body:
            if not isinstance(node, ast.Assign):
                continue
            letter = _letter(node.value)
            if letter is None and any(isinstance(name, ast.Name) and name.id == "TABLE" for name in node.targets):
                letter = node.value.value
            if letter is not None and len(letter) == 1:
                owners[letter].add(module.path.relative_to(PACKAGE).as_posix())
    assert len(owners) > 25
    assert {letter: found for letter, found in owners.items() if len(found) > 1} == {}
