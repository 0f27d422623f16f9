"""What a tenant holds, in numbers, and the accounts in which it is kept. The format is docs/formats/tenants.md.

Invariants, kept by whoever changes what is counted, in the transaction that changes it:
- each version of an object that is no delete marker is *held*, as is each upload under way, which will become one;
- bytes are the sizes of versions, a copy's like any other's, and of the parts of uploads under way;
- a node's account counts what the node and all below it hold; that *below* counts the latter alone. So a tenant's own is
  the difference, and a write touches one account of its tenant and two of each node above.

Pure but for what reads; any thread.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from isotherm.meta import rules
from isotherm.meta.port import ACCOUNT_BYTES, ACCOUNT_ROWS, ACCOUNTS, Reader
from isotherm.tenancy.terms import Terms

BYTES, HELD, OLDER, MARKERS, UPLOADS, UPLOAD_BYTES = KINDS = (b"B", b"N", b"O", b"M", b"U", b"P")
"""Of accounts: bytes; versions and uploads; versions that are not current; delete markers; uploads; bytes of those."""

ALL_COUNTED = b"\0\0\0\0c"
"""A row that is there once nothing is left of what programs wrote that did not count."""


class Tally:
    """What a change adds to what is held, or takes from it, by the kinds of accounts."""

    __slots__ = ("held", "markers", "older", "size_bytes", "upload_bytes", "uploads")

    def __init__(self) -> None:
        self.size_bytes = 0
        self.held = 0
        self.older = 0
        self.markers = 0
        self.uploads = 0
        self.upload_bytes = 0

    def changes(self) -> list[tuple[bytes, int]]:
        """(kind, delta) of those that are not zero."""
        found = []
        if self.size_bytes:
            found.append((BYTES, self.size_bytes))
        if self.held:
            found.append((HELD, self.held))
        if self.older:
            found.append((OLDER, self.older))
        if self.markers:
            found.append((MARKERS, self.markers))
        if self.uploads:
            found.append((UPLOADS, self.uploads))
        if self.upload_bytes:
            found.append((UPLOAD_BYTES, self.upload_bytes))
        return found

    def came(self, size_bytes: int, *, marker: bool, older: bool) -> None:
        """A version, or a delete marker, has come; `older`: it is not current."""
        if marker:
            self.markers += 1
        else:
            self.held += 1
            self.older += older
            self.size_bytes += size_bytes

    def went(self, size_bytes: int, *, marker: bool, older: bool) -> None:
        """The opposite of `came`."""
        if marker:
            self.markers -= 1
        else:
            self.held -= 1
            self.older -= older
            self.size_bytes -= size_bytes

    def begun(self) -> None:
        """An upload is begun."""
        self.uploads += 1
        self.held += 1

    def ended(self, parts_bytes: int) -> None:
        """An upload is no more; `parts_bytes`: the sizes of all its parts, also of those that were not chosen."""
        self.uploads -= 1
        self.held -= 1
        self.part(-parts_bytes)

    def part(self, size_bytes: int) -> None:
        """An upload's parts grow by so many bytes."""
        self.upload_bytes += size_bytes
        self.size_bytes += size_bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """`bytes`: all of them, `upload_bytes` included. `objects`: current versions. `versions`: those and all older ones."""

    bytes: int = 0
    objects: int = 0
    versions: int = 0
    markers: int = 0
    uploads: int = 0
    upload_bytes: int = 0

    @property
    def held(self) -> int:
        """What the limit of objects bounds: versions, and uploads, which will be some."""
        return self.versions + self.uploads

    def less(self, other: Usage) -> Usage:
        theirs = asdict(other)
        return Usage(**{name: count - theirs[name] for name, count in asdict(self).items()})


@dataclass(frozen=True, slots=True)
class Held:
    """What a node holds by itself, and with all below it."""

    own: Usage
    total: Usage


def accounts_of(tenant: int) -> bytes:
    """The prefix of a node's accounts; a kind follows."""
    return ACCOUNTS + tenant.to_bytes(4, "big")


def below(kind: bytes) -> bytes:
    """The account of what lies below a node, by that of all it counts."""
    return kind.lower()


def usage_of(balances: Mapping[bytes, int]) -> Usage:
    """From what the accounts of a node come to, by kind."""
    counts = [balances.get(kind, 0) for kind in KINDS]
    size_bytes, held, older, markers, uploads, upload_bytes = counts
    versions = held - uploads
    return Usage(size_bytes, versions - older, versions, markers, uploads, upload_bytes)


def warned(terms: Terms, total: Usage) -> list[str]:
    """The terms of which as much is used as their warning says; where there is none, those that are used up."""
    percent = terms.warning_percent or 100
    limits = (("capacity_bytes", terms.capacity_bytes, total.bytes), ("objects", terms.objects, total.held))
    return [name for name, most, used in limits if most is not None and 100 * used >= percent * most]


async def read_balances(reader: Reader, tenant: int) -> dict[bytes, int]:
    """What each account of a node comes to, by its kind. Raises Invalid for a damaged row."""
    prefix = accounts_of(tenant)
    found: dict[bytes, int] = defaultdict(int)
    for key, value in await reader.range(prefix, prefix + b"\xff", 2 * len(KINDS) * ACCOUNT_ROWS):
        found[key[ACCOUNT_BYTES - 1 : ACCOUNT_BYTES]] += rules.count_of(value)
    return dict(found)


async def read_usage(reader: Reader, tenant: int) -> Held:
    """What a node holds: a few rows, whatever it holds. On one state only where `reader` shows one."""
    balances = await read_balances(reader, tenant)
    total = usage_of(balances)
    beneath = usage_of({kind: balances.get(below(kind), 0) for kind in KINDS})
    return Held(total.less(beneath), total)
