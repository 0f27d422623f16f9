"""The command line as a whole."""

import subprocess
import sys

from isotherm import __version__
from tests.server.clients import run


def test_help_names_every_command():
    done = run("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("serve", "keys", "find", "fsck", "backup", "restore", "version"))


def test_version_is_told():
    assert run("version").stdout == run("--version").stdout == f"isotherm {__version__}\n"


def test_help_loads_no_engine_and_no_server():
    script = (
        "import sys, isotherm.cli.main; heavy = {'lmdb', 'uvloop', 'httptools', 'awscrt', 'cryptography', 'starlette', "
        "'uvicorn', 'prometheus_client', 'msgspec', 'asyncio'}; print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"


def test_a_gateway_loads_nothing_of_the_command_line_or_the_admin_port():
    script = (
        "import sys, isotherm.server.gateway; heavy = {'typer', 'rich', 'click', 'starlette', 'uvicorn', "
        "'prometheus_client', 'boto3'}; print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"


def test_a_supervisor_loads_no_event_loop_framework_or_cipher():
    script = (
        "import sys, isotherm.server.serve; heavy = {'uvloop', 'httptools', 'awscrt', 'cryptography', 'starlette', "
        "'uvicorn', 'prometheus_client'}; print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"
