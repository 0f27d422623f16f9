"""What an operator may set about background work. Frozen; passed in at construction."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MoverSettings:
    """Times in seconds.

    Args:
        uploads_expire_s: age at which a multipart upload that was not completed is aborted; None: never.
        garbage_a_round: garbage rows of a tenant worked on in one round, at most.
        erased_a_round: rows of tenants that are being erased removed in one round, about.
    """

    uploads_expire_s: float | None = None
    garbage_a_round: int = 1_000
    erased_a_round: int = 20_000
