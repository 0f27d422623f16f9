"""Buckets of others, mounted: what was granted works as one's own does, and nothing else is reached, told or left to act by."""

import inspect
from types import SimpleNamespace

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Denied, IsothermError
from isotherm.objects.buckets import NAMED
from isotherm.objects.model import Algorithm, Attributes, Condition, Digests, ReadCondition, Versioning
from isotherm.objects.mounting import MountingSpace
from isotherm.objects.space import Space
from isotherm.store.spaces import Spaces
from isotherm.tenancy.generation import Generation
from isotherm.tenancy.grant_record import Access
from isotherm.tenancy.grants import Grants, Wanted
from isotherm.tenancy.mounts import Mounts
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.standing import Standings
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.terms import Terms
from isotherm.tenancy.tree import TenantState
from tests.objects.stores import MIB, body, open_engines, payload

PART = 5 * MIB
ACME, BETA = 2, 3


class Neighbours:
    """Tenants acme, which owns the bucket `lake`, and beta, which sees others' buckets under its own names."""

    def __init__(self, engines):
        self.engines = engines
        self.tenants = Tenants(engines.meta, engines.clock, engines.vault)
        self.grants = Grants(engines.meta, engines.clock, NAMED)
        for path in ("acme", "beta"):
            drive(self.tenants.create(OWNER, path, {}, Terms()))
        self.mounts = Mounts(engines.meta, engines.clock, Generation(engines.meta, engines.clock))
        self.standings = Standings(engines.meta, engines.clock, Generation(engines.meta, engines.clock))
        self.spaces = Spaces(engines, self.mounts, self.standings)
        self.acme = engines.space(ACME)
        drive(self.acme.create_bucket("lake"))
        drive(self.acme.create_bucket("secret"))

    def grant(self, alias="theirs", bucket="lake", name="g", **wanted):
        drive(self.grants.create(OWNER, "acme", name, Wanted(bucket, "beta", alias=alias, **wanted)))
        return self.beta()

    def beta(self):
        """Its space, as a gateway hands it out a moment later."""
        self.engines.clock.advance(1)
        drive(self.mounts.refresh(BETA))
        return self.spaces(BETA)


@pytest.fixture
def pair(tmp_path, metadata):
    engines = open_engines(tmp_path / "data")
    yield Neighbours(engines)
    engines.close()


def code(awaitable):
    with pytest.raises(IsothermError) as caught:
        drive(awaitable)
    return caught.value.code


def keys(listing):
    return [entry.key for entry in listing.entries]


def test_a_tenant_with_nothing_mounted_has_its_plain_space(pair):
    assert type(pair.beta()) is Space
    assert pair.beta() is pair.beta()
    assert type(pair.grant()) is MountingSpace


def test_what_was_granted_for_reading_is_read_and_nothing_else(pair):
    put = drive(pair.acme.put("lake", "a/b", b"cold", tags={"t": "1"}))
    begun = drive(pair.acme.create_upload("lake", "a/b")).id
    beta = pair.grant()
    assert drive(beta.read("theirs", "a/b")) == b"cold"
    assert drive(beta.head("theirs", "a/b")).etag == put.etag
    assert drive(beta.tags("theirs", "a/b"))[0] == {"t": "1"}
    assert keys(drive(beta.list("theirs"))) == ["a/b"] == keys(drive(beta.list_versions("theirs")))
    for refused in (
        beta.put("theirs", "k", b"x"),
        beta.delete("theirs", "a/b"),
        beta.delete_many("theirs", [("a/b", None)]),
        beta.set_tags("theirs", "a/b", {}),
        beta.create_upload("theirs", "k"),
        beta.upload("theirs", "a/b", begun),
        beta.uploads("theirs"),
        beta.parts("theirs", "a/b", begun),
        beta.put_part("theirs", "a/b", begun, 1, b"x"),
        beta.complete_upload("theirs", "a/b", begun, [(1, "x", None)]),
        beta.abort_upload("theirs", "a/b", begun),
        beta.copy("theirs", "a/b", "theirs", "k"),
    ):
        assert code(refused) == "AccessDenied"
    assert keys(drive(pair.acme.list("lake"))) == ["a/b"]


