"""Which key store settings name, and which a store that several nodes serve refuses."""

import pytest

from isotherm.devices.directory import DataDirectory
from isotherm.devices.waiting import drive
from isotherm.errors import Denied, Invalid
from isotherm.ids import SystemIds
from isotherm.settings import Settings, decode, encode, load
from isotherm.store.keystores import open_keystore
from isotherm.tenancy.keystore.aws import AwsKeys

DATABASE, BUCKET = "postgresql://db/isotherm", "s3://bucket/prefix"


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "keys").mkdir()
    return DataDirectory(tmp_path, "5" * 32, 0)


def opened(directory, **given):
    return open_keystore(Settings(directory.path, **given), directory, SystemIds())


@pytest.mark.parametrize("given", [{}, {"meta": DATABASE}, {"bucket": BUCKET}])
def test_a_store_of_one_node_keeps_secrets_in_its_directory(directory, given):
    made = drive(opened(directory, **given).make(2))
    assert (directory.keys / "tenants" / "2.key").read_bytes() == made


def test_a_store_of_several_nodes_makes_no_secret_that_only_one_has(directory):
    keys = opened(directory, meta=DATABASE, bucket=BUCKET)
    with pytest.raises(Denied, match="--keystore") as refused:
        drive(keys.make(2))
    assert refused.value.code == "KeyStoreNotShared"
    assert drive(keys.secret(2)) is None
    assert not (directory.keys / "tenants").exists()
    assert keys.key("root")


def test_a_directory_that_is_named_is_shared(directory, tmp_path):
    shared = tmp_path / "shared secrets"
    keys = opened(directory, meta=DATABASE, bucket=BUCKET, keystore=shared.as_uri())
    assert (shared / directory.store_id / "2.key").exists() is False
    made = drive(keys.make(2))
    assert (shared / directory.store_id / "2.key").read_bytes() == made


def test_stores_that_name_one_directory_have_secrets_of_their_own(tmp_path):
    shared = (tmp_path / "shared").as_uri()
    stores = []
    for number, name in enumerate(("one", "other")):
        (tmp_path / name / "keys").mkdir(parents=True)
        directory = DataDirectory(tmp_path / name, str(number) * 32, 0)
        stores.append(opened(directory, keystore=shared))
    one, other = stores
    made = drive(one.make(2))
    assert drive(other.make(2)) != made
    assert drive(one.destroy(2))
    assert drive(other.secret(2)) is not None


def test_the_kms_is_named_with_region_and_endpoint(directory):
    keys = opened(directory, keystore="aws-kms:?region=eu-west-1&endpoint=http://127.0.0.1:9")
    assert isinstance(keys, AwsKeys)
    assert keys.key("root") == opened(directory).key("root")


@pytest.mark.parametrize(
    "url", ["file:relative", "file://host/dir", "aws-kms:?zone=x", "aws-kms://key", "vault:", "/dir", "aws-kms:x"]
)
def test_what_names_no_key_store_is_refused(directory, url):
    with pytest.raises(Invalid, match="keystore"):
        opened(directory, keystore=url)


def test_the_setting_travels_and_a_wrong_one_is_named_with_its_source():
    settings = load({"data": "/d", "keystore": "aws-kms:?region=x"}, {})
    assert decode(encode(settings)).keystore == "aws-kms:?region=x"
    assert load({"data": "/d"}, {"keystore": "file:///k"}).keystore == "file:///k"
    with pytest.raises(Invalid, match="ISOTHERM_KEYSTORE"):
        load({"data": "/d"}, {"keystore": "s3://no"})
