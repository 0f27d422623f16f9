"""What every verb of objects works with: the tenant and the engines. Owned by nobody; passed along."""

from __future__ import annotations

from dataclasses import dataclass, field

from isotherm.clock import Clock
from isotherm.errors import Invalid, NotFound
from isotherm.ids import Ids
from isotherm.meta.port import Meta, Reader, Transaction
from isotherm.objects.history import History
from isotherm.objects.layout import bucket_row
from isotherm.objects.model import BUCKET_NAME_MOST, PART_BYTES_LEAST, Bucket
from isotherm.objects.records import decode_bucket
from isotherm.segments.port import Segments
from isotherm.tenancy.quota import Quota
from isotherm.tenancy.usage import Tally


def counts(bucket: Bucket, key: bytes) -> bool:
    """Whether what lies under a key is counted, or will be when the counting of an old bucket gets there."""
    return bucket.counted is None or key <= bucket.counted


@dataclass(frozen=True, slots=True)
class Warrant:
    """By what right a handle acts in one bucket of another tenant: a row that must be there, as it was, whenever it acts.

    Args:
        bucket: the id of that bucket, the only one that there is for the handle.
        row, stored: the row's key, and what it must hold.
    """

    bucket: int
    row: bytes
    stored: bytes

    async def demand(self, reader: Reader, bucket: Bucket) -> None:
        """Raises NotFound(NoSuchBucket). Within a transaction it holds at its commit."""
        if bucket.id != self.bucket or await reader.get(self.row) != self.stored:
            raise no_such_bucket(bucket.name)


@dataclass(frozen=True, slots=True)
class Context:
    """`warrant`: None where the tenant is the caller's own."""

    tenant: int
    meta: Meta
    segments: Segments
    clock: Clock
    ids: Ids
    part_bytes_least: int = PART_BYTES_LEAST
    quota: Quota = field(default_factory=Quota)
    warrant: Warrant | None = None

    async def bucket(self, reader: Reader, name: str) -> Bucket:
        """Raises NotFound(NoSuchBucket), also for a name that no bucket can have."""
        try:
            place = bucket_row(self.tenant, name) if len(name) <= BUCKET_NAME_MOST else None
        except UnicodeEncodeError:
            place = None
        except (AttributeError, TypeError):
            raise Invalid(f"A bucket's name is a str, not {type(name).__name__}.", code="InvalidBucketName") from None
        row = await reader.get(place) if place is not None else None
        if row is None:
            raise no_such_bucket(name)
        bucket = decode_bucket(row, name)
        if self.warrant is not None:
            await self.warrant.demand(reader, bucket)
        return bucket

    async def bucket_still(self, txn: Transaction, seen: Bucket) -> Bucket:
        """A bucket that was there a moment ago, within a transaction.

        Raises NotFound(NoSuchBucket) also when it was removed and created anew.
        """
        row = await txn.get(bucket_row(self.tenant, seen.name), seen.row)
        if row is not None:
            bucket = seen if row == seen.row else decode_bucket(row, seen.name)
            if bucket.id == seen.id:
                if self.warrant is not None:
                    await self.warrant.demand(txn, bucket)
                return bucket
        raise no_such_bucket(seen.name)

    async def charge(self, txn: Transaction, bucket: Bucket, key: bytes, tally: Tally) -> None:
        """Within a transaction: charge the tenant for what has changed under a key. At the commit: OverQuota."""
        if counts(bucket, key):
            await self.quota.charge(txn, self.tenant, tally)

    def history(self, txn: Transaction, bucket: Bucket, key: bytes) -> History:
        return History(txn, self.segments, self.tenant, bucket, key)


def no_such_bucket(name: str) -> NotFound:
    return NotFound("The specified bucket does not exist.", code="NoSuchBucket", BucketName=name)
