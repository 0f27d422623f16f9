"""A server on a full disk: writers are told to come again, readers notice nothing, and writing resumes."""

import subprocess

import pytest
from botocore.exceptions import ClientError

from tests.server.clients import s3, serving

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "isotherm-test", str(place)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("may not mount a file system here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def refusal(client, key, body):
    """The status a put is refused with; None when it is acknowledged."""
    try:
        client.put_object(Bucket="bucket", Key=key, Body=body)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    return None


@pytest.mark.parametrize("size", [0, 200_000], ids=["metadata alone", "with bodies"])
def test_a_full_disk(small_disk, size):
    with serving(small_disk / "data", gateways=1) as server:
        gateway = server.pid("gateway-0")
        client = s3(server)
        client.create_bucket(Bucket="bucket")
        ballast = small_disk / "ballast"
        free = int(subprocess.check_output(["df", "--output=avail", "-B1", small_disk]).split()[1])
        # Bodies end where the reserve begins, at a sixteenth of the disk; rows go on to its very end.
        ballast.write_bytes(bytes(free - (6 if size else 2) * MIB))
        body = bytes(size)
        stored = []
        for number in range(20_000):
            status = refusal(client, f"{number:05}" + "k" * 900, body)
            if status is not None:
                break
            stored.append(number)
        assert status == 503
        assert stored
        for number in stored[-20:]:
            assert client.get_object(Bucket="bucket", Key=f"{number:05}" + "k" * 900)["Body"].read() == body
        assert refusal(client, "still-full" + "k" * 900, bytes(2 * MIB)) == 503
        ballast.unlink()
        assert refusal(client, "resumed", b"y") is None
        assert client.get_object(Bucket="bucket", Key="resumed")["Body"].read() == b"y"
        assert server.pid("gateway-0") == gateway, "the gateway was replaced although only space was missing"
