"""What lies on disk or goes over a wire is specified: every version in the code has its page in docs/formats/."""

import ast
import re

import pytest

from tests.architecture.tree import PACKAGE, TOP, product

NAMES = re.compile(r"_?([A-Z]+_)*(VERSION|FORMAT)")


def _versions():
    """(path inside the package, number) for each module-level integer that is named a version or a format."""
    for module in product():
        for node in module.syntax.body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Constant)
                and type(node.value.value) is int
                and any(NAMES.fullmatch(name.id) for name in node.targets if isinstance(name, ast.Name))
            ):
                yield module.path.relative_to(PACKAGE).as_posix(), node.value.value


@pytest.mark.parametrize(("module", "version"), sorted(_versions()))
def test_a_page_names_the_module_and_its_version(module, version):
    pages = [path.read_text() for path in (TOP / "docs" / "formats").glob("*.md")]
    stated = re.compile(rf"\bversion\b[^\n]{{0,40}}\b{version}\b", re.IGNORECASE)
    assert [page for page in pages if module in page and stated.search(page)], (
        f"no page in docs/formats/ names `{module}` and says “version {version}”"
    )
