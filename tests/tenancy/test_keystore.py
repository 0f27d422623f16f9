"""The key store of files: secrets of tenants are made once, and never come back once they were destroyed."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Denied, NotPermitted, Unavailable
from isotherm.ids import SystemIds
from isotherm.tenancy.keystore import KEY_BYTES, FileKeys


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "keys"
    path.mkdir()
    return path


@pytest.fixture
def keys(directory):
    return FileKeys(directory, SystemIds())


def test_a_secret_is_there_once_it_was_made(directory, keys):
    assert drive(keys.secret(17)) is None
    made = drive(keys.make(17))
    assert len(made) == KEY_BYTES
    assert drive(keys.make(17)) == made
    assert drive(FileKeys(directory, SystemIds()).secret(17)) == made
    assert drive(keys.make(18)) != made


def test_asking_for_a_secret_makes_none(directory, keys):
    drive(keys.secret(17))
    assert os.listdir(directory) == []


def test_what_was_destroyed_never_comes_back(keys):
    first = drive(keys.make(17))
    assert drive(keys.destroy(17))
    assert drive(keys.secret(17)) is None
    assert drive(keys.make(17)) != first


def test_destroying_again_or_what_never_was_does_no_harm(keys):
    assert not drive(keys.destroy(17))
    drive(keys.make(17))
    drive(keys.make(18))
    assert [drive(keys.destroy(17)) for _ in range(3)] == [True, False, False]
    assert drive(keys.secret(18)) is not None


def test_of_many_who_make_a_secret_at_once_all_get_the_same(keys):
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda _: drive(keys.make(17)), range(32)))
    assert len(made) == 1
    assert made == {drive(keys.secret(17))}


def test_secrets_are_for_their_owner_alone(directory, keys):
    drive(keys.make(17))
    path = directory / "tenants" / "17.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o640)
    assert drive(keys.secret(17)) is not None
    path.chmod(0o644)
    with pytest.raises(Denied, match=r"chmod 600 .*17\.key"):
        drive(keys.secret(17))


def test_a_secret_of_a_wrong_length_is_refused_and_not_replaced(directory, keys):
    drive(keys.make(17))
    (directory / "tenants" / "17.key").write_bytes(b"short")
    for call in (keys.secret, keys.make):
        with pytest.raises(Denied, match="5 bytes"):
            drive(call(17))


def test_a_directory_that_several_nodes_share_holds_the_secrets_and_no_root_key(directory, tmp_path):
    shared = tmp_path / "shared"
    keys = FileKeys(directory, SystemIds(), tenants=shared)
    made = drive(keys.make(17))
    keys.key("root")
    assert os.listdir(shared) == ["17.key"]
    assert drive(FileKeys(tmp_path / "elsewhere", SystemIds(), tenants=shared).secret(17)) == made


def test_looking_for_the_root_key_makes_none(directory, keys, tmp_path):
    assert keys.present("root") is None
    assert os.listdir(directory) == []
    made = keys.key("root")
    assert keys.present("root") == made
    assert FileKeys(directory, SystemIds(), tmp_path / "shared.key").present("root") is None


def test_a_remedy_names_the_file(directory, keys, tmp_path):
    assert f"copy {directory / 'tenants' / '17.key'} back" in keys.remedy(17)
    assert f"copy {directory / 'root.key'} back" in keys.remedy("root")
    elsewhere = FileKeys(directory, SystemIds(), tmp_path / "shared.key", tmp_path / "secrets")
    assert f"copy {tmp_path / 'secrets' / '17.key'} back" in elsewhere.remedy(17)
    assert f"copy {tmp_path / 'shared.key'} back" in elsewhere.remedy("root")


def test_what_cannot_be_read_is_no_absence(directory, keys):
    (directory / "tenants").write_bytes(b"a file where a directory should be")
    for call in (keys.secret, keys.make, keys.destroy):
        with pytest.raises((Unavailable, NotPermitted)):
            drive(call(17))


_MAKING = """
import sys
from pathlib import Path
from isotherm.devices.waiting import drive
from isotherm.ids import SystemIds
from isotherm.tenancy.keystore import FileKeys
keys = FileKeys(Path(sys.argv[1]), SystemIds())
for tenant in range(2, 100_000):
    drive(keys.make(tenant))
    print(tenant, flush=True)
"""


def test_a_killed_maker_leaves_whole_secrets_or_none(directory, keys):
    child = subprocess.Popen([sys.executable, "-c", _MAKING, str(directory)], stdout=subprocess.PIPE, text=True)
    for _ in range(20):
        child.stdout.readline()
    child.kill()
    told = [int(line) for line in child.stdout.read().split("\n")[:-1]]
    child.wait()
    child.stdout.close()
    last = max([21, *told])
    assert all(drive(keys.secret(tenant)) is not None for tenant in range(2, last + 1))
    made = drive(keys.make(last + 1))
    assert len(made) == KEY_BYTES
