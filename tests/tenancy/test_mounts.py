"""What a process knows of mounts: as old as the credential it came with, read no oftener than it must be, and never what cannot be read."""

from isotherm.devices.waiting import drive
from isotherm.tenancy import grant_record as record
from isotherm.tenancy.generation import Generation
from isotherm.tenancy.mounts import SHARED_S, Mounts
from isotherm.tenancy.roles import OWNER, Role
from tests.tenancy.test_grants import grant, two

__all__ = ["two"]

BETA = 4


class Counting:
    """A reader that counts the ranges it is asked for."""

    def __init__(self, reader):
        self.reader = reader
        self.ranges = 0

    async def range(self, *asked, **named):
        self.ranges += 1
        return await self.reader.range(*asked, **named)


def test_a_credential_brings_the_aliases_of_its_tenant_and_is_no_younger_than_they_are(two):
    credentials = two.credentials
    pair = two.key("beta", Role.DATA)
    drive(credentials.look_up(pair.access_key))
    assert credentials.mounts.at_hand == {}
    grant(two, "acme", "g", "beta", alias="theirs")
    two.clock.advance(0.9)
    drive(credentials.look_up(pair.access_key))
    assert list(credentials.mounts.at_hand[BETA]) == ["theirs"]
    drive(two.grants.revoke(OWNER, "acme", "g"))
    two.clock.advance(0.9)
    drive(credentials.look_up(pair.access_key))
    assert BETA not in credentials.mounts.at_hand


def test_credentials_of_one_tenant_share_what_was_read(two):
    counting = Counting(two.meta)
    mounts = Mounts(counting, two.clock, Generation(two.meta, two.clock))
    since = drive(mounts.refresh(BETA))
    two.clock.advance(SHARED_S / 2)
    assert drive(mounts.refresh(BETA)) == since
    assert counting.ranges == 1
    two.clock.advance(SHARED_S)
    assert drive(mounts.refresh(BETA)) > since
    assert counting.ranges == 2


def test_what_has_not_changed_is_the_same_object_so_that_what_is_made_of_it_may_be_kept(two):
    grant(two, "acme", "g", "beta", alias="theirs")
    mounts = Mounts(two.meta, two.clock, Generation(two.meta, two.clock))
    drive(mounts.refresh(BETA))
    before = mounts.at_hand[BETA]
    two.clock.advance(1)
    drive(mounts.refresh(BETA))
    assert mounts.at_hand[BETA] is before
    grant(two, "acme", "h", "beta", alias="others")
    two.clock.advance(1)
    drive(mounts.refresh(BETA))
    assert sorted(mounts.at_hand[BETA]) == ["others", "theirs"]


def test_a_row_that_cannot_be_read_or_lies_in_another_place_mounts_nothing_and_hides_no_other(two):
    made, _ = grant(two, "acme", "g", "beta", alias="theirs")

    async def damage(txn):
        txn.put(record.mount_row(BETA, "broken"), b"\x01{")
        txn.put(record.mount_row(BETA, "newer"), b"\x09")
        txn.put(record.mount_row(BETA, "moved"), record.pack(made))

    drive(two.meta.transact(damage))
    mounts = Mounts(two.meta, two.clock, Generation(two.meta, two.clock))
    drive(mounts.refresh(BETA))
    assert list(mounts.at_hand[BETA]) == ["theirs"]
