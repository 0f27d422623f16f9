"""How much memory a process holds for itself."""

from __future__ import annotations

from pathlib import Path


def anonymous_bytes(pid: int) -> int:
    """RssAnon of proc(5); 0 where the process has none."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0
