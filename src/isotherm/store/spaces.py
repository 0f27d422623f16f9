"""Which objects a tenant's requests see: its own, and what others have granted it under an alias of its own.

Made once by a process that serves requests, and called for each: a tenant with nothing mounted costs one more look in a
dictionary. On one loop's thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from isotherm.errors import Denied
from isotherm.objects.context import Warrant
from isotherm.objects.mounting import MountingSpace
from isotherm.objects.space import Space
from isotherm.store.engines import Engines
from isotherm.tenancy.mounts import Mount, Mounts
from isotherm.tenancy.standing import Standings
from isotherm.tenancy.tree import BARRED

_KEPT_MOST = 16_384


class Spaces:
    """Called with the id of a tenant whose credential has been found: its space.

    Args:
        mounts, standings: as `Credentials` keeps them fresh.
    """

    def __init__(self, engines: Engines, mounts: Mounts, standings: Standings) -> None:
        self._engines = engines
        self._own = lru_cache(maxsize=_KEPT_MOST)(engines.space)
        self._granted = lru_cache(maxsize=_KEPT_MOST)(engines.space)
        self._at_hand = mounts.at_hand
        self._standings = standings
        self._mounting: dict[int, tuple[Mapping[str, Mount], Space]] = {}

    def __call__(self, tenant: int) -> Space:
        mounts = self._at_hand.get(tenant)
        if mounts is None:
            return self._own(tenant)
        kept = self._mounting.get(tenant)
        if kept is not None and kept[0] is mounts:
            return kept[1]
        if kept is None and len(self._mounting) >= _KEPT_MOST:
            del self._mounting[next(iter(self._mounting))]
        space = MountingSpace(self._own(tenant), mounts, self._reach)
        self._mounting[tenant] = mounts, space
        return space

    async def _reach(self, mount: Mount) -> Space:
        """The handle bound to a granted bucket. Raises Denied while its owner is not served."""
        grant = mount.grant
        standing, _ = await self._standings.of(grant.owner)
        if standing in BARRED:
            raise Denied("The owner of this bucket is not served now.")
        return self._granted(grant.owner, Warrant(grant.bucket, mount.row, mount.stored))
