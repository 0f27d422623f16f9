"""A process that dies at the n-th thing it does to the world: a system call that changes a file, or a metadata commit."""

from isotherm.devices.faulty_drive import FaultyDrive

CHANGES = {"open", "pwritev", "fdatasync", "truncate", "unlink", "sync_directory"}


class Death(BaseException):
    """Not an error anybody handles."""


class Life:
    """Counts down; at zero everything stops, and nothing works any more. None: never."""

    def __init__(self, steps):
        self.left = steps
        self.over = False

    def step(self):
        if self.over:
            raise Death
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.over = True
                raise Death


class MortalDrive(FaultyDrive):
    def __init__(self, ids, life):
        super().__init__(ids)
        self.life = life

    def _meet(self, call, path):
        super()._meet(call, path)
        if call in CHANGES:
            self.life.step()


class MortalMeta:
    """Dies before a commit or right after it, before anybody hears of it."""

    def __init__(self, meta, life):
        self._meta = meta
        self._life = life

    def __getattr__(self, name):
        return getattr(self._meta, name)

    async def transact(self, fn):
        self._life.step()
        done = await self._meta.transact(fn)
        self._life.step()
        return done
