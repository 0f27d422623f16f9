"""All probes, by the protocol that each of them goes through: a folder of `protocols/` has its entry here, or a test fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from isotherm.testing.isolation import of_admin, of_s3, of_s3_life, of_s3_tricks
from isotherm.testing.isolation.probe import Probe

PROTOCOLS: Mapping[str, Sequence[Callable[[], list[Probe]]]] = {
    "admin": (of_admin.probes,),
    "s3": (of_s3.probes, of_s3_tricks.probes, of_s3_life.probes),
}
"""Of s3 last: its last probe looks whether the victim came to harm by any of them."""


def all_probes() -> list[Probe]:
    """In the order in which they are to be tried."""
    return [probe for makers in PROTOCOLS.values() for make in makers for probe in make()]
