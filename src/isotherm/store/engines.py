"""From settings to engines: `compose` is the one place where engines are chosen and wired.

The server's processes and embedding programs use it alike. A data directory and the database that holds its metadata know
each other by the store's id; the database decides whose it is (meta/belonging.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from isotherm import __version__
from isotherm.clock import Clock, SystemClock
from isotherm.devices.directory import DataDirectory, claim_directory, open_directory
from isotherm.devices.drive import SystemDrive
from isotherm.devices.waiting import drive, offload
from isotherm.errors import Invalid, Unsupported
from isotherm.ids import Ids, SystemIds
from isotherm.meta.belonging import Belonging, belonging, claim
from isotherm.meta.lmdb.engine import LmdbMeta
from isotherm.meta.port import Engine, Meta
from isotherm.movers.erasure.work import Erasing
from isotherm.movers.opened import OpenedStore
from isotherm.movers.round import Rounds
from isotherm.movers.turns import AT_ONCE, Turn
from isotherm.objects.context import Warrant
from isotherm.objects.layout import ROOT_TENANT
from isotherm.objects.space import Space
from isotherm.segments.local import LocalSegments
from isotherm.segments.places import segment_places
from isotherm.segments.port import Media, Segments
from isotherm.segments.remote.anchor import MARK, anchored
from isotherm.segments.tenant_segments import TenantSegments
from isotherm.segments.upkeep import Upkeep
from isotherm.settings import Settings
from isotherm.store.keystores import open_keystore
from isotherm.tenancy import credential_record
from isotherm.tenancy.keystore import ROOT, FileKeys, KeyStore
from isotherm.tenancy.quota import Quota
from isotherm.tenancy.vault import Vault

if TYPE_CHECKING:
    from isotherm.segments.remote.bucket import Bucket

LOCAL = "local"
"""Where segments lie, as a database's row of its store tells: in the data directory of its only node."""

_Places = Mapping[Media, Sequence[Path]]


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines of one opened data directory. Close once, when nothing uses them any more.

    `places` are all directories of segments, those within the data directory first; `keys` the secrets of the store, and
    `vault` what they open.
    """

    settings: Settings
    directory: DataDirectory
    places: _Places
    meta: Engine
    segments: Upkeep
    clock: Clock
    ids: Ids
    keys: KeyStore
    vault: Vault
    quota: Quota = field(default_factory=Quota)

    @property
    def roots(self) -> list[Path]:
        """The data directory, and every directory of segments outside of it."""
        home = self.directory.path
        return [home, *(path for paths in self.places.values() for path in paths if not path.is_relative_to(home))]

    def space(self, tenant: int = ROOT_TENANT, warrant: Warrant | None = None) -> Space:
        """The objects of a tenant; with a warrant, those of the one bucket that was granted. All but the root's are sealed."""
        segments: Segments = self.segments
        if tenant != ROOT_TENANT:
            segments = TenantSegments(self.segments, self.vault, tenant)
        return Space(tenant, self.meta, segments, self.clock, self.ids, quota=self.quota, warrant=warrant)

    def opened(self) -> OpenedStore:
        """The store as maintenance commands take it."""
        of, device = self.directory, SystemDrive()
        return OpenedStore(
            of.store_id,
            of.created_ms,
            of.path,
            self.meta,
            self.segments,
            self.places,
            self.clock,
            self.ids,
            device,
            self.keys,
        )

    def rounds(self, stopping: Callable[[], bool] = lambda: False, turn: Turn = AT_ONCE) -> Rounds:
        """Background work, to be done by whoever has time for it."""
        return Rounds(
            self.meta,
            self.segments,
            clock=self.clock,
            feed_retained=self.settings.feed.retained,
            erasing=self.erasing(),
            quota=self.quota,
            settings=self.settings.movers,
            stopping=stopping,
            turn=turn,
        )

    def erasing(self) -> Erasing:
        """The background half of erasing tenants."""
        rows, store_id = self.settings.movers.erased_a_round, self.directory.store_id
        return Erasing(self.meta, self.segments, self.keys, clock=self.clock, store_id=store_id, rows_a_round=rows)

    def close(self) -> None:
        self.segments.close()
        self.meta.close()


def compose(
    settings: Settings,
    *,
    role: Literal["server", "foreign"],
    clock: Clock | None = None,
    ids: Ids | None = None,
    create: bool = True,
) -> Engines:
    """Open the engines of a data directory. Blocks; a database is then spoken to on a thread of its own.

    Args:
        role: "server" in the processes of a server, "foreign" in every other program.
        create: make the directory where there is none.

    Raises:
        NotFound, Invalid, VersionMismatch, Misuse, Denied, NoSpace, Unavailable: see the engines' `open`.
    """
    opening = compose_here(settings, role=role, clock=clock, ids=ids, create=create)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return drive(opening)
    with ThreadPoolExecutor(1, "isotherm-open") as elsewhere:  # a thread without a loop
        return elsewhere.submit(drive, opening).result()


