"""What a module of the hot path may not contain: the compiler would refuse it, or worse, translate it into something else."""

import ast
import tomllib

import pytest

from tests.architecture.tree import PACKAGE, TOP, product


def listed():
    settings = tomllib.loads((TOP / "pyproject.toml").read_text())
    return settings["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]


def _module(path):
    return next(module for module in product() if module.path == PACKAGE / path)


def test_the_list_is_in_order_and_names_each_module_once():
    assert listed() == sorted(set(listed()))


@pytest.mark.parametrize("path", listed())
def test_classes_have_no_options(path):
    """They are dropped without a word: `class Row(msgspec.Struct, array_like=True)` would become a Struct of another form."""
    classes = [node for node in ast.walk(_module(path).syntax) if isinstance(node, ast.ClassDef)]
    assert not [node.name for node in classes if node.keywords]


@pytest.mark.parametrize("path", listed())
def test_nothing_is_streamed(path):
    """Asynchronous generators cannot be compiled, and a loop over one has come out wrong."""
    module = _module(path)
    loops = [module.at(node) for node in ast.walk(module.syntax) if isinstance(node, ast.AsyncFor)]
    generators = [
        module.at(node)
        for node in ast.walk(module.syntax)
        if isinstance(node, ast.AsyncFunctionDef) and any(isinstance(inner, ast.Yield) for inner in ast.walk(node))
    ]
    assert not loops + generators
