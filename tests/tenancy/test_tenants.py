"""The tree in a store: made, changed, moved, suspended, deleted; on every engine of metadata."""

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import AlreadyExists, Conflict, Invalid, NotEmpty, NotFound, OverQuota
from isotherm.objects.layout import bucket_row
from isotherm.tenancy.roles import OWNER, Role
from isotherm.tenancy.terms import Terms
from isotherm.tenancy.tree import DEPTH_MOST, TenantState
from tests.tenancy.forest import Forest


def names(forest, under=None, caller=OWNER, **options):
    page, more = drive(forest.tenants.page(caller, under, **options))
    return [seen.node.name for seen in page], more


def test_the_root_is_there_from_the_start_and_owns_all(forest):
    root = forest.show("/")
    assert (root.node.id, root.path, root.node.state) == (1, "/", TenantState.ACTIVE)
    assert forest.show("@1") == root
    assert names(forest) == ([], False)


def test_a_tenant_is_found_by_path_and_by_id_and_listed_below_its_parent(forest):
    forest.make("acme", labels={"plan": "gold"}, capacity_bytes=10)
    made = forest.make("acme/research", iops_share=7)
    assert forest.show("acme/research") == forest.show(f"@{made.node.id}") == made
    assert made.node.terms == Terms(iops_share=7)
    assert names(forest) == (["acme"], False)
    assert names(forest, "acme") == (["research"], False)
    assert forest.show("acme").node.labels == {"plan": "gold"}


def test_ids_are_never_used_again(forest):
    first = forest.make("a").node.id
    drive(forest.tenants.delete(OWNER, "a"))
    again = forest.make("a").node.id
    assert again == first + 1
    with pytest.raises(NotFound):
        forest.show(f"@{first}")


def test_making_the_same_again_changes_nothing_and_something_else_is_refused(forest):
    first, made = drive(forest.tenants.create(OWNER, "a", {"x": "1"}, Terms(objects=5)))
    assert made
    drive(forest.tenants.set_state(OWNER, "a", TenantState.DRAINING))
    again, made = drive(forest.tenants.create(OWNER, "a", {"x": "1"}, Terms(objects=5)))
    assert (again.node.id, made) == (first.node.id, False)
    for labels, terms in (({"x": "2"}, Terms(objects=5)), ({"x": "1"}, Terms(objects=6))):
        with pytest.raises(AlreadyExists):
            drive(forest.tenants.create(OWNER, "a", labels, terms))
    with pytest.raises(AlreadyExists):
        forest.make("/")


def test_a_tenant_needs_its_parent_and_its_depth(forest):
    with pytest.raises(NotFound, match="there is no tenant a, below which a/b would be made"):
        forest.make("a/b")
    path = "a"
    forest.make(path)
    for _ in range(DEPTH_MOST - 1):
        path += "/a"
        forest.make(path)
    with pytest.raises(Invalid, match="levels deep"):
        forest.make(path + "/a")


def test_promises_are_kept_along_the_whole_chain(forest):
    forest.make("acme", capacity_bytes=100)
    forest.make("acme/a")
    forest.make("acme/a/b", capacity_bytes=60)
    with pytest.raises(
        OverQuota, match="41 more are asked for; of 100 that acme has 60 are promised already, 40 are left"
    ):
        forest.make("acme/c", capacity_bytes=41)
    forest.make("acme/c", capacity_bytes=40)
    assert forest.promised("acme") == {"capacity_bytes": 100}
    assert forest.promised("/") == {"capacity_bytes": 100}
    with pytest.raises(OverQuota, match=r"^capacity_bytes cannot be 99: acme has promised 100 to its tenants$"):
        drive(forest.tenants.update(OWNER, "acme", {"capacity_bytes": 99}))
    drive(forest.tenants.delete(OWNER, "acme/a/b"))
    drive(forest.tenants.update(OWNER, "acme", {"capacity_bytes": 40}))
    drive(forest.tenants.update(OWNER, "acme", {"capacity_bytes": None}))
    assert forest.promised("/") == {"capacity_bytes": 40}