async def compose_here(
    settings: Settings,
    *,
    role: Literal["server", "foreign"],
    clock: Clock | None = None,
    ids: Ids | None = None,
    create: bool = True,
) -> Engines:
    """As `compose`, for the processes of a server: a database is spoken to on the running loop."""
    clock, ids = clock or SystemClock(), ids or SystemIds()
    kind = settings.meta_kind
    directory = open_directory(settings.data, program=__version__, clock=clock, ids=ids, create=create, meta_kind=kind)
    meta: Engine
    if kind == "postgresql":
        meta = await _postgresql(settings.meta, clock, ids)
    else:
        meta = LmdbMeta.open(directory.meta, clock=clock, ids=ids, role=role)
    try:
        if settings.bucket and not await anchored(meta):  # one that cannot be used is not written down as the store's
            await offload(_bucket(settings).demand_usable, MARK)
        if kind == "postgresql":
            directory = await _claimed(settings, directory, meta, ids)
        keys = open_keystore(settings, directory, ids)
        places = {} if settings.bucket else _places(settings, directory, ids)
        segments = await _segments(settings, places, meta, clock, ids)
    except BaseException:
        meta.close()
        raise
    return Engines(settings, directory, places, meta, segments, clock, ids, keys, Vault(meta, keys, clock, ids))


async def _segments(settings: Settings, places: _Places, meta: Meta, clock: Clock, ids: Ids) -> Upkeep:
    if settings.bucket:
        from isotherm.segments.remote.engine import RemoteSegments

        bucket = _bucket(settings)
        return await RemoteSegments.open(bucket, meta, clock=clock, ids=ids, settings=settings.remote)
    if await anchored(meta):
        raise Invalid(
            "this store keeps its data in a bucket. Name it: --segments s3://…, or ISOTHERM_SEGMENTS, or in a program "
            "isotherm.open(path, settings=Settings(path, bucket=…))"
        )
    return LocalSegments.open(places, meta, clock=clock, ids=ids, drive=SystemDrive(), settings=settings.segments)


def _bucket(settings: Settings) -> Bucket:
    from isotherm.segments.remote.bucket import Bucket

    return Bucket.open(settings.bucket, settings.remote)


async def _postgresql(address: str, clock: Clock, ids: Ids) -> Engine:
    try:
        from isotherm.meta.postgresql import PostgresMeta
    except ImportError as error:
        raise Unsupported(f"PostgreSQL needs a driver ({error}). Run: pip install 'isotherm[cluster]'") from error
    return await PostgresMeta.open(address, clock=clock, ids=ids)


async def _claimed(settings: Settings, directory: DataDirectory, meta: Meta, ids: Ids) -> DataDirectory:
    """The directory, once it is known that the database is its store's. Raises Invalid where it is not.

    Where the segments lie in a bucket, a new directory becomes one more of the store's: nothing in it is missed by others.
    """
    root_key = FileKeys(directory.keys, ids, settings.root_key).key(ROOT)
    place = settings.bucket.partition("?")[0] or LOCAL
    ours = Belonging(directory.store_id, directory.created_ms, place, credential_record.key_id(root_key).hex())
    if directory.claimed:
        theirs = await belonging(meta)
    else:
        theirs, _ = await meta.transact(lambda txn: claim(txn, ours))
    if theirs is None:
        raise Invalid(
            f"the database holds no store, and {directory.path} belongs to store {directory.store_id}: put that store's database "
            "back, or name an empty directory with --data"
        )
    if LOCAL in (theirs.segments, ours.segments) and theirs.segments != ours.segments:
        raise Invalid(f"the data of the store in this database lies elsewhere ({theirs.segments}): see --segments")
    joins = not directory.claimed and theirs.segments != LOCAL
    if theirs.store != ours.store and not joins:
        raise Invalid(
            f"the database holds store {theirs.store}, and {directory.path} belongs to store {ours.store}: name the other's "
            "directory with --data, or an empty database with --meta"
        )
    if theirs.root_key != ours.root_key:
        key = settings.root_key or directory.keys / f"{ROOT}.key"
        raise Invalid(
            f"{key} is not the root key of the store in this database. Name the one that its nodes share with --root-key, "
            f"or run: cp ITS_ROOT_KEY {key}"
        )
    if directory.claimed:
        return directory
    return claim_directory(directory, theirs.store, theirs.created_ms, program=__version__, ids=ids)


def _places(settings: Settings, directory: DataDirectory, ids: Ids) -> _Places:
    own = {Media.PERFORMANCE: [directory.performance], Media.CAPACITY: [directory.capacity]}
    named = {Media.PERFORMANCE: settings.performance, Media.CAPACITY: settings.capacity}
    return segment_places(directory.path, directory.store_id, own, named, ids)