def test_what_was_granted_for_writing_is_written_and_is_the_owners(pair):
    beta = pair.grant(access=Access.WRITE)
    drive(beta.put("theirs", "k", b"x" * 100))
    upload = drive(beta.create_upload("theirs", "big")).id
    parts = [drive(beta.put_part("theirs", "big", upload, n, payload(PART, n))) for n in (1, 2)]
    made = drive(beta.complete_upload("theirs", "big", upload, [(part.number, part.etag, None) for part in parts]))
    assert drive(beta.part_range("theirs", made, 2)) == (PART, PART)
    assert len(drive(beta.part_list("theirs", made))) == 2
    assert drive(pair.acme.read("lake", "big", PART)) == payload(PART, 2)
    assert [(c.kind, c.bucket, c.key) for c in drive(pair.acme.changes(None))[0]][2:] == [
        ("put", "lake", "k"),
        ("put", "lake", "big"),
    ]
    assert drive(beta.changes(None))[0] == []
    assert drive(beta.delete_many("theirs", [("k", None), ("big", None)]))
    assert keys(drive(pair.acme.list("lake"))) == []


def test_the_bucket_itself_is_its_owners(pair):
    drive(pair.acme.set_bucket_tags("lake", {"cost": "secret"}))
    beta = pair.grant(access=Access.WRITE)
    for refused in (
        beta.delete_bucket("theirs"),
        beta.set_versioning("theirs", Versioning.ENABLED),
        beta.set_bucket_tags("theirs", {}),
    ):
        assert code(refused) == "AccessDenied"
    with pytest.raises(Denied):
        beta.demand_own("theirs")
    assert code(beta.create_bucket("theirs")) == "BucketAlreadyExists"
    seen = drive(beta.bucket("theirs"))
    assert (seen.name, seen.tags) == ("theirs", {})
    drive(beta.create_bucket("own"))
    drive(beta.create_bucket("zoo"))
    assert [bucket.name for bucket in drive(beta.buckets())] == ["own", "theirs", "zoo"]
    assert [bucket.name for bucket in drive(beta.buckets(after="own", limit=1))] == ["theirs"]
    assert [bucket.name for bucket in drive(beta.buckets(prefix="t"))] == ["theirs"]
    beta.demand_own("own")
    assert [beta.owner_of(name) for name in ("theirs", "own")] == [ACME, None]


def test_beyond_a_prefix_nothing_is_there_to_read_write_or_list(pair):
    for key in ("team/a/1", "team/a/x/2", "team/b/3", "top"):
        drive(pair.acme.put("lake", key, b"x"))
    beta = pair.grant(access=Access.WRITE, prefix="team/a/")
    for key in ("team/b/3", "top", "nowhere", "team/a"):
        for refused in (beta.read("theirs", key), beta.put("theirs", key, b""), beta.delete("theirs", key)):
            assert code(refused) == "AccessDenied"
        assert code(beta.copy("theirs", key, "theirs", "team/a/9")) == "AccessDenied"
    assert keys(drive(beta.list("theirs"))) == ["team/a/1", "team/a/x/2"]
    assert keys(drive(beta.list("theirs", prefix="team/a/x"))) == ["team/a/x/2"]
    assert keys(drive(beta.list("theirs", prefix="team/b/"))) == []
    for prefix, delimiter, rolled, plain in (
        ("", "/", ["team/"], []),
        ("te", "/", ["team/"], []),
        ("team/", "/", ["team/a/"], []),
        ("team/a/", "/", ["team/a/x/"], ["team/a/1"]),
        ("", "m/a/x", ["team/a/x"], ["team/a/1"]),
        ("team/b", "/", [], []),
    ):
        for listing in (beta.list, beta.list_versions):
            found = drive(listing("theirs", prefix=prefix, delimiter=delimiter))
            assert (found.prefixes, keys(found)) == (rolled, plain), (prefix, delimiter)
    page = drive(beta.list("theirs", limit=1))
    assert keys(page) == ["team/a/1"]
    assert keys(drive(beta.list("theirs", after=page.next_key))) == ["team/a/x/2"]
    assert keys(drive(beta.list("theirs", after="team/b"))) == []
    drive(pair.acme.create_upload("lake", "team/b/9"))
    drive(beta.create_upload("theirs", "team/a/9"))
    assert [upload.key for upload in drive(beta.uploads("theirs")).uploads] == ["team/a/9"]
    outcomes = drive(beta.delete_many("theirs", [("top", None), ("team/a/1", None), ("team/b/3", None)]))
    assert [isinstance(outcome, Denied) for outcome in outcomes] == [True, False, True]
    assert keys(drive(pair.acme.list("lake"))) == ["team/a/x/2", "team/b/3", "top"]


