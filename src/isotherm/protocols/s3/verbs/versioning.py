"""GetBucketVersioning and PutBucketVersioning. Source: S3 API reference. MFA delete is not offered."""

from __future__ import annotations

from isotherm.errors import Invalid, Unsupported
from isotherm.objects.model import Versioning
from isotherm.protocols.s3.digests import verified_body
from isotherm.protocols.s3.documents import xml_reply
from isotherm.protocols.s3.wire import Reply, Request
from isotherm.protocols.s3.xml import optional, parse

_DOCUMENT_BYTES_MOST = 64 << 10
_STATES = {"Enabled": Versioning.ENABLED, "Suspended": Versioning.SUSPENDED}
_NAMES = {state: name for name, state in _STATES.items()}


async def get_bucket_versioning(request: Request) -> Reply:
    bucket = await request.space.bucket(request.bucket)
    return xml_reply("VersioningConfiguration", optional("Status", _NAMES.get(bucket.versioning)))


async def put_bucket_versioning(request: Request) -> Reply:
    root = parse(await verified_body(request, _DOCUMENT_BYTES_MOST), ("VersioningConfiguration",))
    root.expect("Status", "MfaDelete", "MFADelete")
    for name in ("MfaDelete", "MFADelete"):
        if root.value(name) not in (None, "Disabled"):
            raise Unsupported("MFA delete is not implemented.")
    state = _STATES.get(root.value("Status") or "")
    if state is None:
        raise Invalid("The Versioning element must be specified", code="IllegalVersioningConfigurationException")
    await request.space.set_versioning(request.bucket, state)
    return Reply(200)
