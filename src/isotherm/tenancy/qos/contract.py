"""What a tenant was promised, and what one gateway can carry: frozen values, checked where they are made.

Pure; any thread. A contract is replaced as a whole, never changed; many nodes may share one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite

from isotherm.errors import Invalid

SHARE_LEAST = 0.01
SHARE_MOST = 10_000.0


@dataclass(frozen=True, slots=True)
class Rates:
    """What a node is promised of one resource, per second: operations, or bytes.

    Args:
        reservation: units a second that it gets whatever others ask; 0 for none. Holds within what its parent gets.
        limit: units a second that it never exceeds, but for one burst; None for no limit, 0 for nothing at all. Where it
            is below the reservation, the limit holds.
        share: its weight beside its siblings, SHARE_LEAST to SHARE_MOST; None for that of the other resource, or 1.
            There is no share of 0: such a tenant would wait for ever beside a busy one. Work that is to have only what
            is left over gets a small share.

    Raises:
        Invalid: a figure is negative, not finite, or out of its range.
    """

    reservation: float = 0.0
    limit: float | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.reservation < inf:
            raise Invalid(f"a reservation is a number from 0, not {self.reservation}")
        if self.limit is not None and not 0.0 <= self.limit < inf:
            raise Invalid(f"a limit is None or a number from 0, not {self.limit}")
        if self.share is not None and not SHARE_LEAST <= self.share <= SHARE_MOST:
            raise Invalid(f"a share is a number from {SHARE_LEAST} to {SHARE_MOST}, not {self.share}")


_ANY = Rates()


@dataclass(frozen=True, slots=True)
class Contract:
    """What one node of the tree is promised: mClock's three controls (Gulati et al., OSDI 2010) for each resource.

    Args:
        iops: operations a second.
        bandwidth: bytes a second.
        p99_s: of what runs within its reservation, 99 of 100 requests are to be done after at most so many seconds, queue
            included; each piece of a transfer that flows is one. None for no objective.
        background: work of the platform's own, which is the first to shrink when an objective is missed. Counts only
            right below the root.

    Raises:
        Invalid: an objective that is not positive, or one without a reservation of operations: how fast a tenant is
            served that asks for more than it was promised is nobody's promise.
    """

    iops: Rates = _ANY
    bandwidth: Rates = _ANY
    p99_s: float | None = None
    background: bool = False

    @property
    def shares(self) -> tuple[float, float]:
        """Of operations, and of bytes."""
        iops, bandwidth = self.iops.share, self.bandwidth.share
        return iops or bandwidth or 1.0, bandwidth or iops or 1.0

    def __post_init__(self) -> None:
        if self.p99_s is None:
            return
        if not (self.p99_s > 0 and isfinite(self.p99_s)):
            raise Invalid(f"an objective is a positive number of seconds, not {self.p99_s}")
        if not self.iops.reservation:
            raise Invalid("a latency objective needs a reservation of operations, within which it holds")


@dataclass(frozen=True, slots=True)
class Budget:
    """What one gateway, or all gateways of a node together, may have under way, and how much may wait for it.

    Args:
        requests: requests in flight at most.
        size_bytes: bytes in flight at most; one request may reach beyond.
        op_bytes: so many bytes cost as much share as one operation: a request costs its operations plus its bytes
            divided by this.
        burst_s: a tenant that stayed below its limit may make up for so much of the time, at once.
        queue_node: requests that may wait below any one node.
        queue_total: requests that may wait in all. Beyond it, a tenant that has nothing waiting may still queue one.

    Raises:
        Invalid: a figure is not positive.
    """

    requests: int = 64
    size_bytes: int = 64 << 20
    op_bytes: int = 64 << 10
    burst_s: float = 0.1
    queue_node: int = 1_000
    queue_total: int = 20_000

    def __post_init__(self) -> None:
        counts = (self.requests, self.size_bytes, self.op_bytes, self.queue_node, self.queue_total)
        if min(counts) < 1 or not 0 < self.burst_s < inf:
            raise Invalid("every figure of a budget is positive")