def test_whose_parent_is_missing_is_told_which(forest):
    forest.make("acme")
    with pytest.raises(NotFound, match=r"^there is no tenant acme/x, below which acme/x/y would be made$"):
        forest.make("acme/x/y")
    with pytest.raises(NotFound, match=r"^there is no tenant x, below which x/y would lie$"):
        drive(forest.tenants.move(OWNER, "acme", "x/y"))


def test_a_limit_bounds_what_may_be_reserved_below(forest):
    forest.make("acme", iops_limit=100)
    forest.make("acme/a", iops_reservation=70)
    with pytest.raises(OverQuota, match="30 are left"):
        forest.make("acme/b", iops_reservation=31)
    with pytest.raises(OverQuota, match=r"^iops_limit cannot be 69: acme has promised 70 to its tenants$"):
        drive(forest.tenants.update(OWNER, "acme", {"iops_limit": 69}))


def test_labels_are_merged(forest):
    forest.make("a", labels={"x": "1", "y": "2"})
    seen = drive(forest.tenants.update(OWNER, "a", {"labels": {"x": None, "z": "3"}}))
    assert seen.node.labels == {"y": "2", "z": "3"}
    assert drive(forest.tenants.update(OWNER, "a", {})) == seen


def test_moving_takes_everything_below_along_and_settles_promises(forest):
    forest.make("a", capacity_bytes=50)
    forest.make("a/x", capacity_bytes=30)
    deep = forest.make("a/x/y", capacity_bytes=30)
    forest.make("b", capacity_bytes=20)
    with pytest.raises(OverQuota):
        drive(forest.tenants.move(OWNER, "a/x", "b/x"))
    drive(forest.tenants.update(OWNER, "b", {"capacity_bytes": 30}))
    drive(forest.tenants.move(OWNER, "a/x", "b/z"))
    assert forest.show("b/z/y").node.id == deep.node.id
    assert names(forest, "a") == ([], False)
    assert forest.promised("a") == {}
    assert forest.promised("b") == {"capacity_bytes": 30}
    with pytest.raises(NotFound):
        forest.show("a/x")


def test_a_rename_is_a_move_to_the_same_parent(forest):
    made = forest.make("a", capacity_bytes=5)
    assert drive(forest.tenants.move(OWNER, "a", "b")).node.id == made.node.id
    assert drive(forest.tenants.move(OWNER, f"@{made.node.id}", "b")).path == "b"
    assert names(forest) == (["b"], False)
    assert forest.promised("/") == {"capacity_bytes": 5}


@pytest.mark.parametrize(("tenant", "path"), [("a", "a/b/c"), ("a", "a/b"), ("a", "a/a")])
def test_no_tenant_comes_to_lie_below_itself(forest, tenant, path):
    forest.make("a")
    forest.make("a/b")
    with pytest.raises((Conflict, AlreadyExists)):
        drive(forest.tenants.move(OWNER, tenant, path))
    assert names(forest) == (["a"], False)


def test_a_move_finds_its_place_free_open_and_not_too_deep(forest):
    for path in ("a", "a/x", "b", "b/x", "c"):
        forest.make(path)
    with pytest.raises(AlreadyExists):
        drive(forest.tenants.move(OWNER, "a/x", "b/x"))
    drive(forest.tenants.set_state(OWNER, "c", TenantState.DRAINING))
    with pytest.raises(Conflict, match="nothing new is made there"):
        drive(forest.tenants.move(OWNER, "a/x", "c/x"))
    path = "deep"
    forest.make(path)
    for _ in range(DEPTH_MOST - 2):
        path += "/d"
        forest.make(path)
    forest.make("a/x/y")
    with pytest.raises(Invalid, match="levels deep"):
        drive(forest.tenants.move(OWNER, "a/x", path + "/x"))
    drive(forest.tenants.move(OWNER, "b/x", path + "/x"))


