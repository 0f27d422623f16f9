"""Erasure over the administrative API: who may, what must be said, and what others learn of it."""

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.objects.buckets import NAMED
from isotherm.tenancy.erasure.certificate import Signed, verify
from isotherm.tenancy.erasure.erasures import Erasures
from isotherm.tenancy.grants import Grants
from isotherm.tenancy.roles import OWNER, Role
from tests.admin.calling import Api
from tests.movers.erasing import Estate, to_the_end

ERASE = "/v1/tenants/acme%2Fresearch/state/erasing"
MEANT = {"confirm": "acme/research"}


def test_only_an_admin_above_erases_and_only_what_he_confirms(grown):
    api = grown.api
    for credential, status in ((grown.auditor, 403), (grown.data, 403), (None, 401)):
        assert api(credential, "PUT", ERASE, MEANT).status == status
    stranger, own = api.forest.key("beta", Role.ADMIN), api.forest.key("acme/research", Role.ADMIN)
    assert api(stranger, "PUT", ERASE, MEANT).told["code"] == "NoSuchTenant"
    assert api(own, "PUT", ERASE, MEANT).status == 403
    assert api(grown.admin, "PUT", ERASE, {"confirm": "acme"}).told["code"] == "NotConfirmed"
    assert api(grown.admin, "PUT", ERASE, {}).status == 400
    assert api(grown.root, "PUT", "/v1/tenants/acme/state/erasing", {"confirm": "acme"}).told["held"]
    assert api(grown.root, "PUT", "/v1/tenants/%2F/state/erasing", {"confirm": "/"}).told["code"] == "TenantIsRoot"
    told = api(grown.admin, "PUT", ERASE, MEANT)
    assert (told.status, told.told["stage"], told.told["certificate"]) == (200, "removing", None)
    assert told.told["key_destroyed"]
    assert api(grown.admin, "PUT", ERASE, MEANT).told == told.told
    assert api(grown.admin, "PUT", "/v1/tenants/acme%2Fresearch", {}).told["code"] == "TenantErasing"
    assert api(grown.admin, "GET", "/v1/tenants/acme%2Fresearch").told["state"] == "erasing"
    assert api(grown.admin, "PUT", "/v1/tenants/acme%2Fresearch/state/active").told["code"] == "TenantErasing"
    api.forest.clock.advance(1)
    assert api(own, "GET", "/v1/self").status == 403


def test_progress_and_certificates_are_for_those_above(grown):
    api = grown.api
    api(grown.root, "PUT", ERASE, MEANT)
    assert api(grown.auditor, "GET", "/v1/erasures").told["erasures"][0]["path"] == "acme/research"
    assert api(grown.auditor, "GET", "/v1/erasures/acme%2Fresearch").status == 200
    stranger = api.forest.key("beta", Role.ADMIN)
    assert api(stranger, "GET", "/v1/erasures").told == {"erasures": [], "next": None}
    there, nowhere = (api(stranger, "GET", f"/v1/erasures/{which}").told for which in ("@3", "@33"))
    assert there["code"] == nowhere["code"] == "NoSuchTenant"
    assert api(grown.data, "GET", "/v1/erasures").status == 403
    for after in ("x", "-1", "%D9%A1", "9" * 40, "4294967295", "4294967296"):
        assert api(grown.root, "GET", f"/v1/erasures?after={after}").status == 400
    assert api(grown.root, "GET", "/v1/erasures/beta").told["code"] == "NoSuchErasure"


def test_a_certificate_that_was_downloaded_is_verified_and_tells_no_access_key(tmp_path):
    estate = Estate(tmp_path / "store", VirtualClock())
    estate.plant()
    estate.fill(3)
    root = drive(estate.credentials.create(roles=frozenset(Role)))
    admin = drive(estate.credentials.create(tenant=estate.tenants.place(OWNER, "acme"), roles=frozenset((Role.ADMIN,))))
    api = Api(_Forest(estate))
    assert api(root, "PUT", "/v1/tenants/acme%2Flab/state/erasing", {"confirm": "acme/lab"}).status == 200
    to_the_end(estate, estate.rounds())
    answer = api(admin, "GET", "/v1/erasures/@3")
    key = bytes.fromhex(api(admin, "GET", "/v1/erasure-key").told["public_key"])
    told = answer.told
    assert told["stage"] in ("erased", "purged")
    verify(Signed(**told["certificate"]), key)
    assert root.access_key.encode() not in answer.body
    assert told["certificate"]["statement"]["asked"]["tenant"] == 1
    assert told["removed"]["versions"] > 0
    assert api(admin, "GET", "/v1/tenants/@3").status == 404
    assert api(admin, "GET", "/v1/erasures?limit=1").told["erasures"] == [told]
    estate.close()


class _Forest:
    """What `Api` wants, of an estate."""

    def __init__(self, estate):
        self.meta, self.clock = estate.meta, estate.clock
        self.tenants, self.credentials = estate.tenants, estate.credentials
        self.erasures = Erasures(estate.meta, estate.keys, estate.clock)
        self.grants = Grants(estate.meta, estate.clock, NAMED)
