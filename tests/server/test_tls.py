"""Both ports under TLS."""

import datetime
import ipaddress
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.server.clients import get, port_of, run, s3, serving


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    directory = tmp_path_factory.mktemp("pem")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    start = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return directory


@pytest.fixture(scope="module")
def server(pem, tmp_path_factory):
    options = ("--tls-cert", str(pem / "cert.pem"), "--tls-key", str(pem / "key.pem"))
    with serving(tmp_path_factory.mktemp("server") / "data", options=options, gateways=2) as running:
        yield running


def test_s3_and_the_admin_port_speak_tls(server, pem):
    trusted = str(pem / "cert.pem")
    assert server.address.s3.startswith("https://127.0.0.1:")
    client = s3(server, verify=trusted)
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="k", Body=b"x" * 3_000_000)
    assert client.get_object(Bucket="bucket", Key="k")["Body"].read() == b"x" * 3_000_000
    context = ssl.create_default_context(cafile=trusted)
    assert get(server.address.admin + "/readyz", context=context)[0] == 200
    assert "AWS_CA_BUNDLE" in server.printed


def test_a_client_without_tls_is_not_answered_and_others_go_on(server, pem):
    with socket.create_connection(("127.0.0.1", port_of(server.address.s3)), timeout=60) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = plain.recv(65_536)
    assert not answer.startswith(b"HTTP")
    s3(server, verify=str(pem / "cert.pem")).list_buckets()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_of_tls_are_refused(server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", port_of(server.address.s3)), timeout=60) as plain,
        pytest.raises(OSError, match=r"(?i)tls|ssl|protocol|reset"),
    ):
        context.wrap_socket(plain)


def test_a_key_with_a_passphrase_ends_the_server_and_asks_nobody(pem, tmp_path):
    key = serialization.load_pem_private_key((pem / "key.pem").read_bytes(), None)
    sealed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "key.pem").write_bytes(sealed)
    tls = ("--tls-cert", pem / "cert.pem", "--tls-key", tmp_path / "key.pem")
    done = run("serve", "--data", tmp_path / "data", "--port", 0, "--admin-port", 0, *tls)
    assert done.returncode == 1
    assert "TLS: cannot use" in done.stderr
