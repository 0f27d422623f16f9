"""The vault: keys of tenants hang on their own secrets and on all above them, survive moves, and never come back."""

import os

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt, Denied, Unsupported
from isotherm.ids import SeededIds
from isotherm.segments.port import Extent
from isotherm.tenancy import vault_record as record
from isotherm.tenancy.keystore import FileKeys
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tree import TenantState
from isotherm.tenancy.vault import KEPT_S, KNOWN_MOST, Vault
from tests.tenancy.forest import planted

EXTENT = Extent(7, 64, 5, 0, True)


@pytest.fixture
def forest(tmp_path):
    with planted(tmp_path) as planted_forest:
        yield planted_forest


def anew(forest, seed=9):
    """Another process's vault."""
    return Vault(forest.meta, forest.keys, forest.clock, SeededIds(seed))


def sealed(forest, tenant):
    return drive(forest.vault.to_write(tenant)).seal(b"12345")


def opened(vault, tenant, one):
    return drive(vault.to_read(tenant)).open(EXTENT, one.salt, 0, one.payload, one.tags)


def chain(forest, *names):
    """Tenants one below the other; their ids."""
    return [forest.make("/".join(names[: depth + 1])).node.id for depth in range(len(names))]


def test_what_one_process_sealed_another_opens(forest):
    (acme,) = chain(forest, "acme")
    one = sealed(forest, acme)
    assert opened(anew(forest), acme, one) == b"12345"


def test_keys_are_made_when_something_is_sealed_and_for_all_above(forest, tmp_path):
    acme, research, lab = chain(forest, "acme", "research", "lab")
    assert not (tmp_path / "keys" / "tenants").exists()
    with pytest.raises(Denied):
        drive(forest.vault.to_read(research))
    sealed(forest, research)
    assert sorted(os.listdir(tmp_path / "keys" / "tenants")) == [f"{acme}.key", f"{research}.key"]
    assert drive(forest.meta.get(record.key_row(lab))) is None


def test_tenants_have_keys_of_their_own(forest):
    acme, research = chain(forest, "acme", "research")
    one = sealed(forest, acme)
    sealed(forest, research)
    with pytest.raises(Corrupt):
        opened(forest.vault, research, one)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_destroying_a_secret_ends_a_tenant_and_all_below_it_and_nobody_else(forest, at):
    ids = chain(forest, "acme", "research", "lab")
    ones = [sealed(forest, tenant) for tenant in ids]
    other = forest.make("other").node.id
    others = sealed(forest, other)
    assert drive(forest.keys.destroy(ids[at]))
    for depth, (tenant, one) in enumerate(zip(ids, ones, strict=True)):
        if depth < at:
            assert opened(anew(forest), tenant, one) == b"12345"
            continue
        with pytest.raises(Denied, match=f"@{ids[at]} is gone") as refused:
            opened(anew(forest), tenant, one)
        assert refused.value.code == "TenantKeyGone"
        with pytest.raises(Denied):
            drive(anew(forest).to_write(tenant))
    assert opened(anew(forest), other, others) == b"12345"
    assert drive(forest.keys.secret(ids[at])) is None


def test_a_destroyed_secret_is_out_of_use_in_every_process_before_long(forest):
    acme, research = chain(forest, "acme", "research")
    one = sealed(forest, research)
    drive(forest.keys.destroy(acme))
    assert forest.vault.at_hand(research) is not None
    forest.clock.advance(KEPT_S / 2)
    assert opened(forest.vault, research, one) == b"12345"
    forest.clock.advance(KEPT_S / 2)
    assert forest.vault.at_hand(research) is None
    with pytest.raises(Denied):
        opened(forest.vault, research, one)


def test_what_hangs_on_an_older_key_is_no_younger(forest):
    """Else a tenant's key would outlive the secret above it by as much again."""
    acme, research = chain(forest, "acme", "research")
    sealed(forest, research)
    forest.vault.forget(research)
    forest.clock.advance(KEPT_S * 0.9)
    drive(forest.vault.to_read(research))
    drive(forest.keys.destroy(acme))
    forest.clock.advance(KEPT_S * 0.2)
    assert forest.vault.at_hand(research) is None


def test_what_is_remembered_is_bounded_and_forgotten_in_time(forest):
    acme, research = chain(forest, "acme", "research")
    sealed(forest, research)
    assert forest.vault.sweep() == 0
    forest.clock.advance(KEPT_S)
    assert forest.vault.sweep() == 2
    forest.vault._known.update(dict.fromkeys(range(10**6, 10**6 + KNOWN_MOST)))
    drive(forest.vault.to_read(acme))
    assert len(forest.vault._known) == KNOWN_MOST


