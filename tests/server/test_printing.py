"""What commands print for people: nothing is cut, on no terminal; and what options take is said in words."""

import json
import os
import pty
import subprocess

import pytest
from rich.cells import cell_len

import isotherm
from isotherm.cli.printing import print_one, print_usage, shown, table
from tests.server.clients import ISOTHERM, run

LONG = "a-value-that-goes-on-" * 6
ROWS = [
    {
        "path": "acme",
        "id": 2,
        "capacity_bytes": 1_000_000_000_000,
        "labels": {"plan": LONG},
        "roles": ["data", "admin"],
    },
    {"path": "beta", "id": 17, "capacity_bytes": None, "labels": {}, "roles": ["auditor"]},
]
COLUMNS = ("path", "id", "capacity_bytes", "labels", "roles")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "data"
    with isotherm.open(path):
        pass
    for name, *options in (("acme", "--label", f"plan={LONG}", "--capacity-bytes", "1000000000000"), ("beta",)):
        assert run("tenant", "create", name, *options, "--data", path).returncode == 0
    return path


def on_a_terminal(columns, *arguments):
    """What a command prints on a terminal of so many columns."""
    ours, its = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns)}
    done = subprocess.Popen([*ISOTHERM, *map(str, arguments)], stdout=its, stderr=its, stdin=its, env=environment)
    os.close(its)
    read = b""
    with open(ours, "rb", buffering=0) as terminal:
        try:
            while piece := terminal.read(4_096):
                read += piece
        except OSError:  # how Linux tells that the other side is closed
            pass
    assert done.wait(60) == 0, read
    return read.decode().replace("\r\n", "\n")


def test_a_table_that_is_piped_is_as_wide_as_it_is():
    head, first, second = table(ROWS, COLUMNS, None, {"id": "number"})
    assert head.split() == ["path", "number", "capacity", "bytes", "labels", "roles"]
    assert first.split() == ["acme", "@2", "1000000000000", f"plan={LONG}", "data,admin"]
    assert second.split() == ["beta", "@17", "–", "–", "auditor"]


@pytest.mark.parametrize("width", range(1, 200))
def test_a_table_on_a_terminal_has_every_value_whole(width):
    lines = table(ROWS, COLUMNS, width, {})
    text = "".join("".join(line.split()) for line in lines)
    for number in ("1000000000000", "@2", "@17"):
        assert any(number in line for line in lines), "numbers are not even folded"
    assert "data,admin" in text
    if lines[0].startswith("path acme"):
        assert f"plan={LONG}" in text
        assert width < 80
    else:
        assert all(cell_len(line) <= width for line in lines)
        at = lines[0].index("labels")
        assert f"plan={LONG}" in "".join(line[at:].split(" ")[0] for line in lines[1:])


def test_columns_that_are_set_nowhere_are_left_out():
    assert table(ROWS[1:], COLUMNS, None, {})[0].split() == ["path", "id", "roles"]
    assert table([], COLUMNS, None, {}) == ["path  id  capacity bytes  labels  roles"]


def test_letters_of_two_columns_and_what_a_terminal_obeys_do_no_harm():
    lines = table([{"a": "日本" * 20, "b": "\x1b[31m[red]"}], ("a", "b"), 60, {})
    assert all(cell_len(line) <= 60 for line in lines)
    assert r"\x1b[31m[red]" in lines[1]
    assert "".join(lines).count("日") == 20
    assert shown({"\x1b": ["\n", None]}) == r"\x1b=\n→–"


def test_a_narrow_terminal_and_a_pipe_show_a_list_whole(store):
    assert f"plan={LONG}" in run("tenant", "list", "--data", store).stdout
    narrow = on_a_terminal(60, "tenant", "list", "--data", store)
    assert max(map(cell_len, narrow.splitlines())) <= 60
    assert LONG in "".join(line.split()[-1].removeprefix("plan=") for line in narrow.splitlines()[1:-1])
    assert "1000000000000" in narrow
    assert "1000000000000" in on_a_terminal(20, "tenant", "list", "--data", store)


def test_ids_are_printed_as_they_are_given(store, capsys):
    assert "@2" in run("tenant", "list", "--data", store).stdout.splitlines()[1].split()
    number = next(line for line in run("tenant", "show", "acme", "--data", store).stdout.splitlines() if "id " in line)
    assert number.split() == ["id", "@2"]
    assert json.loads(run("tenant", "show", "@2", "--json", "--data", store).stdout)["id"] == 2
    print_one({"owner_id": 3, "to_id": 4, "within": 5, "tenant_id": 6, "sequence": 7})
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["@3", "@4", "@5", "@6", "7"]


