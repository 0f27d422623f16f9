"""Names, paths, references and states of tenants: the pure rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotherm.errors import Conflict, Corrupt, Denied, Invalid
from isotherm.tenancy import roles
from isotherm.tenancy.roles import ALL_ROLES, Caller, Need, Role
from isotherm.tenancy.terms import AMOUNT_MOST, Terms, changed_terms, checked_labels, checked_terms
from isotherm.tenancy.tree import (
    BARRED,
    DEPTH_MOST,
    NAME_PATTERN,
    REALM,
    Node,
    TenantState,
    check_name,
    demand_no_cycle,
    demand_open,
    parse_path,
    parse_reference,
    path_of,
    worst,
)

NAMES = st.from_regex(NAME_PATTERN, fullmatch=True)


@given(st.lists(NAMES, min_size=1, max_size=DEPTH_MOST))
def test_a_path_is_read_as_it_is_told(names):
    chain = [REALM]
    for number, name in enumerate(names):
        chain.append(Node(id=number + 2, parent=chain[-1].id, name=name))
    assert parse_path(path_of(chain)) == tuple(names)


@given(st.text())
def test_any_text_is_a_path_or_is_refused(text):
    try:
        names = parse_path(text)
    except Invalid:
        return
    assert "/".join(names) == text or (text == "/" and not names)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "-a",
        "a-",
        "A",
        "a b",
        "ä",
        "会话",
        "a\0",
        "a\n",
        "x" * 64,
        "@1",
        "a%2fb",
        "\u202eacme",
        "ａcme",
    ],
)
def test_what_could_be_taken_for_something_else_is_no_name(name):
    with pytest.raises(Invalid):
        check_name(name)


@pytest.mark.parametrize(
    "text", ["", "//", "/a", "a/", "a//b", "../a", "a/../b", "@0", "@-1", "@", "@1x", "@01", "x" * 5_000]
)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(Invalid):
        parse_reference(text)


def test_an_id_beyond_all_ids_names_nobody():
    assert parse_reference("@17") == 17
    assert parse_reference("@9999999999") == 0


def test_a_path_has_its_depth():
    assert len(parse_path("/".join("a" * DEPTH_MOST))) == DEPTH_MOST
    with pytest.raises(Invalid, match="levels deep"):
        parse_path("/".join("a" * (DEPTH_MOST + 1)))


@given(st.lists(st.sampled_from(TenantState)))
def test_the_worst_state_of_a_chain_counts(states):
    standing = worst(states)
    assert standing in (states or [TenantState.ACTIVE])
    if TenantState.SUSPENDED in states:
        assert standing in BARRED


def test_nothing_new_below_what_is_not_active():
    demand_open([REALM])
    drained = Node(id=2, parent=1, name="acme", state=TenantState.DRAINING)
    with pytest.raises(Conflict, match="acme/x is draining"):
        demand_open([REALM, drained, Node(id=3, parent=2, name="x")])


def test_no_node_below_itself():
    demand_no_cycle(3, [REALM, Node(id=2, parent=1, name="a")])
    with pytest.raises(Conflict):
        demand_no_cycle(2, [REALM, Node(id=2, parent=1, name="a")])


@pytest.mark.parametrize("value", [-1, AMOUNT_MOST + 1, 1.5, True, "1", float("nan"), float("inf"), [], {}])
@pytest.mark.parametrize(
    "name", ["capacity_bytes", "objects", "iops_reservation", "bandwidth_limit_bytes_s", "iops_share"]
)
def test_senseless_terms_are_refused(name, value):
    with pytest.raises(Invalid):
        checked_terms({name: value})


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 3_600_001, "5"])
def test_a_senseless_objective_is_refused(value):
    with pytest.raises(Invalid):
        checked_terms({"latency_p99_ms": value})


def test_nobody_is_promised_more_than_he_may_use():
    checked_terms({"iops_reservation": 5, "iops_limit": 5})
    with pytest.raises(Invalid, match="nobody can be promised"):
        checked_terms({"bandwidth_reservation_bytes_s": 6, "bandwidth_limit_bytes_s": 5})


def test_a_change_leaves_what_it_does_not_name():
    terms = Terms(capacity_bytes=5, iops_share=7)
    assert changed_terms(terms, {"capacity_bytes": None}) == Terms(iops_share=7)
    assert changed_terms(terms, {"iops_share": None}) == Terms(capacity_bytes=5)
    with pytest.raises(Invalid):
        changed_terms(terms, {"colour": 1})


@pytest.mark.parametrize(
    "labels",
    [
        {"A": ""},
        {"": ""},
        {"a": "x" * 257},
        {"a\n": ""},
        {"a": 1},
        {"a": "\ud800"},
        {f"l{n}": "" for n in range(65)},
        {f"l{n}": "\x01" * 256 for n in range(11)},
        [],
    ],
)
def test_labels_have_their_bounds(labels):
    with pytest.raises(Invalid):
        checked_labels(labels)


@given(st.frozensets(st.sampled_from(Role), min_size=1))
def test_roles_are_packed_and_read(carried):
    assert roles.unpack_roles(roles.pack_roles(carried)) == carried
    assert roles.read_roles(roles.role_words(carried)) == carried


@pytest.mark.parametrize("bits", [0, 8, 255])
def test_roles_that_mean_nothing_are_damage(bits):
    with pytest.raises(Corrupt):
        roles.unpack_roles(bits)


@pytest.mark.parametrize("words", [[], ["root"], ["Data"], [""]])
def test_unknown_roles_are_refused(words):
    with pytest.raises(Invalid):
        roles.read_roles(words)


SUFFICE = {
    Need.LOOK: {Role.ADMIN, Role.AUDITOR},
    Need.TEND: {Role.ADMIN},
    Need.GOVERN: {Role.ADMIN},
    Need.SELF: set(Role),
}


@given(st.frozensets(st.sampled_from(Role)), st.sampled_from(Need))
def test_a_role_suffices_or_not_wherever_it_is(carried, need):
    caller = Caller(7, carried)
    if carried & SUFFICE[need]:
        roles.demand_role(caller, need)
    else:
        with pytest.raises(Denied):
            roles.demand_role(caller, need)


def test_only_the_roots_admin_governs_his_own_node():
    roles.demand_height(Caller(1, ALL_ROLES), 1, Need.GOVERN)
    roles.demand_height(Caller(2, ALL_ROLES), 3, Need.GOVERN)
    roles.demand_height(Caller(2, ALL_ROLES), 2, Need.TEND)
    with pytest.raises(Denied):
        roles.demand_height(Caller(2, ALL_ROLES), 2, Need.GOVERN)
