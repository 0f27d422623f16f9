"""Credentials: what a store keeps of them, and how soon a change is seen."""

import os

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.errors import Conflict, Denied, Invalid, Misuse, NotFound
from isotherm.ids import SeededIds
from isotherm.meta.lmdb import LmdbMeta
from isotherm.tenancy import credential_record as record
from isotherm.tenancy.identity import KNOWN_MOST, UNKNOWN_MOST, Credential, Credentials, NotAtHand, State
from isotherm.tenancy.keystore import FileKeys

IDS = SeededIds(1)


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def meta(tmp_path, clock):
    engine = LmdbMeta.open(tmp_path / "meta", clock=clock, ids=IDS, role="server", map_bytes=1 << 28, sync=False)
    yield engine
    engine.close()


@pytest.fixture
def keys_path(tmp_path):
    path = tmp_path / "keys"
    path.mkdir()
    return path


@pytest.fixture
def make(meta, keys_path, clock):
    return lambda: Credentials(meta, FileKeys(keys_path, IDS), clock, IDS)


@pytest.fixture
def credentials(make):
    return make()


def find(credentials, access_key):
    """As a request does: from the cache, or from the store."""
    try:
        return credentials.find(access_key)
    except NotAtHand:
        return drive(credentials.look_up(access_key))


def states(credentials):
    return {one.access_key: one.state for one in drive(credentials.list())}


def test_a_new_pair_is_found_by_every_process(make, credentials):
    made = drive(credentials.create("for a test"))
    assert len(made.access_key) == 20
    assert made.access_key.isalnum()
    assert made.access_key.isupper()
    assert len(made.secret) == 40
    assert find(credentials, made.access_key) == made
    assert find(make(), made.access_key) == made


def test_secrets_lie_sealed_and_are_never_listed_or_shown(meta, credentials):
    made = drive(credentials.create("x"))
    ((_, stored),) = drive(meta.range(*record.row_range(), 10))
    assert made.secret.encode() not in stored
    (listed,) = drive(credentials.list())
    assert made.secret not in repr(listed)
    assert made.secret not in repr(made)
    assert (listed.description, listed.tenant, listed.state) == ("x", 1, State.ACTIVE)


def test_a_pair_revoked_elsewhere_is_refused_after_a_second_at_most(make, credentials, clock):
    elsewhere = make()
    made = drive(credentials.create())
    assert find(elsewhere, made.access_key) == made
    drive(credentials.revoke(made.access_key))
    clock.advance(1.0)
    assert find(elsewhere, made.access_key) is None
    drive(credentials.revoke(made.access_key))
    assert states(credentials) == {made.access_key: State.REVOKED}


def test_a_pair_made_elsewhere_is_found_after_a_second_at_most(make, credentials, clock):
    elsewhere = make()
    drawn = credentials.draw()
    assert find(elsewhere, drawn.access_key) is None
    assert drive(credentials.keep(drawn, ""))
    assert not drive(credentials.keep(Credential(drawn.access_key, "another", 1), ""))
    clock.advance(1.0)
    assert find(elsewhere, drawn.access_key) == drawn


def test_what_is_derived_from_a_pair_may_be_kept_across_look_ups(credentials, clock):
    made = drive(credentials.create())
    first = find(credentials, made.access_key)
    clock.advance(5.0)
    assert find(credentials, made.access_key) is first


def test_rotation_ends_the_old_pair_at_once(credentials, clock):
    old = drive(credentials.create("robot"))
    fresh = drive(credentials.rotate(old.access_key))
    clock.advance(1.0)
    assert find(credentials, old.access_key) is None
    assert find(credentials, fresh.access_key) == fresh
    assert {one.description for one in drive(credentials.list())} == {"robot"}
    with pytest.raises(Conflict):
        drive(credentials.rotate(old.access_key))


def test_rotation_with_grace_ends_the_old_pair_when_it_is_over_even_from_the_cache(credentials, clock):
    old = drive(credentials.create())
    drive(credentials.rotate(old.access_key, grace_s=60))
    clock.advance(59.5)
    assert find(credentials, old.access_key) == old
    assert states(credentials)[old.access_key] is State.ENDING
    clock.advance(0.5)
    assert find(credentials, old.access_key) is None
    assert states(credentials)[old.access_key] is State.REVOKED


