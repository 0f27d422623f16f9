"""What a thread keeps for its own reads. A class that derives from `threading.local` is not for the compiler (adr/0028)."""

from __future__ import annotations

import threading

from isotherm.segments.descriptors import Descriptor

SCRATCH_BYTES = 1 << 20


class Scratch(threading.local):
    """Per thread: a buffer for reads that must not wait, and the descriptor last lent to sendfile."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(SCRATCH_BYTES))
        self.lent: Descriptor | None = None
