"""What a server must be able to do to be ready: commit, store and read back, have gateways, have room.

Each is a `protocols.admin.health.Check`. Used on control's event loop; what blocks is handed to threads by the rooms below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from isotherm.clock import Clock
from isotherm.devices.board import Slot, State
from isotherm.devices.waiting import offload
from isotherm.meta.port import Transaction
from isotherm.protocols.admin.health import Check
from isotherm.store import Engines

ROW = b"\0\0\0\0H"  # table H of the system tenant: when readiness was last looked at
OWNER = b"hreadiness"  # nothing refers to what is written in its name, so it is never live
FREE_BYTES_LEAST = 64 << 20
BEAT_MS_MOST = 3_000


def checks(engines: Engines, processes: Mapping[str, Slot], free_bytes: Callable[[Path], int]) -> Mapping[str, Check]:
    """The checks by name. `processes`: by name, where they show life."""
    committer = {"committer": lambda: _committer(processes, engines.clock)} if "committer" in processes else {}
    return {
        "meta": lambda: _commits(engines),
        "segments": lambda: _stores(engines),
        "gateways": lambda: _gateways(processes, engines.clock),
        **committer,
        "disk": lambda: _room(engines, free_bytes),
    }


def lives(slot: Slot, clock: Clock) -> bool:
    """Whether its process serves and has shown life lately."""
    return slot.state is State.SERVING and int(clock.monotonic() * 1_000) - slot.beat_ms <= BEAT_MS_MOST


async def _commits(engines: Engines) -> str | None:
    written = engines.clock.now_ms().to_bytes(8, "big")

    async def write(txn: Transaction) -> None:
        txn.put(ROW, written)

    await engines.meta.transact(write)
    read = await engines.meta.get(ROW)  # another server of the same database may have looked since
    return None if read is not None and len(read) == len(written) else "what was committed is not what is read"


async def _stores(engines: Engines) -> str | None:
    payload = engines.ids.token(32)
    extent = await engines.segments.append(OWNER, payload)
    same = await engines.segments.read(extent, 0, len(payload)) == payload
    await engines.segments.reachable()
    return None if same else "what was stored is not what is read"


async def _gateways(processes: Mapping[str, Slot], clock: Clock) -> str | None:
    """One that is being started again is no reason to turn clients away from the others."""
    gateways = {name: slot for name, slot in processes.items() if name.startswith("gateway-")}
    return None if any(lives(slot, clock) for slot in gateways.values()) else f"none of {len(gateways)} serves"


async def _committer(processes: Mapping[str, Slot], clock: Clock) -> str | None:
    return (
        None if lives(processes["committer"], clock) else "it does not serve: programs beside the server cannot write"
    )


async def _room(engines: Engines, free_bytes: Callable[[Path], int]) -> str | None:
    full = [str(place) for place in engines.roots if await offload(free_bytes, place) < FREE_BYTES_LEAST]
    return f"less than {FREE_BYTES_LEAST >> 20} MiB are free on {', '.join(full)}" if full else None