def test_a_lost_secret_is_never_replaced(forest):
    acme, research = chain(forest, "acme", "research")
    sealed(forest, research)
    drive(forest.keys.destroy(acme))
    fresh = forest.make("acme/fresh").node.id
    with pytest.raises(Denied):
        drive(anew(forest).to_write(fresh))
    assert drive(forest.keys.secret(acme)) is None


def test_a_secret_of_a_crash_before_the_row_is_used_and_harms_nothing(forest):
    (acme,) = chain(forest, "acme")
    secret = drive(forest.keys.make(acme))
    one = sealed(forest, acme)
    assert drive(forest.keys.secret(acme)) == secret
    assert opened(anew(forest), acme, one) == b"12345"


def test_an_erased_tenant_gets_no_key_and_no_secret_is_left_over(forest):
    (acme,) = chain(forest, "acme")
    drive(forest.tenants.delete(OWNER, "acme"))
    with pytest.raises(Denied, match="erased"):
        drive(forest.vault.to_write(acme))
    assert drive(forest.keys.secret(acme)) is None


def test_a_tenant_erased_while_its_key_is_made_keeps_none(forest):
    (acme,) = chain(forest, "acme")

    class Erasing(FileKeys):
        """Somebody erases the tenant between its secret and its row."""

        async def make(self, tenant):
            made = await super().make(tenant)
            await forest.tenants.delete(OWNER, "acme")
            return made

    keys = Erasing(forest.keys._directory, SeededIds(4))
    with pytest.raises(Denied, match="erased"):
        drive(Vault(forest.meta, keys, forest.clock, SeededIds(6)).to_write(acme))
    assert drive(forest.keys.secret(acme)) is None
    assert drive(forest.meta.get(record.key_row(acme))) is None


def test_two_who_make_a_key_at_once_end_with_the_same(forest):
    (acme,) = chain(forest, "acme")
    rival = anew(forest)

    class Slow(FileKeys):
        async def make(self, tenant):
            made = await super().make(tenant)
            await rival.make(tenant)
            return made

    loser = Vault(forest.meta, Slow(forest.keys._directory, SeededIds(4)), forest.clock, SeededIds(6))
    one = drive(loser.to_write(acme)).seal(b"12345")
    assert opened(rival, acme, one) == b"12345"


def test_a_moved_tenant_and_all_below_it_stay_readable_and_hang_on_the_new_place(forest):
    acme, research, lab = chain(forest, "acme", "research", "lab")
    other = forest.make("other").node.id
    ones = {tenant: sealed(forest, tenant) for tenant in (research, lab)}
    drive(forest.tenants.move(OWNER, "acme/research", "other/research"))
    for tenant, one in ones.items():
        assert opened(anew(forest), tenant, one) == b"12345"
    drive(forest.keys.destroy(acme))
    for tenant, one in ones.items():
        assert opened(anew(forest), tenant, one) == b"12345"
    drive(forest.keys.destroy(other))
    for tenant, one in ones.items():
        with pytest.raises(Denied):
            opened(anew(forest), tenant, one)


def test_a_tenant_moves_to_the_root_and_back(forest):
    acme, research = chain(forest, "acme", "research")
    one = sealed(forest, research)
    drive(forest.tenants.move(OWNER, "acme/research", "research"))
    drive(forest.keys.destroy(acme))
    assert opened(anew(forest), research, one) == b"12345"


def test_a_move_below_a_tenant_without_a_key_makes_it(forest):
    _acme, research = chain(forest, "acme", "research")
    deep = chain(forest, "other", "deep")[1]
    one = sealed(forest, research)
    drive(forest.tenants.move(OWNER, "acme/research", "other/deep/research"))
    assert opened(anew(forest), research, one) == b"12345"
    drive(forest.keys.destroy(deep))
    with pytest.raises(Denied):
        opened(anew(forest), research, one)


def test_a_tenant_whose_key_is_gone_is_not_moved(forest):
    _acme, research = chain(forest, "acme", "research")
    forest.make("other")
    sealed(forest, research)
    drive(forest.keys.destroy(research))
    with pytest.raises(Denied):
        drive(forest.tenants.move(OWNER, "acme/research", "other/research"))
    assert forest.show(f"@{research}").path == "acme/research"


def test_a_renamed_tenant_keeps_its_key(forest):
    _acme, research = chain(forest, "acme", "research")
    one = sealed(forest, research)
    before = drive(forest.meta.get(record.key_row(research)))
    drive(forest.tenants.move(OWNER, "acme/research", "acme/science"))
    assert drive(forest.meta.get(record.key_row(research))) == before
    assert opened(anew(forest), research, one) == b"12345"


