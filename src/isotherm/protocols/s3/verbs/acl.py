"""GetBucketAcl, GetObjectAcl, PutBucketAcl, PutObjectAcl. Source: S3 API reference.

Every bucket and object is its owner's alone: reading says so, and setting what is so already (`private`, or a document that
grants the owner everything and nobody else anything) succeeds. Every other ACL is not implemented.
"""

from __future__ import annotations

from isotherm.errors import Invalid, Unsupported
from isotherm.protocols.s3.digests import verified_body
from isotherm.protocols.s3.documents import xml_reply
from isotherm.protocols.s3.harmless import check_canned_acl
from isotherm.protocols.s3.listing import owner_element
from isotherm.protocols.s3.parameters import version_of
from isotherm.protocols.s3.wire import Reply, Request
from isotherm.protocols.s3.xml import Element, escape, malformed, parse

_DOCUMENT_BYTES_MOST = 64 << 10
_INSTANCE = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"'


async def get_acl(request: Request) -> Reply:
    await _exists(request)
    name = escape(request.owner)
    grantee = f"<Grantee {_INSTANCE}><ID>{name}</ID><DisplayName>{name}</DisplayName></Grantee>"
    return xml_reply(
        "AccessControlPolicy",
        owner_element(request.owner),
        f"<AccessControlList><Grant>{grantee}<Permission>FULL_CONTROL</Permission></Grant></AccessControlList>",
    )


async def put_acl(request: Request) -> Reply:
    body = await verified_body(request, _DOCUMENT_BYTES_MOST)
    canned = request.headers.get("x-amz-acl")
    if canned is not None and body:
        raise Invalid("Specifying both Canned ACLs and Header Grants is not allowed", code="InvalidRequest")
    if canned is None and not body:
        raise Invalid("Your request was missing a required header", code="MissingSecurityHeader")
    await _exists(request)
    if canned is not None:
        check_canned_acl(canned)
    else:
        _check_policy(request.owner, parse(body, ("AccessControlPolicy",)))
    return Reply(200)


async def _exists(request: Request) -> None:
    request.space.demand_own(request.bucket)
    if request.key:
        await request.space.head(request.bucket, request.key, version_of(request.query))
    else:
        await request.space.bucket(request.bucket)


def _check_policy(owner: str, root: Element) -> None:
    root.expect("Owner", "AccessControlList")
    grants = root.one("AccessControlList")
    if grants is None:
        raise malformed("AccessControlPolicy has no AccessControlList")
    grants.expect("Grant")
    given = []
    for grant in grants.children:
        grant.expect("Grantee", "Permission")
        grantee = grant.one("Grantee")
        if grantee is None:
            raise malformed("Grant has no Grantee")
        given.append((grantee.value("ID"), grant.needed("Permission")))
    if given != [(owner, "FULL_CONTROL")]:
        raise Unsupported("Access control lists other than private are not implemented.")
