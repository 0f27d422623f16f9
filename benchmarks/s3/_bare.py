"""The bare work of a LIST page, without HTTP, signatures or a store around it: what a page cannot cost less than in Python.

1,000 rows are read from LMDB by a cursor, taken apart, and rendered with one template each; nothing is checked or escaped.
"""

from __future__ import annotations

import struct
import time
from pathlib import Path

import lmdb

_ROW = struct.Struct(">QQ16s")  # size, modified in milliseconds, etag
_MAP_BYTES = 4 << 30
_A_TRANSACTION = 50_000
_TEMPLATE = (
    b"<Contents><Key>%b</Key><LastModified>%b%02d.000Z</LastModified><ETag>&quot;%b&quot;</ETag><Size>%d</Size>"
    b"<StorageClass>STANDARD</StorageClass></Contents>"
)


class BarePages:
    """An LMDB directory of `keys` rows, made in `path`."""

    def __init__(self, path: Path, keys: list[bytes], modified_ms: int) -> None:
        self._env = lmdb.open(str(path), map_size=_MAP_BYTES, sync=False)
        self._minutes: dict[int, bytes] = {}
        for start in range(0, len(keys), _A_TRANSACTION):
            with self._env.begin(write=True) as txn:
                for number, key in enumerate(keys[start : start + _A_TRANSACTION], start):
                    txn.put(key, _ROW.pack(4_096, modified_ms + number, number.to_bytes(16, "little")))

    def page(self, after: bytes, count: int = 1_000) -> bytes:
        rows = []
        minutes = self._minutes
        with self._env.begin() as txn:
            cursor = txn.cursor()
            cursor.set_range(after)
            for key, value in cursor.iternext():
                size, modified_ms, etag = _ROW.unpack(value)
                minute, second = divmod(modified_ms // 1_000, 60)
                day = minutes.get(minute)
                if day is None:
                    day = minutes[minute] = time.strftime("%Y-%m-%dT%H:%M:", time.gmtime(minute * 60)).encode()
                rows.append(_TEMPLATE % (key, day, second, etag.hex().encode(), size))
                count -= 1
                if not count:
                    break
        return b"".join(rows)

    def cost_us(self, places: list[bytes]) -> float:
        """CPU time of a page: the mean over `places`."""
        start = time.process_time()
        for place in places:
            self.page(place)
        return (time.process_time() - start) / len(places) * 1e6
