"""Files and functions stay small, documented and honestly named."""

import ast

from tests.architecture.tree import everything, product

FILE_LINES = 400
FUNCTION_LINES = 70
EMPTY_WORDS = {"utils", "util", "common", "helpers", "helper", "manager", "handler", "misc"}


def test_files_stay_under_400_lines():
    long = {module.name: lines for module in everything() if (lines := module.text.count("\n")) >= FILE_LINES}
    assert not long


def test_functions_stay_under_70_lines():
    long = {
        f"{module.at(node)} {node.name}": lines
        for module in everything()
        for node in ast.walk(module.syntax)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := node.end_lineno - node.lineno + 1) >= FUNCTION_LINES
    }
    assert not long


def test_every_module_begins_with_a_docstring_that_says_something():
    bare = [
        module.name
        for module in everything()
        if module.text.strip() and len((ast.get_docstring(module.syntax) or "").split()) < 3
    ]
    assert not bare


def test_every_module_of_the_product_has_text():
    assert not [module.name for module in product() if not module.text.strip()]


def test_no_file_or_class_is_named_with_an_empty_word():
    files = [module.name for module in everything() if EMPTY_WORDS & {*module.path.with_suffix("").parts}]
    classes = [
        f"{module.at(node)} {node.name}"
        for module in everything()
        for node in ast.walk(module.syntax)
        if isinstance(node, ast.ClassDef) and node.name.lower() in EMPTY_WORDS
    ]
    assert not files + classes