@pytest.mark.parametrize("grace_s", [-1, 91 * 86_400, float("nan")])
def test_a_senseless_grace_is_refused(credentials, grace_s):
    made = drive(credentials.create())
    with pytest.raises(Invalid):
        drive(credentials.rotate(made.access_key, grace_s=grace_s))
    assert states(credentials) == {made.access_key: State.ACTIVE}


@pytest.mark.parametrize("access_key", ["", "A" * 129, "ISOT\0", "ISOTÄ", "../../etc", "ISOTNOTTHERE"])
def test_an_access_key_nobody_made_is_not_found_whatever_it_looks_like(credentials, access_key):
    assert find(credentials, access_key) is None
    with pytest.raises(NotFound):
        drive(credentials.revoke(access_key))
    with pytest.raises(NotFound):
        drive(credentials.rotate(access_key))


def test_guesses_do_not_fill_the_memory(credentials):
    for number in range(UNKNOWN_MOST + 50):
        find(credentials, f"GUESS{number}")
        find(credentials, "X" * 100 + str(number))
    assert len(credentials._unknown) <= UNKNOWN_MOST
    assert not credentials._known
    assert KNOWN_MOST >= UNKNOWN_MOST


def test_a_secret_moved_to_another_access_key_or_tenant_does_not_open(meta, credentials):
    made, other = drive(credentials.create()), drive(credentials.create())

    async def swap(txn):
        row = record.unpack(await txn.get(record.row_key(made.access_key)))
        txn.put(record.row_key(other.access_key), row.pack())
        moved = record.Row(row.state, 7, row.created_ms, 0, row.key_id, row.nonce, row.sealed, "")
        txn.put(record.row_key(made.access_key), moved.pack())

    drive(meta.transact(swap))
    assert find(credentials, made.access_key) is None
    assert find(credentials, other.access_key) is None
    assert set(states(credentials).values()) == {State.UNREADABLE}


def test_a_store_restored_without_its_root_key_keeps_its_rows_but_not_their_secrets(
    meta, credentials, keys_path, clock
):
    made = drive(credentials.create())
    (keys_path / "root.key").unlink()
    restored = Credentials(meta, FileKeys(keys_path, IDS), clock, IDS)
    assert find(restored, made.access_key) is None
    assert states(restored) == {made.access_key: State.UNREADABLE}
    drive(restored.revoke(made.access_key))
    assert states(restored) == {made.access_key: State.REVOKED}


@pytest.mark.parametrize("stored", [b"", b"\x02", b"\x01", b"\x01" * 60, b"\x01" + bytes(200)])
def test_a_damaged_record_opens_to_nobody_and_hides_no_other(meta, credentials, stored):
    made = drive(credentials.create())

    async def damage(txn):
        txn.put(record.row_key("ISOTDAMAGED"), stored)

    drive(meta.transact(damage))
    assert find(credentials, "ISOTDAMAGED") is None
    assert states(credentials) == {made.access_key: State.ACTIVE, "ISOTDAMAGED": State.UNREADABLE}


def test_a_description_has_its_bounds(credentials):
    drive(credentials.create("ä" * 128))
    with pytest.raises(Invalid):
        drive(credentials.create("ä" * 129))


def test_the_root_key_is_made_once_and_for_its_owner_alone(keys_path):
    first = FileKeys(keys_path, IDS).key("root")
    assert FileKeys(keys_path, IDS).key("root") == first
    assert len(first) == 32
    assert (keys_path / "root.key").stat().st_mode & 0o777 == 0o600
    assert os.listdir(keys_path) == ["root.key"]


def test_a_root_key_that_others_can_read_is_refused_with_the_command_that_mends_it(keys_path):
    FileKeys(keys_path, IDS).key("root")
    (keys_path / "root.key").chmod(0o644)
    with pytest.raises(Denied, match=r"chmod 600 .*root\.key"):
        FileKeys(keys_path, IDS).key("root")


def test_a_root_key_of_a_wrong_length_is_refused(keys_path):
    (keys_path / "root.key").write_bytes(b"short")
    (keys_path / "root.key").chmod(0o600)
    with pytest.raises(Misuse, match="5 bytes"):
        FileKeys(keys_path, IDS).key("root")