def test_a_copy_across_tenants_copies_bytes_and_outlives_its_source(pair):
    data = payload(3 * MIB)
    attributes = Attributes({"content-type": "x/y"}, {"m": "1"})
    made = drive(
        pair.acme.put(
            "lake", "k", body(data), attributes=attributes, tags={"t": "1"}, digests=Digests(algorithm=Algorithm.SHA256)
        )
    )
    beta = pair.grant()
    drive(beta.create_bucket("own"))
    copied = drive(beta.copy("theirs", "k", "own", "c"))
    assert (copied.size, copied.etag, copied.checksum, copied.attributes) == (
        made.size,
        made.etag,
        made.checksum,
        attributes,
    )
    assert not {(e.segment, e.offset) for e in made.extents} & {(e.segment, e.offset) for e in copied.extents}
    changed = drive(beta.copy("theirs", "k", "own", "d", attributes=Attributes(), tags={}, algorithm=Algorithm.CRC32C))
    assert changed.checksum.algorithm is Algorithm.CRC32C
    assert drive(beta.tags("own", "c"))[0] == {"t": "1"}
    assert drive(beta.tags("own", "d"))[0] == {}
    condition = ReadCondition(if_match=["other"])
    assert code(beta.copy("theirs", "k", "own", "e", source_condition=condition)) == "PreconditionFailed"
    assert code(beta.copy("theirs", "k", "own", "c", condition=Condition(if_none_match="*"))) == "PreconditionFailed"
    upload = drive(beta.create_upload("own", "u")).id
    part, _ = drive(beta.copy_part("theirs", "k", "own", "u", upload, 1, source_range=(10, 2 * MIB)))
    drive(beta.complete_upload("own", "u", upload, [(1, part.etag, None)]))
    drive(pair.acme.delete("lake", "k"))
    drive(pair.acme.delete_bucket("lake"))
    assert drive(beta.read("own", "c")) == data
    assert drive(beta.read("own", "u")) == data[10 : 10 + 2 * MIB]


def test_a_copy_within_a_granted_bucket_shares_bytes_and_one_onto_itself_is_refused(pair):
    drive(pair.acme.put("lake", "k", b"x" * 1_000))
    beta = pair.grant(access=Access.WRITE)
    made, copied = drive(beta.head("theirs", "k")), drive(beta.copy("theirs", "k", "theirs", "c"))
    assert [(e.segment, e.offset) for e in made.extents] == [(e.segment, e.offset) for e in copied.extents]
    assert code(beta.copy("theirs", "k", "theirs", "k")) == "InvalidRequest"
    drive(beta.create_bucket("own"))
    drive(beta.put("own", "o", b"mine"))
    drive(beta.copy("own", "o", "theirs", "o"))
    assert drive(pair.acme.read("lake", "o")) == b"mine"


def _acts(beta, upload):
    """Every call that acts in a bucket, on a handle that is kept."""
    return {
        "bucket": lambda: beta.bucket("theirs"),
        "put": lambda: beta.put("theirs", "new", b"x"),
        "put large": lambda: beta.put("theirs", "new", body(payload(MIB), declared=False)),
        "head": lambda: beta.head("theirs", "k"),
        "open": lambda: beta.open("theirs", "k"),
        "read": lambda: beta.read("theirs", "k"),
        "delete": lambda: beta.delete("theirs", "k"),
        "delete_many": lambda: beta.delete_many("theirs", [("k", None)]),
        "copy": lambda: beta.copy("theirs", "k", "own", "c"),
        "copy there": lambda: beta.copy("own", "o", "theirs", "c"),
        "list": lambda: beta.list("theirs"),
        "list_versions": lambda: beta.list_versions("theirs"),
        "create_upload": lambda: beta.create_upload("theirs", "u"),
        "upload": lambda: beta.upload("theirs", "u", upload),
        "put_part": lambda: beta.put_part("theirs", "u", upload, 1, b"x"),
        "copy_part": lambda: beta.copy_part("own", "o", "theirs", "u", upload, 1),
        "parts": lambda: beta.parts("theirs", "u", upload),
        "uploads": lambda: beta.uploads("theirs"),
        "complete_upload": lambda: beta.complete_upload("theirs", "u", upload, [(1, "x", None)]),
        "abort_upload": lambda: beta.abort_upload("theirs", "u", upload),
        "tags": lambda: beta.tags("theirs", "k"),
        "set_tags": lambda: beta.set_tags("theirs", "k", {}),
    }


@pytest.fixture
def held(pair):
    """A handle that a request holds, and what it may do."""
    drive(pair.acme.put("lake", "k", b"x"))
    beta = pair.grant(access=Access.WRITE)
    drive(beta.create_bucket("own"))
    drive(beta.put("own", "o", b"x"))
    acts = _acts(beta, drive(beta.create_upload("theirs", "u")).id)
    for name in ("bucket", "head", "read", "list", "uploads", "tags"):
        drive(acts[name]())
    return SimpleNamespace(pair=pair, acts=acts)


