"""`isotherm tenant erase`, `erasure` and `certificate`: on a store of one's own, and on one that a server serves."""

import json

import pytest
from msgspec import to_builtins

from isotherm.clock import VirtualClock
from isotherm.tenancy.erasure.certificate import Signer
from tests.movers.erasing import Estate, to_the_end
from tests.server.administration import call, code_of, key, seen, signed, tenant
from tests.server.clients import run, serving


@pytest.fixture
def store(tmp_path):
    """A store in which beta (4) has been erased, and acme (2) has not."""
    estate = Estate(tmp_path / "store", VirtualClock())
    estate.plant()
    estate.fill(4)
    estate.erase("beta")
    to_the_end(estate, estate.rounds())
    estate.close()
    return tmp_path / "store"


def said(store, *arguments, status=0):
    done = run(*arguments, "--data", store)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
    return done.stdout + done.stderr


def test_a_certificate_is_shown_kept_and_verified_without_the_store(store, tmp_path):
    shown = said(store, "erasure", "show", "@4", "--json")
    public_key = json.loads(said(store, "erasure", "key", "--json"))["public_key"]
    file = tmp_path / "certificate.json"

    def verified(text, status, *keys):
        file.write_text(text)
        given = [word for key in keys or (public_key,) for word in ("--public-key", key)]
        done = run("certificate", "verify", file, *given)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    assert "tenant @4 beta" in verified(shown, 0)
    told = json.loads(shown)
    assert "was erased" in verified(json.dumps(told["certificate"]), 0)
    assert "not what was signed" in verified(shown.replace('"beta"', '"acme"'), 2)
    other = Signer(bytes(32))
    assert "tenant @4 beta" in verified(shown, 0, other.public_key.hex(), public_key)
    assert f"the certificate was signed by another key, which was not given: {public_key}" in verified(
        shown, 2, "00" * 32
    )
    purge = to_builtins(other.sign({"type": "isotherm.purge", "tenant": {"id": 4}}))
    both = json.dumps({**told, "purge": purge})
    assert verified(both, 0, public_key, other.public_key.hex()).count("good: ") == 2
    half = verified(both, 2)
    assert half.count("good: ") == 1
    assert f"the purge was signed by another key, which was not given: {other.public_key.hex()}" in half
    for digits in ("00", "no", public_key + "00"):
        assert "--public-key is 64 hexadecimal digits, as `isotherm erasure key` shows" in verified(shown, 1, digits)
    for nothing in ("{}", "[]", "no JSON", '{"certificate": {"statement": 1}}'):
        verified(nothing, 1)
    done = run("certificate", "verify", tmp_path / "nowhere", "--public-key", public_key)
    assert (done.returncode, done.stderr) == (1, f"isotherm: there is no file {tmp_path / 'nowhere'}\n")


def test_what_is_erased_is_listed_for_people_too(store):
    assert "beta" in said(store, "erasure", "list")
    assert "acme" not in said(store, "erasure", "list")
    assert "see --json" in said(store, "erasure", "show", "@4")
    assert "there is no tenant beta" in said(store, "erasure", "show", "beta", status=1)


def test_erasing_must_be_meant(store):
    assert "Missing option" in said(store, "tenant", "erase", "acme", status=2)
    assert "confirm it by its path" in said(store, "tenant", "erase", "acme", "--confirm", "beta", status=1)
    refused = said(store, "tenant", "erase", "acme", "--confirm", "acme", status=1)
    assert "has tenants below it" in refused
    assert "(by command: --subtree true)" in refused
    assert "removing" in said(store, "tenant", "erase", "acme", "--confirm", "acme", "--subtree", "true")
    assert "erasing" in said(store, "tenant", "show", "acme/lab")
    assert "is being erased" in said(store, "tenant", "resume", "acme", status=1)


def test_a_server_serves_nobody_of_it_within_a_second_and_removes_it(tmp_path):
    with serving(tmp_path / "data") as server:
        tenant(server, "create", "acme")
        client = signed(server, key(server, "acme", "data"))
        client.create_bucket(Bucket="lake")
        for number in range(20):
            client.put_object(Bucket="lake", Key=f"key {number}", Body=b"x" * 5_000)
        tenant(server, "erase", "acme", "--confirm", "acme")
        seen(lambda: code_of(client.list_buckets) in ("AccountProblem", "InvalidAccessKeyId"), True)
        root = server.credential
        seen(lambda: json.loads(said(server.data, "erasure", "show", "acme", "--json"))["stage"], "verifying")
        assert call(server, root, "GET", "/v1/erasures/acme")[1]["removed"]["versions"] == 20
        assert code_of(client.put_object, Bucket="lake", Key="late", Body=b"x") in (
            "AccountProblem",
            "InvalidAccessKeyId",
        )
        assert "erased tenants" in server.log
