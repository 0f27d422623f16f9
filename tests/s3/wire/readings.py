"""An opened version that lies in a file, for tests of what is sent."""

import os


class FileReading:
    """`at_hand`: `now` gives bytes. `verified`: `sendable` gives the file. `spoilt_at`: reading beyond it raises."""

    def __init__(self, path, *, at_hand=False, verified=False, spoilt_at=None, error=None):
        self.descriptor = os.open(path, os.O_RDONLY)
        self.at_hand, self.verified, self.spoilt_at, self.error = at_hand, verified, spoilt_at, error
        self.closed = 0
        self.ways = set()

    def now(self, offset, length):
        if not self.at_hand:
            return None
        self.ways.add("now")
        return self._get(offset, length)

    async def read(self, offset, length):
        self.ways.add("read")
        return self._get(offset, length)

    async def chunks(self, offset, length):
        self.ways.add("chunks")
        while length:
            size = min(length, 1 << 20)
            yield self._get(offset, size)
            offset, length = offset + size, length - size

    def sendable(self, offset, length):
        verified = self.verified(offset, length) if callable(self.verified) else self.verified
        if not verified:
            return None
        self.ways.add("sendfile")
        return self.descriptor, offset

    def _get(self, offset, length):
        if self.spoilt_at is not None and offset + length > self.spoilt_at:
            raise self.error
        return os.pread(self.descriptor, length, offset)

    def close(self):
        self.closed += 1
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
