"""A sync that fails is not acknowledged, and the process that saw it is replaced by one that opens the store anew."""

import shutil
import subprocess

import pytest
from botocore.exceptions import ClientError

from isotherm.devices.processes import kill
from tests.server.clients import patient_s3, ready, s3, serving

STRACE = shutil.which("strace")


@pytest.mark.skipif(STRACE is None, reason="needs strace to inject faults")
def test_a_gateway_whose_metadata_cannot_be_synced_is_replaced(tmp_path):
    with serving(tmp_path / "data", gateways=1) as server:
        s3(server).create_bucket(Bucket="bucket")
        s3(server).put_object(Bucket="bucket", Key="before", Body=b"x")
        failing = server.pid("gateway-0")
        tracer = subprocess.Popen(
            [STRACE, "-f", "-p", str(failing), "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO", "-o",
             str(tmp_path / "trace")], stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert "attached" in tracer.stderr.readline()
        try:
            with pytest.raises(ClientError) as refused:
                s3(server).put_object(Bucket="bucket", Key="lost", Body=b"")  # no body: the metadata's sync alone
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        finally:
            server.until(lambda: server.address.pids["gateway-0"] not in (0, failing), 60, "the gateway lives on")
            kill(tracer.pid)
            tracer.wait()
        client = patient_s3(server)
        client.put_object(Bucket="bucket", Key="after", Body=b"y")
        server.until(lambda: ready(server)[0] == 200, 30, "the server is not ready again")
        assert [row["Key"] for row in client.list_objects_v2(Bucket="bucket")["Contents"]] == ["after", "before"]