def test_a_tenant_moved_while_its_key_is_made_hangs_on_the_new_place(forest):
    _acme, research = chain(forest, "acme", "research")
    other = forest.make("other").node.id

    class Moving(FileKeys):
        async def make(self, tenant):
            made = await super().make(tenant)
            if tenant == research and forest.show(f"@{research}").path == "acme/research":
                await forest.tenants.move(OWNER, "acme/research", "other/research")
            return made

    vault = Vault(forest.meta, Moving(forest.keys._directory, SeededIds(4)), forest.clock, SeededIds(6))
    one = drive(vault.to_write(research)).seal(b"12345")
    assert record.unpack(drive(forest.meta.get(record.key_row(research)))).parent == other
    assert opened(anew(forest), research, one) == b"12345"


@pytest.mark.parametrize("damage", ["another secret", "another root key", "another's row"])
def test_a_key_that_does_not_fit_is_said_to_be_so(forest, tmp_path, damage):
    acme, other = forest.make("acme").node.id, forest.make("other").node.id
    one = sealed(forest, acme)
    sealed(forest, other)
    if damage == "another secret":
        (tmp_path / "keys" / "tenants" / f"{acme}.key").write_bytes(bytes(32))
    elif damage == "another root key":
        (tmp_path / "keys" / "root.key").write_bytes(bytes(32))
    else:
        theirs = drive(forest.meta.get(record.key_row(other)))

        async def swap(txn):
            txn.put(record.key_row(acme), theirs)

        drive(forest.meta.transact(swap))
    with pytest.raises(Denied) as refused:
        opened(anew(forest), acme, one)
    assert refused.value.code == "TenantKeyWrong"


def put(forest, tenant, row):
    async def write(txn):
        txn.put(record.key_row(tenant), row)

    drive(forest.meta.transact(write))


def test_damaged_rows_and_circles_are_told_as_damage(forest):
    acme, other = forest.make("acme").node.id, forest.make("other").node.id
    sealed(forest, acme)
    sealed(forest, other)
    row = drive(forest.meta.get(record.key_row(acme)))
    for damaged, error in ((row[:-1], Corrupt), (b"\x09" + row[1:], Unsupported), (b"", Unsupported)):
        put(forest, acme, damaged)
        with pytest.raises(error):
            drive(anew(forest).to_read(acme))
    wrapped = record.unpack(row)
    put(forest, acme, record.pack(record.WrappedKey(other, wrapped.nonce, wrapped.wrapped)))
    put(forest, other, record.pack(record.WrappedKey(acme, wrapped.nonce, wrapped.wrapped)))
    with pytest.raises(Corrupt, match="do not lead to the root"):
        drive(anew(forest).to_read(acme))


def test_a_row_of_version_1_opens_as_it_was_written():
    row = bytes.fromhex(
        "0100000003000102030405060708090a0ba47fda878129431169d2998b7f7d4a3dc63987c84d29f8"
        "2d913c427c7d012c3dbb6fc6f459ca640d17392c7f3e01e91b"
    )
    secret, above = bytes(range(32)), bytes(range(32, 64))
    wrapped = record.wrap(17, 3, bytes(range(64, 96)), secret, above, bytes(range(12)))
    assert record.pack(wrapped) == row
    assert record.unwrap(17, record.unpack(row), secret, above) == bytes(range(64, 96))
    assert record.root_node_key(secret).hex() == "7583b8c65497436be4f624bfcb7f60aa2dd92154a6f1cbf478a62915c31a8c27"
    assert record.data_key(secret).hex() == "cd2094153add94b3562a0d5c5e604ce7ee8d0541e0aeca75914ecc4123dd8ad7"
    for tenant, other_secret, other_above in ((18, secret, above), (17, above, above), (17, secret, secret)):
        assert record.unwrap(tenant, record.unpack(row), other_secret, other_above) is None


def test_suspending_takes_nothing_of_the_key(forest):
    (acme,) = chain(forest, "acme")
    one = sealed(forest, acme)
    drive(forest.tenants.set_state(OWNER, "acme", TenantState.SUSPENDED))
    assert opened(anew(forest), acme, one) == b"12345"


def test_a_tenant_that_is_deleted_has_neither_a_key_nor_a_secret(forest):
    acme, research = chain(forest, "acme", "research")
    sealed(forest, research)
    drive(forest.tenants.delete(OWNER, "acme/research"))
    assert drive(forest.meta.get(record.key_row(research))) is None
    assert drive(forest.keys.secret(research)) is None
    assert drive(forest.keys.secret(acme)) is not None
    with pytest.raises(Denied):
        drive(forest.vault.to_write(research))
