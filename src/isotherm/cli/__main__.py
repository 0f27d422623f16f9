"""`python -m isotherm.cli`: the command line, where the script is not on the path."""

from isotherm.cli.main import app

app(prog_name="isotherm")
