"""Compiles the hot path into the wheel with mypyc, when asked: `make wheel`, or HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 pip install .

The modules are those that pyproject.toml lists; their Python source goes into the wheel beside them, and is what runs where
there is no compiler. Nothing is written into the source tree, and an editable install is never compiled: there the source runs.
Why, and what must hold of a module on the list: docs/adr/0028-the-hot-path-is-compiled-from-its-own-source.md.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_MYPY = "[mypy]\nmypy_path = src\nignore_missing_imports = True\n"
_SETUP = """
from mypyc.build import mypycify
from setuptools import setup

extensions = mypycify(["--config-file=mypy.ini", *{paths!r}], opt_level="2", debug_level="0", group_name="isotherm_hot_path")
setup(name="isotherm-hot-path", package_dir={{"": "src"}}, py_modules=[], packages=[], ext_modules=extensions)
"""


class HotPath(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self._scratch = Path(tempfile.mkdtemp(prefix="isotherm-build-"))
        shutil.copytree(Path(self.root) / "src", self._scratch / "src")
        paths = [f"src/isotherm/{module}" for module in self.config["modules"]]
        (self._scratch / "mypy.ini").write_text(_MYPY)
        (self._scratch / "setup.py").write_text(_SETUP.format(paths=paths))
        self.app.display_info(f"compiling {len(paths)} modules: about a minute")
        built = self._scratch / "built"
        subprocess.run(
            [sys.executable, "setup.py", "--quiet", "build_ext", f"--build-lib={built}"],
            cwd=self._scratch,
            env={**os.environ, "MYPYPATH": "src"},
            check=True,
        )
        for extension in built.rglob("*.so"):
            build_data["force_include"][str(extension)] = extension.relative_to(built).as_posix()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            shutil.rmtree(self._scratch)
