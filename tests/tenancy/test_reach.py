"""Who reaches what: an admin of a tenant acts on it and below, and cannot tell what lies elsewhere from what does not exist."""

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Denied, IsothermError, NotFound, OverQuota
from isotherm.tenancy.roles import OWNER, Role
from isotherm.tenancy.terms import Terms
from isotherm.tenancy.tree import TenantState


@pytest.fixture
def grown(forest):
    """acme with its research and lab, and a neighbour."""
    for path in ("acme", "acme/research", "acme/research/deep", "acme/lab", "beta", "beta/secret"):
        forest.make(path)
    return forest


def outcome(call):
    """(class, code, message) of what a call raises."""
    with pytest.raises(IsothermError) as raised:
        drive(call)
    return type(raised.value), raised.value.code, str(raised.value)


def operations(tenants, caller, tenant):
    """Every operation, on a tenant."""
    return {
        "show": lambda: tenants.show(caller, tenant),
        "page": lambda: tenants.page(caller, tenant),
        "create": lambda: tenants.create(caller, f"{tenant}/fresh", {}, Terms()),
        "update": lambda: tenants.update(caller, tenant, {"objects": 1}),
        "suspend": lambda: tenants.set_state(caller, tenant, TenantState.SUSPENDED),
        "move": lambda: tenants.move(caller, tenant, "acme/research/taken"),
        "move to": lambda: tenants.move(caller, "acme/research/deep", f"{tenant}/deep"),
        "delete": lambda: tenants.delete(caller, tenant),
        "place": lambda: tenants._meta.transact(tenants.place(caller, tenant)),
    }


@pytest.mark.parametrize("tenant", ["acme", "acme/lab", "beta", "beta/secret"])
def test_what_lies_above_or_beside_looks_as_if_it_were_not_there(grown, tenant):
    admin = grown.admin("acme/research")
    before = [grown.show(path) for path in ("acme", "acme/lab", "beta", "beta/secret")]
    nowhere = "acme/no" if tenant.startswith("acme") else "no/no"
    for name, call in operations(grown.tenants, admin, tenant).items():
        kind, code, message = outcome(call())
        absent = outcome(operations(grown.tenants, admin, nowhere)[name]())
        assert (kind, code) == (NotFound, "NoSuchTenant") == absent[:2]
        assert message.replace(tenant, "") == absent[2].replace(nowhere, "")
    assert [grown.show(path) for path in ("acme", "acme/lab", "beta", "beta/secret")] == before


def test_ids_are_guessed_in_vain(grown):
    admin = grown.admin("acme/research")
    own = {grown.show(path).node.id for path in ("acme/research", "acme/research/deep")}
    for guess in [1, *range(2, 12), 4_294_967_295]:
        if guess not in own:
            assert outcome(grown.tenants.show(admin, f"@{guess}")) == (
                NotFound,
                "NoSuchTenant",
                f"there is no tenant @{guess}",
            )


def test_the_root_is_out_of_reach_too(grown):
    admin = grown.admin("acme")
    for tenant in ("/", "@1"):
        assert outcome(grown.tenants.show(admin, tenant))[:2] == (NotFound, "NoSuchTenant")
    assert outcome(grown.tenants.create(admin, "fresh", {}, Terms()))[:2] == (NotFound, "NoSuchTenant")
    assert outcome(grown.tenants.create(admin, "beta", {}, Terms()))[:2] == (NotFound, "NoSuchTenant")


def test_an_admin_acts_on_all_below_and_grants_himself_nothing(grown):
    admin = grown.admin("acme")
    grown.make("acme/new", caller=admin)
    drive(grown.tenants.update(admin, "acme/research", {"objects": 7}))
    drive(grown.tenants.move(admin, "acme/research/deep", "acme/deep"))
    drive(grown.tenants.set_state(admin, "acme/deep", TenantState.SUSPENDED))
    drive(grown.tenants.delete(admin, "acme/new"))
    assert grown.show("acme", admin).path == "acme"
    for call in (
        grown.tenants.update(admin, "acme", {"capacity_bytes": 10**15}),
        grown.tenants.move(admin, "acme", "acme/x"),
        grown.tenants.set_state(admin, "acme", TenantState.ACTIVE),
        grown.tenants.delete(admin, "acme"),
    ):
        assert outcome(call)[0] is Denied


@pytest.mark.parametrize("role", [Role.DATA, Role.AUDITOR])
def test_other_roles_change_nothing_wherever_they_try(grown, role):
    caller = grown.caller("acme", role)
    for tenant in ("acme", "acme/lab", "beta", "no"):
        for name, call in operations(grown.tenants, caller, tenant).items():
            if role is Role.AUDITOR and name in ("show", "page"):
                continue
            assert outcome(call())[0] is Denied


def test_an_auditor_looks_at_its_own_and_below(grown):
    auditor = grown.caller("acme", Role.AUDITOR)
    assert grown.show("acme/research", auditor).path == "acme/research"
    assert [seen.path for seen in drive(grown.tenants.page(auditor, None))[0]] == ["acme/lab", "acme/research"]
    assert outcome(grown.tenants.show(auditor, "beta"))[0] is NotFound


def test_keys_of_others_are_out_of_reach_and_those_below_are_not(grown):
    admin = grown.admin("acme/research")
    beside, above, below = (
        grown.key(path, Role.DATA).access_key for path in ("acme/lab", "acme", "acme/research/deep")
    )

    def revoke(access_key):
        return grown.credentials.revoke(access_key, permit=grown.tenants.permit(admin, access_key))

    for access_key in (beside, above, "ISOTNOSUCHKEY"):
        assert outcome(revoke(access_key)) == (NotFound, "NoSuchAccessKey", f"there is no access key {access_key}")
    drive(revoke(below))
    data = grown.caller("acme", Role.DATA)
    assert outcome(grown.credentials.revoke(beside, permit=grown.tenants.permit(data, beside)))[0] is Denied


def test_numbers_of_tenants_above_are_not_told(grown):
    drive(grown.tenants.update(OWNER, "acme", {"capacity_bytes": 1_234}))
    grown.make("acme/big", capacity_bytes=1_000)
    with pytest.raises(OverQuota) as veiled:
        grown.make("acme/research/x", caller=grown.admin("acme/research"), capacity_bytes=235)
    assert not any(number in str(veiled.value) for number in ("1,234", "1,000", "234 "))
    assert set(veiled.value.detail) == {"promise"}
    with pytest.raises(OverQuota, match="of 1,234 that acme has 1,000 are promised already, 234 are left"):
        grown.make("acme/research/x", caller=grown.admin("acme"), capacity_bytes=235)


def test_who_is_moved_away_reaches_no_more_what_he_reached(grown):
    admin = grown.admin("acme")
    drive(grown.tenants.move(OWNER, "acme/research", "beta/research"))
    assert outcome(grown.tenants.show(admin, "@3"))[0] is NotFound
    assert outcome(grown.tenants.show(admin, "beta/research"))[0] is NotFound
