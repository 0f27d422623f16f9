"""What serving a request moves: the tags of its node and of all nodes above it.

Functions over `Node`, apart from the scheduler because they decide nothing. Called from the scheduler's thread only.
"""

from __future__ import annotations

from math import inf

from isotherm.tenancy.qos.node import Node
from isotherm.tenancy.qos.sharing import LIMIT, RESERVATION, SHARE
from isotherm.tenancy.qos.ticket import Ticket

DEBT_S = 1.0
"""A reservation that could not be met is owed for so long; what is older is lost, lest it be repaid at others' cost."""


def charge_path(ticket: Ticket, now_s: float, burst_s: float) -> None:
    """Charges a request that was picked out of a queue: share always, reservation where it was picked by it, limits.

    Takes it off the counts of what waits. For objectives counts what ran by a reservation, from when that was due: the
    rest of the time it waited for its own tenant's other requests.
    """
    at = ticket.node
    ops, size_bytes = ticket.ops, ticket.size_bytes
    forgotten_s = now_s - DEBT_S
    parent = at.parent
    while parent is not None:
        terms = at.terms
        at.waiting -= 1
        virtual = at.virtual + ops * terms.share_op + size_bytes * terms.share_byte
        if at.reserved:
            ahead = at.among.virtual + terms.lead  # type: ignore[union-attr]  # only the root stands among nobody
            if virtual > ahead:
                virtual = ahead if ahead > at.virtual else at.virtual
            if at.burn is not None:
                promised_s = at.due_s
                since_s = promised_s if promised_s > ticket.arrived_s else ticket.arrived_s
                ticket.promises = (*ticket.promises, (at.burn, since_s))
            _charge_reservation(at, ops, size_bytes, forgotten_s)
        at.virtual = virtual
        if terms.limits:
            at.limit(ops, size_bytes, now_s, burst_s)
        if at.account is not None:
            at.account.add(SHARE, ops, size_bytes)
            if at.reserved:
                at.account.add(RESERVATION, ops, size_bytes)
            if terms.limits:
                at.account.add(LIMIT, ops, size_bytes)
            settle(at, now_s, burst_s)
        at, parent = parent, parent.parent
    at.waiting -= 1


def pass_path(ticket: Ticket, now_s: float, burst_s: float) -> None:
    """Charges a request that passed without waiting: limits only, as idle capacity costs nobody a share.

    Where there is an objective the reservation is charged too: it tells which requests the objective is about.
    """
    at = ticket.node
    while at.parent is not None:
        if at.terms.limits:
            at.limit(ticket.ops, ticket.size_bytes, now_s, burst_s)
            if at.account is not None:
                at.account.add(LIMIT, ticket.ops, ticket.size_bytes)
        if at.burn is not None and at.due_s <= now_s:
            ticket.promises = (*ticket.promises, (at.burn, now_s))
            _charge_reservation(at, ticket.ops, ticket.size_bytes, now_s)
            if at.account is not None:
                at.account.add(RESERVATION, ticket.ops, ticket.size_bytes)
        at = at.parent


def spend_path(ticket: Ticket, size_bytes: int, now_s: float, burst_s: float, *, contended: bool) -> None:
    """Charges bytes that a running request has moved beyond what it asked for: limits always, the rest where others wait."""
    at = ticket.node
    while at.parent is not None:
        terms, account = at.terms, at.account
        if terms.limits:
            at.limit(0, size_bytes, now_s, burst_s)
            if account is not None:
                account.add(LIMIT, 0, size_bytes)
        if contended:
            at.virtual += size_bytes * terms.share_byte
            if account is not None:
                account.add(SHARE, 0, size_bytes)
            if terms.reserve_byte and at.due_bytes_s > -inf:
                at.due_bytes_s += size_bytes * terms.reserve_byte
                at.due_s = at.latest_due_s()
        at = at.parent


def settle(node: Node, now_s: float, burst_s: float) -> None:
    """Charges to a node's tags here what it was served by other gateways since the last look (dmClock's delta and rho)."""
    account = node.account
    news = None if account is None else account.news()
    if news is None:
        return
    limit_ops, limit_bytes, share_ops, share_bytes, reserved_ops, reserved_bytes = news
    terms = node.terms
    if terms.limits:
        node.limit(limit_ops, limit_bytes, now_s, burst_s)
    if node.among is not None:
        ahead = node.among.virtual + terms.lead  # or a tenant that is busy elsewhere would starve here
        virtual = node.virtual + share_ops * terms.share_op + share_bytes * terms.share_byte
        node.virtual = max(node.virtual, min(virtual, ahead))
    if terms.reserves and (reserved_ops or reserved_bytes):
        _charge_reservation(node, reserved_ops, reserved_bytes, now_s - DEBT_S)


def _charge_reservation(node: Node, ops: int, size_bytes: int, forgotten_s: float) -> None:
    terms = node.terms
    due_s = -inf
    if terms.reserve_op:
        tag = node.due_ops_s
        due_s = (tag if tag > forgotten_s else forgotten_s) + (ops or terms.least_ops) * terms.reserve_op
        node.due_ops_s = due_s
    if terms.reserve_byte:
        tag = node.due_bytes_s
        cost_bytes = size_bytes if size_bytes > terms.least_bytes else terms.least_bytes
        tag = node.due_bytes_s = (tag if tag > forgotten_s else forgotten_s) + cost_bytes * terms.reserve_byte
        if tag > due_s:
            due_s = tag
    node.due_s = due_s
