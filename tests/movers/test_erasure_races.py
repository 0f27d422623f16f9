"""Whoever writes while a tenant is being erased leaves nothing behind a certificate, at whatever moment it happens.

Each verb that adds or changes anything is caught in its transaction, after it has read and before it commits, as a gateway would
be that has not heard of the erasure yet.
"""

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.errors import Conflict, NotFound
from isotherm.objects.model import Body, Versioning
from isotherm.objects.space import Space
from isotherm.tenancy.erasure.record import Issued
from isotherm.tenancy.identity import Credentials
from isotherm.tenancy.register import Register
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.terms import UNBOUND
from tests.movers.erasing import Estate, to_the_end, work_off
from tests.movers.stores import checked, kinds
from tests.objects.stores import KIB, payload


@pytest.fixture
def estate(tmp_path, metadata):
    made = Estate(tmp_path / "store", VirtualClock())
    made.plant()
    yield made
    made.close()


class Interrupted:
    """Metadata whose next transaction is interrupted once, between its run and its commit."""

    def __init__(self, meta, interruption):
        self._meta = meta
        self._interruption = interruption

    def __getattr__(self, name):
        return getattr(self._meta, name)

    async def transact(self, fn):
        async def run(txn):
            result = await fn(txn)
            interruption, self._interruption = self._interruption, None
            if interruption is not None:
                interruption()
            return result

        return await self._meta.transact(run)


async def prepare(space):
    """What the verbs below need: an object, a large one, and an upload with a part."""
    await space.create_bucket("bucket")
    await space.put("bucket", "key", payload(900), tags={"colour": "red"})
    await space.put("bucket", "large", payload(1_300 * KIB))
    upload = await space.create_upload("bucket", "parts")
    part = await space.put_part("bucket", "parts", upload.id, 1, payload(70_000))
    return upload.id, [(1, part.etag, None)]


VERBS = {
    "put": lambda space, upload, parts: space.put("bucket", "new", payload(900)),
    "overwrite": lambda space, upload, parts: space.put("bucket", "key", payload(901), tags={"colour": "blue"}),
    "put of a large body": lambda space, upload, parts: space.put("bucket", "new", payload(1_300 * KIB, 3)),
    "copy": lambda space, upload, parts: space.copy("bucket", "key", "bucket", "copy"),
    "copy of a large object": lambda space, upload, parts: space.copy("bucket", "large", "bucket", "copy"),
    "begin an upload": lambda space, upload, parts: space.create_upload("bucket", "others"),
    "put a part": lambda space, upload, parts: space.put_part("bucket", "parts", upload, 2, payload(70_000, 5)),
    "complete": lambda space, upload, parts: space.complete_upload("bucket", "parts", upload, parts),
    "abort": lambda space, upload, parts: space.abort_upload("bucket", "parts", upload),
    "tag": lambda space, upload, parts: space.set_tags("bucket", "key", {"colour": "green"}),
    "delete": lambda space, upload, parts: space.delete("bucket", "key"),
    "make a bucket": lambda space, upload, parts: space.create_bucket("another"),
    "keep versions": lambda space, upload, parts: space.set_versioning("bucket", Versioning.ENABLED),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_write_that_is_overtaken_leaves_nothing(estate, tmp_path, verb):
    upload, parts = drive(prepare(estate.space(2)))
    rounds = estate.rounds()

    def erase():
        estate.erase("acme")
        work_off(rounds)

    of = estate.engines
    meta = Interrupted(estate.meta, erase)
    space = Space(2, meta, of.segments, of.clock, of.ids, part_bytes_least=1)
    with pytest.raises((NotFound, Conflict)):
        drive(VERBS[verb](space, upload, parts))
    assert estate.rows(2) == {}
    to_the_end(estate, rounds)
    assert isinstance(estate.show("@2"), Issued)
    assert estate.rows(2) == {}
    assert kinds(checked(estate.engines, tmp_path)) == {}


def test_a_body_that_is_still_coming_when_all_is_certified_comes_to_nothing(estate, tmp_path):
    drive(prepare(estate.space(2)))
    rounds = estate.rounds()

    async def body():
        yield payload(1_200 * KIB, 1)
        estate.erase("acme")
        to_the_end(estate, rounds)
        assert isinstance(estate.show("@2"), Issued)
        yield payload(500 * KIB, 2)

    with pytest.raises(NotFound):
        drive(estate.space(2).put("bucket", "late", Body(body(), 1_700 * KIB)))
    assert estate.rows(2) == {}
    assert kinds(checked(estate.engines, tmp_path)) == {}


def test_a_credential_that_is_being_made_or_rotated_comes_to_nothing(estate):
    key = estate.key("acme")
    tenants = estate.tenants
    for at, attempt in enumerate(
        (
            lambda register: register.create(tenant=tenants.place(OWNER, "acme")),
            lambda register: register.rotate(key.access_key),
        )
    ):
        meta = Interrupted(estate.meta, (lambda: estate.erase("acme")) if not at else None)
        register = Register(meta, estate.keys, estate.clock, estate.engines.ids)
        with pytest.raises(Conflict):
            drive(attempt(register))
    to_the_end(estate, estate.rounds())
    assert {one.tenant for one in drive(estate.credentials.list())} == {4}


def test_a_tenant_that_is_being_made_below_comes_to_nothing(estate):
    tenants = Tenants(Interrupted(estate.meta, lambda: estate.erase("acme")), estate.clock, estate.engines.vault)
    with pytest.raises(Conflict):
        drive(tenants.create(OWNER, "acme/late", {}, UNBOUND))
    to_the_end(estate, estate.rounds())
    assert isinstance(estate.show("@2"), Issued)


def test_gateways_serve_no_credential_from_within_a_second_on(estate):
    key = estate.key("acme/lab")
    gateway = Credentials(estate.meta, estate.keys, estate.clock, estate.engines.ids)
    drive(gateway.look_up(key.access_key)).demand_served()
    estate.erase("acme")
    estate.clock.advance(1.0)
    credential = drive(gateway.look_up(key.access_key))
    assert credential.standing.value == "erasing"
    work_off(estate.rounds())
    estate.clock.advance(1.0)
    assert drive(gateway.look_up(key.access_key)) is None
