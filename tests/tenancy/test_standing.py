"""A suspended tenant's credentials: refused within a second in every process, with all below it, and served again as soon."""

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Denied
from isotherm.ids import SeededIds
from isotherm.tenancy import tree_record as record
from isotherm.tenancy.identity import FRESH_S, REFRESH_S, Credential, Credentials, NotAtHand
from isotherm.tenancy.keystore import FileKeys
from isotherm.tenancy.roles import OWNER, Role
from isotherm.tenancy.standing import SHARED_S
from isotherm.tenancy.tree import TenantState


@pytest.fixture
def elsewhere(forest, tmp_path):
    """Another process's view of the same credentials."""
    return Credentials(Counted(forest.meta), FileKeys(tmp_path / "keys", SeededIds(1)), forest.clock, SeededIds(4))


class Counted:
    """The engine itself, but that it counts reads."""

    def __init__(self, meta):
        self.meta = meta
        self.reads = 0

    def __getattr__(self, name):
        return getattr(self.meta, name)

    async def get(self, key):
        self.reads += 1
        return await self.meta.get(key)


def find(credentials, access_key):
    try:
        return credentials.find(access_key)
    except NotAtHand:
        return drive(credentials.look_up(access_key))


def served(credentials, access_key):
    found = find(credentials, access_key)
    assert found is not None
    try:
        found.demand(Role.DATA)
    except Denied as error:
        return error.code
    return True


def test_suspending_any_ancestor_ends_service_within_a_second_and_resuming_brings_it_back(forest, elsewhere):
    for path in ("a", "a/b", "a/b/c", "other"):
        forest.make(path)
    deep, other = (forest.key(path, Role.DATA).access_key for path in ("a/b/c", "other"))
    for path in ("a", "a/b", "a/b/c"):
        assert (served(elsewhere, deep), served(elsewhere, other)) == (True, True)
        drive(forest.tenants.set_state(OWNER, path, TenantState.SUSPENDED))
        forest.clock.advance(FRESH_S)
        assert (served(elsewhere, deep), served(elsewhere, other)) == ("AccountProblem", True)
        drive(forest.tenants.set_state(OWNER, path, TenantState.ACTIVE))
        forest.clock.advance(FRESH_S)
    assert served(elsewhere, deep) is True


def test_nothing_a_find_relies_on_is_older_than_a_second(forest, elsewhere):
    """An ancestor's row that was read for another credential counts from when it was read."""
    for path in ("a", "a/b"):
        forest.make(path)
    first, second = (forest.key("a/b", Role.DATA).access_key for _ in range(2))
    assert served(elsewhere, first) is True
    forest.clock.advance(SHARED_S - 0.05)
    assert served(elsewhere, second) is True  # from rows read for the first
    drive(forest.tenants.set_state(OWNER, "a", TenantState.SUSPENDED))
    forest.clock.advance(FRESH_S - SHARED_S + 0.05)
    assert served(elsewhere, second) == "AccountProblem"


def test_a_find_is_a_look_in_a_dictionary_and_ancestors_are_read_once_for_many(forest, elsewhere):
    for path in ("a", "a/b", "a/b/c"):
        forest.make(path)
    keys = [forest.key("a/b/c", Role.DATA).access_key for _ in range(20)]
    for access_key in keys:
        find(elsewhere, access_key)
    counted = elsewhere._meta
    assert counted.reads == len(keys) + 3
    forest.clock.advance(REFRESH_S / 2)
    for access_key in keys * 10:
        elsewhere.find(access_key)
    assert counted.reads == len(keys) + 3


def test_the_same_pair_stays_the_same_object_while_nothing_changes(forest, elsewhere):
    forest.make("a")
    access_key = forest.key("a", Role.DATA).access_key
    first = find(elsewhere, access_key)
    forest.clock.advance(5)
    assert find(elsewhere, access_key) is first


def test_draining_goes_on_serving(forest, elsewhere):
    forest.make("a")
    access_key = forest.key("a", Role.DATA).access_key
    drive(forest.tenants.set_state(OWNER, "a", TenantState.DRAINING))
    assert served(elsewhere, access_key) is True


@pytest.mark.parametrize("damage", [None, b"", b"\x01{", b"\x07{}", b"\x01[]"])
def test_a_tenant_that_is_gone_or_cannot_be_read_serves_nobody(forest, elsewhere, damage):
    for path in ("a", "a/b"):
        forest.make(path)
    access_key = forest.key("a/b", Role.DATA).access_key

    async def harm(txn):
        if damage is None:
            txn.delete(record.node_row(2))
        else:
            txn.put(record.node_row(2), damage)

    drive(forest.meta.transact(harm))
    assert served(elsewhere, access_key) == "AccountProblem"


def test_a_chain_that_bites_its_tail_serves_nobody(forest, elsewhere):
    forest.make("a")
    access_key = forest.key("a", Role.DATA).access_key

    async def harm(txn):
        node = record.unpack(await txn.get(record.node_row(2)))
        txn.put(record.node_row(2), record.pack(type(node)(id=2, parent=2, name="a")))

    drive(forest.meta.transact(harm))
    assert served(elsewhere, access_key) == "AccountProblem"


def test_a_role_is_needed_whatever_the_tenant():
    Credential("A", "s", 1, frozenset({Role.DATA})).demand(Role.DATA)
    with pytest.raises(Denied, match="role data"):
        Credential("A", "s", 1, frozenset({Role.ADMIN})).demand(Role.DATA)
