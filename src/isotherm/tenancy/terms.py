"""What a node of the tree is promised and held to: capacity, IOPS, bandwidth, latency. Pure; any thread.

A *reservation* and the capacity are promises: what they name is there whatever others do (promises.py keeps their sums). A
*limit* is never exceeded, and a *share* weighs what is left between siblings. Those of IOPS and bandwidth, and the latency,
act on requests over S3 (contracting.py, gate.py); capacity and objects bound whatever writes (quota.py). The warning of both says when
somebody should look, and refuses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from isotherm.errors import Invalid

AMOUNT_MOST = 10**18
SHARE_MOST = 1_000_000
LABELS_MOST = 64
LABELS_BYTES_MOST = 16_384
"""As JSON: a record must always have room for the sums of promises."""

Amount = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MOST)]
Share = Annotated[int, msgspec.Meta(ge=1, le=SHARE_MOST)]
Percent = Annotated[int, msgspec.Meta(ge=1, le=100)]
Milliseconds = Annotated[float, msgspec.Meta(gt=0, le=3_600_000)]
LabelName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9](?:[a-z0-9._/-]{0,62})$")]
LabelValue = Annotated[str, msgspec.Meta(max_length=256)]
Labels = Annotated[dict[LabelName, LabelValue], msgspec.Meta(max_length=LABELS_MOST)]


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """None: no promise of one's own (what the children are promised is passed on), or no limit.

    `latency_p99_ms` is the objective for the time within which 99 of 100 requests are answered.
    """

    capacity_bytes: Annotated[Amount | None, msgspec.Meta(description="Bytes it may hold; a promise.")] = None
    objects: Annotated[Amount | None, msgspec.Meta(description="Versions of objects, and uploads, it may hold.")] = None
    warning_percent: Annotated[
        Percent | None, msgspec.Meta(description="Warn when as much of its capacity or objects is used.")
    ] = None
    iops_reservation: Annotated[Amount | None, msgspec.Meta(description="Requests a second; a promise.")] = None
    iops_limit: Annotated[Amount | None, msgspec.Meta(description="Requests a second at most.")] = None
    iops_share: Annotated[Share, msgspec.Meta(description="Weight among its siblings for requests.")] = 100
    bandwidth_reservation_bytes_s: Annotated[Amount | None, msgspec.Meta(description="Bytes a second; a promise.")] = (
        None
    )
    bandwidth_limit_bytes_s: Annotated[Amount | None, msgspec.Meta(description="Bytes a second at most.")] = None
    bandwidth_share: Annotated[Share, msgspec.Meta(description="Weight among its siblings for bytes.")] = 100
    latency_p99_ms: Annotated[
        Milliseconds | None, msgspec.Meta(description="Objective: 99 of 100 requests are answered within it.")
    ] = None


UNBOUND = Terms()
TERM_NAMES = Terms.__struct_fields__
_PAIRS = (("iops_reservation", "iops_limit"), ("bandwidth_reservation_bytes_s", "bandwidth_limit_bytes_s"))


def checked_terms(values: Mapping[str, object]) -> Terms:
    """Terms from plain values, whoever gives them. Raises Invalid, naming the term and what it may be."""
    try:
        terms = msgspec.convert(dict(values), Terms)
    except msgspec.ValidationError as error:
        raise Invalid(f"terms of a tenant: {error}") from None
    for reservation, limit in _PAIRS:
        reserved, most = getattr(terms, reservation), getattr(terms, limit)
        if reserved is not None and most is not None and reserved > most:
            raise Invalid(
                f"{reservation} is {reserved:,} and {limit} is {most:,}: nobody can be promised more than he may use"
            )
    return terms


def checked_labels(values: object) -> dict[str, str]:
    """Raises Invalid: a name of 1 to 63 letters a-z, digits and ._/-, a value of at most 256 characters, 64 of them."""
    try:
        labels = msgspec.convert(values, Labels)
        "".join(labels.values()).encode()
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise Invalid(f"labels of a tenant: {error}") from None
    if any(name.endswith("\n") for name in labels):  # which `$` of a pattern lets pass
        raise Invalid("labels of a tenant: a name ends with a new line")
    if len(msgspec.json.encode(labels)) > LABELS_BYTES_MOST:
        raise Invalid(f"labels of a tenant: together they have at most {LABELS_BYTES_MOST:,} bytes as JSON")
    return labels


def changed_terms(terms: Terms, changes: Mapping[str, object]) -> Terms:
    """Terms with some of them replaced; None takes one back to its default. Raises Invalid."""
    values = msgspec.structs.asdict(terms)
    for name, value in changes.items():
        values[name] = getattr(UNBOUND, name) if value is None and name in TERM_NAMES else value
    return checked_terms(values)
