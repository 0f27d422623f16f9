"""Changes of the tree that race: none of them over-promises, makes a cycle, or leaves something in a deleted tenant."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Conflict, Conflicted, IsothermError, NotEmpty, NotFound, OverQuota
from isotherm.ids import SeededIds
from isotherm.objects.context import Context
from isotherm.tenancy.promises import PROMISES, bound, claim
from isotherm.tenancy.roles import OWNER, Role
from isotherm.tenancy.terms import Terms
from isotherm.tenancy.tree import TenantState


def at_once(calls):
    """The outcome of each call, made on a thread of its own; one that lost too often is made again."""

    def attempt(call):
        while True:
            try:
                return drive(call())
            except Conflicted:
                continue
            except IsothermError as error:
                return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(attempt, calls))


def children(forest, path):
    return [seen.node for seen in drive(forest.tenants.page(OWNER, path, limit=1_000))[0]]


def assert_kept(forest, path):
    """What the children were promised is what the parent says, and no more than it has."""
    node = forest.show(path).node
    for promise in PROMISES:
        promised = sum(claim(child, promise) for child in children(forest, path))
        assert node.promised.get(promise, 0) == promised <= bound(node.terms, promise)


def test_racing_siblings_are_promised_what_there_is_and_no_more(forest):
    forest.make("acme", capacity_bytes=100, iops_reservation=70)
    terms = Terms(capacity_bytes=10, iops_reservation=9)
    outcomes = at_once([lambda n=n: forest.tenants.create(OWNER, f"acme/t{n}", {}, terms) for n in range(16)])
    refused = [outcome for outcome in outcomes if isinstance(outcome, OverQuota)]
    assert len(refused) == 16 - 7
    assert len(children(forest, "acme")) == 7
    assert_kept(forest, "acme")
    ids = {node.id for node in children(forest, "acme")}
    assert len(ids) == 7


def test_racing_changes_of_terms_moves_and_deletes_keep_every_promise(forest):
    for parent in ("a", "b"):
        forest.make(parent, capacity_bytes=50)
        for number in range(6):
            forest.make(f"{parent}/{parent}{number}", capacity_bytes=5)
    calls = [
        *(lambda n=n: forest.tenants.update(OWNER, f"a/a{n}", {"capacity_bytes": 20}) for n in range(3)),
        *(lambda n=n: forest.tenants.move(OWNER, f"b/b{n}", f"a/b{n}") for n in range(3)),
        *(lambda n=n: forest.tenants.delete(OWNER, f"b/b{n}") for n in range(3, 5)),
        *(lambda n=n: forest.tenants.move(OWNER, f"a/a{n}", f"b/a{n}") for n in range(3, 6)),
        lambda: forest.tenants.update(OWNER, "a", {"capacity_bytes": 35}),
        lambda: forest.tenants.update(OWNER, "b", {"capacity_bytes": 20}),
    ]
    outcomes = at_once(calls)
    assert all(not isinstance(outcome, IsothermError) or isinstance(outcome, OverQuota) for outcome in outcomes)
    for path in ("a", "b", "/"):
        assert_kept(forest, path)


def test_two_that_move_below_each_other_make_no_cycle(forest):
    for path in ("a", "b"):
        forest.make(path)
    outcomes = at_once(
        [lambda: forest.tenants.move(OWNER, "@2", "b/a"), lambda: forest.tenants.move(OWNER, "@3", "a/b")]
    )
    lost = [outcome for outcome in outcomes if isinstance(outcome, IsothermError)]
    assert len(lost) == 1
    assert isinstance(lost[0], Conflict | NotFound)
    assert len(children(forest, "/")) == 1


def test_one_name_is_given_once(forest):
    outcomes = at_once([lambda n=n: forest.tenants.create(OWNER, "a", {"n": str(n)}, Terms()) for n in range(8)])
    made = [outcome for outcome in outcomes if not isinstance(outcome, IsothermError)]
    assert len(made) == 1
    assert children(forest, "/") == [made[0][0].node]


def test_nothing_is_made_in_a_tenant_that_is_being_deleted(forest):
    """A key, a tenant and a bucket race with the deletion: either they are there and it is refused, or it is gone."""
    from isotherm.objects import buckets

    for round_ in range(6):
        path = f"t{round_}"
        tenant = forest.make(path).node.id
        context = Context(tenant, forest.meta, None, forest.clock, SeededIds(tenant))
        things = [
            lambda path=path: forest.credentials.create(tenant=forest.tenants.place(OWNER, path)),
            lambda path=path: forest.tenants.create(OWNER, f"{path}/below", {}, Terms()),
            lambda context=context: buckets.create(context, "lake"),
        ]
        thing, deletion = at_once([things[round_ % 3], lambda path=path: forest.tenants.delete(OWNER, path)])
        if isinstance(deletion, NotEmpty):
            assert not isinstance(thing, IsothermError)
        else:
            assert isinstance(thing, Conflict | NotFound)
            with pytest.raises(Conflict, match="erased"):
                drive(buckets.create(context, "late"))


def test_a_suspension_is_not_lost_to_a_change_of_terms(forest):
    forest.make("a")
    at_once(
        [
            lambda: forest.tenants.set_state(OWNER, "a", TenantState.SUSPENDED),
            *(lambda n=n: forest.tenants.update(OWNER, "a", {"objects": n}) for n in range(6)),
            lambda: forest.credentials.create(tenant=forest.tenants.place(OWNER, "a"), roles=frozenset({Role.DATA})),
        ]
    )
    assert forest.show("a").standing is TenantState.SUSPENDED
