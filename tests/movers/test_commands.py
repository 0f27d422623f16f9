"""`isotherm fsck`, `backup` and `restore` as a person runs them, beside a running server and without one."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from isotherm.cli.main import app
from tests.movers import damages
from tests.movers.stores import files, flip, opened
from tests.movers.tenant_damages import seal_something
from tests.movers.test_backup import read
from tests.server.clients import run, s3, serving


@pytest.fixture
def isotherm():
    """Runs a command in this process: (exit status, standard output, standard error)."""

    def invoke(*arguments):
        if arguments[0] == "fsck":
            arguments += ("--inner",)
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return done.exit_code, done.stdout, done.stderr

    return invoke


def damaged(path, damage):
    engines = opened(path, seed=2)
    later = damage(engines, path)
    engines.close()
    if later is not None:
        later()


def test_a_clean_store(isotherm, filled):
    code, out, _ = isotherm("fsck", "--data", filled)
    assert code == 0
    assert "Clean: every object is readable and every byte accounted for." in out
    code, out, _ = isotherm("fsck", "--data", filled, "--quick")
    assert code == 0
    assert "every object is where it should be" in out


def test_the_exit_status_says_how_bad_it_is(isotherm, filled, tmp_path):
    damaged(filled, damages.tag_index_stale)
    code, out, _ = isotherm("fsck", "--data", filled)
    assert code == 1
    assert "tag-index-stale" in out
    assert "mended by --repair" in out
    damaged(filled, damages.extent_damaged)
    code, out, _ = isotherm("fsck", "--data", filled)
    assert code == 2
    assert "plain/key 0010 cannot be read whole" in out
    assert "1 version cannot be read whole" in out
    code, _, err = isotherm("fsck", "--data", tmp_path / "nowhere")
    assert code == 8
    assert "holds no Isotherm store" in err


def test_the_report_is_there_for_programs(isotherm, filled):
    damaged(filled, damages.tag_index_stale)
    code, out, _ = isotherm("fsck", "--data", filled, "--json")
    report = json.loads(out)
    assert code == 1
    assert report["format"] == 1
    assert report["counts"] == {"tag-index-stale": 1}
    assert report["findings"][0]["repairable"] is True
    assert report["space"]["files_bytes"] > report["space"]["live_bytes"] > 0


def test_a_repair_says_what_it_found_and_how_it_left_the_store(isotherm, filled, held):
    damaged(filled, damages.tag_index_stale)
    code, out, _ = isotherm("fsck", "--data", filled, "--repair")
    assert code == 0
    assert "Repairs made: 1." in out
    assert out.rstrip().splitlines()[-1].startswith("Clean:")
    code, out, _ = isotherm("fsck", "--data", filled, "--repair", "--json")
    told = json.loads(out)
    assert (code, told["before"]["counts"], told["after"]["counts"]) == (0, {}, {})
    assert read(filled) == held


def test_metadata_that_takes_its_engine_down_is_told_as_damage(filled):
    """LMDB maps its file: pages that are gone are a signal, not an error."""
    data = filled / "meta" / "data.mdb"
    data.write_bytes(data.read_bytes()[: 3 * 4_096])
    done = run("fsck", "--data", filled)
    assert done.returncode == 2
    assert "damage" in done.stderr or "MDB" in done.stderr


def test_backup_and_restore(isotherm, filled, held, tmp_path):
    code, out, _ = isotherm("backup", tmp_path / "backup", "--data", filled)
    assert code == 0
    assert "generation 1" in out
    code, out, _ = isotherm("backup", tmp_path / "backup", "--data", filled, "--keep", 1, "--json")
    assert (code, json.loads(out)["generation"], json.loads(out)["removed"]) == (0, 2, [1])
    code, out, _ = isotherm("restore", tmp_path / "backup", tmp_path / "again", "--verify")
    assert code == 0
    assert f"isotherm serve --data {tmp_path / 'again'}" in out
    assert "Clean: every object is readable" in out
    assert (tmp_path / "again" / "keys" / "root-credentials").stat().st_mode & 0o777 == 0o600
    assert read(tmp_path / "again") == held


def test_a_backup_of_a_store_with_a_lost_segment_says_so(isotherm, filled, tmp_path):
    max(files(filled).values(), key=lambda file: file.stat().st_size).unlink()
    code, _, err = isotherm("backup", tmp_path / "backup", "--data", filled)
    assert code == 2
    assert "run isotherm fsck" in err
    code, out, _ = isotherm("restore", tmp_path / "backup", tmp_path / "again")
    assert code == 2
    assert "segment-missing" in out


@pytest.fixture
def sealed(tmp_path):
    """A store in which a tenant has sealed something, and where a backup of it may lie."""
    path = tmp_path / "sealed"
    engines = opened(path)
    seal_something(engines)
    engines.close()
    return path, tmp_path / "backup"


def test_a_backup_says_that_no_secret_is_in_it_where_tenants_have_some(isotherm, filled, sealed, tmp_path):
    _, out, _ = isotherm("backup", sealed[1], "--data", sealed[0])
    assert "No secret is in a backup. Keep copies of keys/root.key and keys/tenants/ elsewhere" in out
    _, out, _ = isotherm("backup", tmp_path / "other", "--data", filled)
    assert "secret" not in out


def test_a_restore_says_which_secrets_are_still_to_be_put_back(isotherm, sealed, tmp_path):
    old, backup = sealed
    isotherm("backup", backup, "--data", old)
    new = tmp_path / "new"
    code, out, _ = isotherm("restore", backup, new, "--root-key", old / "keys" / "root.key")
    assert code == 0
    assert "Clean" not in out
    assert "Whether what 1 tenant sealed can be read was not tried" in out
    assert "✗ Nothing that tenants stored can be read yet" in out
    assert f"cp -a YOUR-COPY-OF-KEYS/tenants {new / 'keys'}/" in out
    code, out, _ = isotherm("fsck", "--data", new)
    assert code == 2
    assert "tenant-key-missing" in out
    assert "what tenants have sealed cannot be read" in out
    shutil.copytree(old / "keys" / "tenants", new / "keys" / "tenants")
    code, out, _ = isotherm("fsck", "--data", new)
    assert code == 0
    assert "Clean: every object is readable" in out


def test_a_store_restored_without_its_root_key_is_not_clean_though_the_secrets_are_there(isotherm, sealed, tmp_path):
    old, backup = sealed
    isotherm("backup", backup, "--data", old)
    new = tmp_path / "new"
    code, out, _ = isotherm("restore", backup, new)
    assert code == 0
    assert "✗ Nothing that tenants stored can be read, now or later" in out
    assert "restore again with --root-key FILE" in out
    shutil.copytree(old / "keys" / "tenants", new / "keys" / "tenants")
    code, out, _ = isotherm("fsck", "--data", new)
    assert code == 2
    assert "tenant-key-wrong" in out
    assert "The root key is another one, it seems" in out
    assert "Clean" not in out


def test_a_damaged_backup_is_refused(isotherm, filled, tmp_path):
    isotherm("backup", tmp_path / "backup", "--data", filled)
    flip(next((tmp_path / "backup" / "segments").iterdir()), 100)
    code, _, err = isotherm("restore", tmp_path / "backup", tmp_path / "again")
    assert code == 1
    assert "not what was backed up" in err


def test_beside_a_running_server(tmp_path):
    with serving(tmp_path / "data") as server:
        client = s3(server)
        client.create_bucket(Bucket="docs")
        for number in range(30):
            client.put_object(Bucket="docs", Key=f"{number}", Body=bytes(number * 100))
        checked = run("fsck", "--data", server.data, "--json")
        assert checked.returncode == 0, checked.stderr
        report = json.loads(checked.stdout)
        assert (report["hot"], report["objects"]["live"], report["counts"]) == (True, 30, {})
        refused = run("fsck", "--repair", "--data", server.data)
        assert refused.returncode == 75
        assert "server is running" in refused.stderr
        made = run("backup", tmp_path / "backup", "--data", server.data)
        assert made.returncode == 0, made.stderr
    keys = tmp_path / "data" / "keys"
    put_back = run("restore", tmp_path / "backup", tmp_path / "again", "--root-key", keys / "root.key")
    assert put_back.returncode == 0, put_back.stderr
    assert "1 of 1 access keys of the old store can be read" in put_back.stdout
    (tmp_path / "again" / "keys" / "root-credentials").write_bytes(
        (keys / "root-credentials").read_bytes()
    )  # for this test's own client
    with serving(tmp_path / "again") as server:
        client = s3(server)
        assert len(client.list_objects_v2(Bucket="docs")["Contents"]) == 30
        assert client.get_object(Bucket="docs", Key="7")["Body"].read() == bytes(700)
