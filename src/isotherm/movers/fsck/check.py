"""`fsck`: proves every object readable and every byte accounted for. `check` is all there is to call.

Every row of the metadata and every segment file is walked once, in order; see job.py for how the walks are joined. Memory
stays bounded; scratch space of about the size of the metadata is needed.

A store in use is checked hot: a reader is published first, so that no file goes away, then one consistent copy of the
metadata is made, and the copy is checked against the files. What changed meanwhile is no finding.

A repair needs the store for itself, holds the server's lock meanwhile, and works on the metadata in place.

Blocks for as long as it takes; run it in a thread of its own beside an event loop. Any process that opened the store.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from isotherm.devices.drive import Drive, explain
from isotherm.devices.locks import KeptLock, try_lock
from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt, Misuse
from isotherm.meta.lmdb import ServerLock
from isotherm.meta.lmdb.copies import CopiedMeta
from isotherm.meta.port import Reader
from isotherm.movers.everyone import tenants
from isotherm.movers.fsck.audit import check_audit
from isotherm.movers.fsck.erasures import being_erased, check_erasures, hushed
from isotherm.movers.fsck.feeds import check_credentials, check_feed, check_tables
from isotherm.movers.fsck.findings import Finding, Findings, Kind, Level, Report
from isotherm.movers.fsck.grants import check_grants
from isotherm.movers.fsck.job import Job, Progress
from isotherm.movers.fsck.keys import check_keys
from isotherm.movers.fsck.manifests import Manifests
from isotherm.movers.fsck.repairs import Repairs
from isotherm.movers.fsck.segments import SegmentCheck
from isotherm.movers.fsck.spill import Spill
from isotherm.movers.fsck.tags import Tags
from isotherm.movers.fsck.tenants import check_tenants
from isotherm.movers.fsck.usage import check_usage
from isotherm.movers.fsck.versions import UPLOAD, Left, Use, Versions
from isotherm.movers.opened import OpenedStore
from isotherm.objects.garbage import sweep
from isotherm.objects.layout import FEED
from isotherm.tenancy.roles import ROOT_TENANT

STAMP = struct.Struct(">IQI")  # epoch, commit, n: meta/port.py
_LAST_N = 0xFFFFFFFF
_COPY = "meta"
_SCRATCH = "fsck-"
_LOCK = "lock"
_ORDER = {Level.ERROR: 0, Level.WASTE: 1, Level.NOTE: 2}


@dataclass(frozen=True, slots=True)
class Depth:
    """How deep a check goes.

    Args:
        payload: compare every block that is referred to with its checksum; False looks only at what lies where.
        digests: compare payloads of up to 8 MiB with their MD5, where they have one.
    """

    payload: bool = True
    digests: bool = True


DEEP = Depth()
QUICK = Depth(payload=False, digests=False)


def check(
    store: OpenedStore,
    scratch: Path,
    *,
    depth: Depth = DEEP,
    progress: Progress = lambda stage, done, total: None,
    heard: Callable[[Finding], None] | None = None,
) -> Report:
    """Check a store, in use or not, and change nothing.

    Args:
        scratch: directory on a file system with room for a copy of the metadata; a directory is made in it and removed.

    Raises:
        NoSpace, Unavailable: there is no room for scratch, or a device fails.
        Corrupt: the metadata's engine cannot read its own pages.
    """
    with ExitStack() as stack:
        room = _scratch(store, scratch, stack)
        return drive(_hot(store, room, _Way(depth, progress, heard), stack))


def check_in_place(
    store: OpenedStore,
    scratch: Path,
    *,
    depth: Depth = DEEP,
    progress: Progress = lambda stage, done, total: None,
) -> Report:
    """As `check`, of a store that nobody else can have open: without a copy of its metadata."""
    way = _Way(depth, progress, None)
    with ExitStack() as stack:
        report, _, _ = _in_place(store, _scratch(store, scratch, stack), way, mending=False)
    return report


def repair(
    store: OpenedStore,
    held: ServerLock,
    scratch: Path,
    *,
    depth: Depth = DEEP,
    progress: Progress = lambda stage, done, total: None,
    heard: Callable[[Finding], None] | None = None,
) -> tuple[Report, Report]:
    """Check a store that nobody else may write to, mend what can be mended, and check it again: (before, after).

    What nothing can refer to is dropped only where no damage was found that cannot be mended; see repairs.py. Where there
    was nothing to mend, both reports are the same one. Killed at any point, it can be called again.

    Args:
        scratch: as for `check`.
        held: the server's lock, acquired before `store` was opened (with the role of a server).

    Raises:
        Misuse: `held` is not held. Otherwise as `check`.
    """
    if held.descriptor < 0:
        raise Misuse("a repair needs the store for itself: acquire the server's lock first")
    way = _Way(depth, progress, heard)
    with suppress(Corrupt):  # a row of a segment is damaged: the check says which
        drive(store.segments.recover())
    with ExitStack() as stack:
        before, repairs, certain = _in_place(store, _scratch(store, scratch, stack), way, mending=True)
        mended = repairs.apply(store.meta, store.segments, dropping=certain)
        for tenant in drive(tenants(store.meta)) if certain else ():
            while drive(sweep(store.meta, store.segments, tenant)):
                progress("sweeping", 0, None)
    if not mended:
        return before, before
    with ExitStack() as stack:
        after, _, _ = _in_place(store, _scratch(store, scratch, stack), replace(way, heard=None), mending=False)
    after.repaired = mended
    return before, after


@dataclass(frozen=True, slots=True)
class _Way:
    depth: Depth
    progress: Progress
    heard: Callable[[Finding], None] | None


async def _hot(store: OpenedStore, scratch: Path, way: _Way, stack: ExitStack) -> Report:
    way.progress("copying metadata", 0, None)
    async with store.segments.reading():
        await store.meta.backup(scratch / _COPY)
        copy = stack.enter_context(CopiedMeta(scratch / _COPY))
        info = copy.info
        newest = STAMP.pack(info.epoch, info.commit, _LAST_N)
        job = _job(store, copy, newest, scratch, way, mending=False)
        return _run(store, job, way, hot=True)


def _in_place(store: OpenedStore, scratch: Path, way: _Way, *, mending: bool) -> tuple[Report, Repairs, bool]:
    newest = drive(store.meta.feed_end(FEED))
    job = _job(store, store.meta, newest, scratch, way, mending=mending)
    report = _run(store, job, way, hot=False)
    return report, job.repairs, job.findings.certain


def _job(store: OpenedStore, meta: Reader, newest: bytes, scratch: Path, way: _Way, *, mending: bool) -> Job:
    def spill(name: str) -> Spill:
        return Spill(scratch, name, store.device)

    repairs = Repairs(spill("repairs") if mending else None)
    return Job(meta, newest, Findings(way.heard), repairs, spill("references"), spill, way.progress)


def _run(store: OpenedStore, job: Job, way: _Way, *, hot: bool) -> Report:
    started_s = store.clock.monotonic()
    lefts: list[tuple[int, Left]] = []
    going = being_erased(job)
    for tenant in check_tables(job):
        left = Left(*(job.spill(f"{what}-{tenant}") for what in ("manifests", "tag-sets", "index")))
        of = job
        if tenant in going:
            of = hushed(job)
        else:
            lefts.append((tenant, left))
        Versions(of, tenant, left).run()
        Manifests(of, tenant, left).run()
        Tags(of, tenant, left).run()
    check_feed(job, store.meta)
    check_credentials(job)
    check_tenants(job)
    check_erasures(job)
    check_grants(job)
    check_keys(job, store.keys)
    check_audit(job, store.meta)
    check_usage(job)
    depth = way.depth
    SegmentCheck(job, store.segments, store.meta, store.clock, payload=depth.payload, digests=depth.digests).run()
    for tenant, left in lefts:
        _name_damaged(job, tenant, left)
    epoch, commit, _ = STAMP.unpack(job.newest)
    elapsed_s = store.clock.monotonic() - started_s
    findings = sorted(job.findings.kept, key=lambda finding: (_ORDER[finding.level], finding.kind))
    counts = job.findings.counts
    report = Report(store.store_id, epoch, commit, hot, depth.payload, job.objects, job.space, counts, findings)
    report.sealing_tenants = len(job.sealing - {ROOT_TENANT})
    report.keys_verified = store.keys is not None or not report.sealing_tenants
    report.elapsed_s = elapsed_s
    return report


def _name_damaged(job: Job, tenant: int, left: Left) -> None:
    """Which objects the damaged manifests belong to."""
    if not any(of == tenant for of, _ in job.damaged_manifests):
        return
    for entry in left.manifests.sorted():
        use = Use.unpack(entry)
        if (tenant, use.manifest) in job.damaged_manifests:
            name = use.named(job, tenant)
            kind = Kind.UPLOAD_DAMAGED if use.kind == UPLOAD else Kind.OBJECT_DAMAGED
            said = f"{'the upload of ' if use.kind == UPLOAD else ''}{name} cannot be read whole"
            job.findings.add(kind, said, of=name, size=use.size)


def _scratch(store: OpenedStore, directory: Path, stack: ExitStack) -> Path:
    """A directory of this check's own, gone afterwards; those of checks that were killed go now."""
    device = store.device
    path = directory / f"{_SCRATCH}{store.ids.token(8).hex()}"
    try:
        for name in device.list(directory):
            if name.startswith(_SCRATCH):
                _remove_left(device, directory / name)
        device.make_directory(path)
        stack.callback(shutil.rmtree, path, ignore_errors=True)
        held = KeptLock(device.open(path / _LOCK, os.O_RDWR | os.O_CREAT), device.close)
        stack.callback(held.close)
        try_lock(held.fd)
    except OSError as error:
        raise explain(error, f"cannot make {path}") from error
    return path


def _remove_left(device: Drive, path: Path) -> None:
    try:
        held = KeptLock(device.open(path / _LOCK, os.O_RDWR), device.close)
    except FileNotFoundError:
        return  # just being made, or just gone
    with closing(held):
        if try_lock(held.fd):
            shutil.rmtree(path, ignore_errors=True)