def test_usage_is_told_in_words(store, capsys):
    told = json.loads(run("tenant", "usage", "acme", "--json", "--data", store).stdout)
    assert (told["capacity_bytes"], told["objects"], told["counted"]) == (1_000_000_000_000, None, True)
    lines = run("tenant", "usage", "acme", "--data", store).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["path", "id", "own", "total", "limits"]
    assert lines[-1].split(maxsplit=1)[1] == "1,000,000,000,000 bytes in total"
    assert "limits          none" in run("tenant", "usage", "beta", "--data", store).stdout
    holding = {"bytes": 1_234, "objects": 1, "versions": 2, "markers": 0, "uploads": 1, "upload_bytes": 1}
    print_usage({**told, "own": holding, "objects": 5, "warnings": ["capacity_bytes"], "counted": False})
    printed = capsys.readouterr().out
    assert "own             1,234 bytes, 1 object, 2 versions, 0 delete markers, 1 upload of 1 byte\n" in printed
    assert "limits          1,000,000,000,000 bytes, 5 versions and uploads in total\n" in printed
    assert "nearly used up  capacity bytes\n" in printed
    assert "not whole yet" in printed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("tenant", "update", "acme", "--capacity-bytes", "100GB"),
            "--capacity-bytes takes a number of bytes, or none; '100GB' is neither",
        ),
        (
            ("tenant", "create", "x", "--warning-percent", "101"),
            "--warning-percent takes a number from 1 to 100, or none; '101' is neither",
        ),
        (
            ("tenant", "create", "x", "--iops-share", "none"),
            "--iops-share takes a number from 1 to 1,000,000; 'none' is not",
        ),
        (
            ("tenant", "update", "acme", "--bandwidth-limit-bytes-s", "1.5"),
            "--bandwidth-limit-bytes-s takes a whole number of bytes a second from 0 to 1,000,000,000,000,000,000, or none; "
            "'1.5' is neither",
        ),
        (("tenant", "create", "x", "--label", "plan="), "--label takes NAME=VALUE"),
        (("tenant", "update", "acme", "--label", "Plan=x"), "--label takes NAME=VALUE"),
        (("tenant", "list", "--limit", "0"), "--limit takes a number from 1 to 1,000; '0' is not"),
        (("tenant", "list", "--after", "x" * 129), "--after takes a text of at most 128 letters"),
        (
            ("tenant", "erase", "acme", "--confirm", "acme", "--subtree", "so"),
            "--subtree takes true or false; 'so' is not",
        ),
        (
            ("grant", "create", "acme", "g", "--bucket", "b", "--to", "beta", "--access", "write"),
            "--access is read or read-write; 'write' is not",
        ),
        (
            ("audit", "list", "/", "--since", "yesterday"),
            "--since takes a time as 2026-01-31T00:00:00Z; 'yesterday' is not",
        ),
        (("keys", "create", "--role", "boss"), "a role is one of data, admin, auditor; 'boss' is none"),
        (("keys", "create", "--role", ""), "a role is one of data, admin, auditor; '' is none"),
    ],
)
def test_what_an_option_takes_is_said_in_words(store, arguments, told):
    done = run(*arguments, "--data", store)
    assert (done.returncode, told in done.stderr, "$" in done.stderr) == (1, True, False), done.stderr


def test_what_is_named_none_is_found_by_its_name(store):
    assert run("tenant", "create", "none", "--data", store).returncode == 0
    listed = run("tenant", "list", "--under", "none", "--json", "--data", store)
    assert json.loads(listed.stdout)["tenants"] == []
    assert run("tenant", "delete", "none", "--data", store).returncode == 0


def test_labels_and_terms_are_taken_away_as_the_help_says(store):
    told = " ".join(run("tenant", "update", "--help", env={**os.environ, "COLUMNS": "200"}).stdout.split())
    assert "Labels to set; NAME= takes one away." in told
    assert "Bytes it may hold; a promise; none takes it away." in told
    assert "none takes it back to 100." in told
    made = run("tenant", "create", "gone", "--label", "a=1", "--label", "b=2", "--objects", "5", "--data", store)
    assert made.returncode == 0
    done = run("tenant", "update", "gone", "--label", "a=", "--objects", "none", "--json", "--data", store)
    told = json.loads(done.stdout)
    assert (told["labels"], told["objects"]) == ({"b": "2"}, None)
    assert run("tenant", "delete", "gone", "--data", store).returncode == 0