def untouched(pair):
    return [
        [(e.key, e.size) for e in drive(pair.acme.list("lake")).entries],
        len(drive(pair.acme.uploads("lake")).uploads),
    ]


def test_a_revoked_grant_serves_nobody_even_by_a_handle_of_before(held):
    before = untouched(held.pair)
    drive(held.pair.grants.revoke(OWNER, "acme", "g"))
    assert {name: code(act()) for name, act in held.acts.items()} == dict.fromkeys(held.acts, "NoSuchBucket")
    assert untouched(held.pair) == before


def test_an_alias_given_back_and_a_grant_made_anew_for_reading_do_not_revive_a_handle(held):
    drive(held.pair.grants.revoke(OWNER, "acme", "g"))
    held.pair.grant(access=Access.READ)
    assert {name: code(act()) for name, act in held.acts.items()} == dict.fromkeys(held.acts, "NoSuchBucket")


def test_a_bucket_made_anew_is_not_reached_by_the_grant_of_the_old_one(held):
    acme = held.pair.acme
    drive(acme.delete("lake", "k"))
    drive(acme.delete_bucket("lake"))
    drive(acme.create_bucket("lake"))
    drive(acme.put("lake", "k", b"another"))
    for acts in (held.acts, _acts(held.pair.beta(), "0" * 32)):
        assert {name: code(act()) for name, act in acts.items()} == dict.fromkeys(acts, "NoSuchBucket")
    assert untouched(held.pair) == [[("k", 7)], 0]


def test_while_the_owner_is_suspended_the_grant_serves_nobody(held):
    drive(held.pair.tenants.set_state(OWNER, "acme", TenantState.SUSPENDED))
    held.pair.engines.clock.advance(1)
    assert {name: code(act()) for name, act in held.acts.items()} == dict.fromkeys(held.acts, "AccessDenied")
    drive(held.pair.tenants.set_state(OWNER, "acme", TenantState.ACTIVE))
    held.pair.engines.clock.advance(1)
    assert drive(held.acts["read"]()) == b"x"


def test_a_body_that_was_on_its_way_when_the_grant_was_revoked_is_not_stored(pair):
    beta = pair.grant(access=Access.WRITE)

    async def pieces():
        yield payload(MIB)
        await pair.grants.revoke(OWNER, "acme", "g")
        yield payload(MIB)

    from isotherm.objects.model import Body

    assert code(beta.put("theirs", "k", Body(pieces(), 2 * MIB))) == "NoSuchBucket"
    assert keys(drive(pair.acme.list("lake"))) == []


def test_a_refusal_tells_the_callers_name_of_a_bucket_alone(pair):
    beta = pair.grant()
    drive(pair.grants.revoke(OWNER, "acme", "g"))
    with pytest.raises(IsothermError) as caught:
        drive(beta.read("theirs", "k"))
    assert caught.value.detail == {"BucketName": "theirs"}
    assert "lake" not in str(caught.value)


def test_a_handle_that_is_bound_by_a_warrant_has_no_other_bucket(pair):
    """Whatever name it were handed by mistake."""
    drive(pair.acme.put("secret", "k", b"x"))
    beta = pair.grant(access=Access.WRITE)
    bound, name = drive(beta._at("theirs", Access.WRITE))
    assert name == "lake"
    assert code(bound.read("secret", "k")) == "NoSuchBucket"
    assert code(bound.put("secret", "k", b"")) == "NoSuchBucket"
    assert code(beta.read("lake", "k")) == "NoSuchBucket"
    assert code(beta.read("secret", "k")) == "NoSuchBucket"


def test_no_call_that_names_a_bucket_is_forgotten():
    """What a mounting space leaves to the tenant's own: what is made there, and what is told of it alone."""
    named = {
        name
        for name, member in inspect.getmembers(Space, inspect.isfunction)
        if not name.startswith("_") and {"bucket", "source_bucket", "name"} & set(inspect.signature(member).parameters)
    }
    assert named - vars(MountingSpace).keys() == {"create_bucket", "find", "changes", "demand_own"}


def test_one_more_tenant_of_a_name_is_another(pair):
    """Deleted and made anew, a receiver has what was granted to it now, not what was granted before."""
    pair.grant()
    drive(pair.tenants.delete(OWNER, "beta"))
    drive(pair.tenants.create(OWNER, "beta", {}, Terms()))
    pair.engines.clock.advance(1)
    drive(pair.mounts.refresh(4))
    assert type(pair.spaces(4)) is Space
    assert type(pair.beta()) is Space, "nor does the old one's id lead anywhere"
