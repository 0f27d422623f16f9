"""What may be imported where. The order of the rooms itself is import-linter's contract, in pyproject.toml."""

import json
import subprocess
import sys

from tests.architecture.tree import imported, product

OWNERS = {
    "asyncpg": {"meta"},
    "boto3": {"tenancy"},
    "botocore": {"tenancy"},
    "awscrt": {"segments", "objects", "protocols", "testing"},
    "cryptography": {"segments", "tenancy", "protocols"},
    "httptools": {"protocols"},
    "lmdb": {"meta"},
    "obstore": {"segments"},
    "prometheus_client": {"telemetry", "protocols"},
    "pytest": {"testing"},
    "rich": {"cli"},
    "starlette": {"protocols", "console"},
    "typer": {"cli"},
    "uvicorn": {"server"},
    "uvloop": {"server"},
}
"""Which rooms may import a library from outside. One that stands here not at all may be imported nowhere."""

LIGHT = {"msgspec"}


def test_libraries_are_imported_only_in_the_rooms_that_own_them():
    ours = {"isotherm", *sys.stdlib_module_names}
    strays = [
        f"{module.at(node)} {name}"
        for module in product()
        for node, name in imported(module)
        if (library := name.split(".")[0]) not in ours | LIGHT and module.room not in OWNERS.get(library, ())
    ]
    assert not strays


def test_importing_isotherm_loads_nothing_else():
    script = "import sys, json; before = set(sys.modules); import isotherm; print(json.dumps(sorted(set(sys.modules) - before)))"
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", script]))
    foreign = [name for name in loaded if name.split(".")[0] not in {"isotherm", *sys.stdlib_module_names}]
    assert not foreign
    assert [name for name in loaded if name.split(".")[0] == "isotherm"] == ["isotherm"]
    assert not {"asyncio", "ssl", "multiprocessing"} & set(loaded)