def test_the_root_stays_what_and_where_it_is(forest):
    for call in (
        forest.tenants.move(OWNER, "/", "a"),
        forest.tenants.delete(OWNER, "/"),
        forest.tenants.set_state(OWNER, "@1", TenantState.SUSPENDED),
    ):
        with pytest.raises(Conflict):
            drive(call)
    drive(forest.tenants.update(OWNER, "/", {"iops_reservation": 5}))
    forest.make("a", iops_reservation=5)
    with pytest.raises(OverQuota, match="of 5 that / has 5 are promised"):
        forest.make("b", iops_reservation=1)


def test_what_is_not_empty_is_not_deleted_and_says_why(forest):
    a = forest.make("a").node.id
    forest.make("a/b")
    pair = forest.key("a", Role.DATA)

    async def bucket(txn):
        txn.put(bucket_row(a, "lake"), b"")

    async def no_bucket(txn):
        txn.delete(bucket_row(a, "lake"))

    drive(forest.meta.transact(bucket))
    with pytest.raises(NotEmpty, match="tenants below it and buckets and credentials that are not revoked"):
        drive(forest.tenants.delete(OWNER, "a"))
    drive(forest.tenants.delete(OWNER, "a/b"))
    drive(forest.meta.transact(no_bucket))
    with pytest.raises(NotEmpty, match="a still has credentials that are not revoked"):
        drive(forest.tenants.delete(OWNER, "a"))
    drive(forest.credentials.revoke(pair.access_key))
    drive(forest.tenants.delete(OWNER, "a"))
    assert names(forest) == ([], False)


def test_a_replaced_key_that_has_ended_does_not_keep_a_tenant(forest):
    forest.make("a")
    old = forest.key("a", Role.DATA)
    fresh = drive(forest.credentials.rotate(old.access_key, grace_s=60))
    assert (fresh.tenant, fresh.roles) == (old.tenant, old.roles)
    drive(forest.credentials.revoke(fresh.access_key))
    with pytest.raises(NotEmpty):
        drive(forest.tenants.delete(OWNER, "a"))
    forest.clock.advance(60)
    drive(forest.tenants.delete(OWNER, "a"))


def test_a_suspended_or_draining_tenant_gets_nothing_new(forest):
    forest.make("a")
    forest.make("a/b")
    for state in (TenantState.SUSPENDED, TenantState.DRAINING):
        drive(forest.tenants.set_state(OWNER, "a", state))
        assert forest.show("a/b").standing is state
        with pytest.raises(Conflict):
            forest.make("a/b/c")
        with pytest.raises(Conflict):
            forest.key("a/b", Role.DATA)
    drive(forest.tenants.set_state(OWNER, "a", TenantState.ACTIVE))
    forest.key("a/b", Role.DATA)


def test_ten_thousand_children_are_listed_by_pages(forest, metadata):
    count = 10_000 if metadata == "lmdb" else 1_500
    parent = forest.make("a").node.id
    wanted = [f"t{number:05}" for number in range(count)]
    plant(forest, parent, wanted)
    found, after, pages = [], "", 0
    while True:
        page, more = names(forest, "a", after=after, limit=997)
        found, pages = found + page, pages + 1
        if not more:
            break
        after = page[-1]
    assert found == wanted
    assert pages == -(-count // 997)


def plant(forest: Forest, parent, wanted):
    """Rows of many children, a thousand to a transaction."""
    from isotherm.tenancy import tree_record as record
    from isotherm.tenancy.tree import Node

    for start in range(0, len(wanted), 1_000):

        async def write(txn, start=start):
            for number, name in enumerate(wanted[start : start + 1_000], 100 + start):
                txn.put(record.node_row(number), record.pack(Node(id=number, parent=parent, name=name)))
                txn.put(record.child_row(parent, name), record.pack_id(number))

        drive(forest.meta.transact(write))


@pytest.mark.parametrize("limit", [0, -1, 1_001])
def test_a_page_has_its_bounds(forest, limit):
    with pytest.raises(Invalid):
        names(forest, limit=limit)


@pytest.mark.parametrize("after", ["..", "ä", "a/b", "\ud800"])
def test_a_page_begins_behind_a_name(forest, after):
    with pytest.raises(Invalid):
        names(forest, after=after)
