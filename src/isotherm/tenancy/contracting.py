"""From the terms of a tenant, as they are stored, to the contract that the scheduler acts by. Pure; any thread."""

from __future__ import annotations

from isotherm.tenancy.promises import claim
from isotherm.tenancy.qos import Contract, Rates
from isotherm.tenancy.tree import Node

_SHARE_WHOLE = 100.0  # the share of a tenant that was given none is 1 to the scheduler


def contract_of(node: Node) -> Contract:
    """A node without a reservation of its own passes on what its children were promised: theirs hold within its own only.

    A latency objective says how soon what runs within a reservation is answered; without one of requests it says nothing.
    """
    terms = node.terms
    iops = Rates(
        float(claim(node, "iops_reservation")),
        None if terms.iops_limit is None else float(terms.iops_limit),
        terms.iops_share / _SHARE_WHOLE,
    )
    bandwidth = Rates(
        float(claim(node, "bandwidth_reservation_bytes_s")),
        None if terms.bandwidth_limit_bytes_s is None else float(terms.bandwidth_limit_bytes_s),
        terms.bandwidth_share / _SHARE_WHOLE,
    )
    latency_ms = terms.latency_p99_ms if iops.reservation else None
    return Contract(iops, bandwidth, None if latency_ms is None else latency_ms / 1_000)
