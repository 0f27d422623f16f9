"""Load and accounting: wrk replaying signed requests, and the CPU time of a whole process tree from /proc.

Unless a program says otherwise the server runs on core 0, the load on core 1. What is compared is CPU per request, which a faster or slower load
generator does not change much; requests per second are noted beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, max(os.cpu_count() or 1, 2) - 1
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Site:
    """A server under load: where it listens, the root of its process tree, and credentials to sign with, if any."""

    name: str
    port: int
    pid: int
    access_key: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for; `signer`: with whose credentials, where not with the site's own."""

    path: str
    query: str = ""
    signer: Site | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one run: requests answered, those not answered with 2xx, CPU seconds of the server, wall seconds, and the latency that
    one request in a hundred exceeded."""

    requests: int
    refused: int
    cpu_s: float
    wall_s: float
    p99_ms: float

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / max(self.requests, 1) * 1e6


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """Processes started inside run on the server's core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all its living descendants."""
    total = 0
    for each in _tree(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def _tree(pid: int) -> list[int]:
    found = [pid]
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                found += _tree(int(child))
    return found


def authorization(site: Site, method: str, target: Target, payload_hash: str, date: str) -> str:
    """AWS Signature Version 4 over host, x-amz-content-sha256 and x-amz-date."""
    key = f"AWS4{site.secret}".encode()
    for part in (date[:8], "us-east-1", "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    names = "host;x-amz-content-sha256;x-amz-date"
    canonical = (
        f"{method}\n{target.path}\n{target.query}\nhost:127.0.0.1:{site.port}\nx-amz-content-sha256:{payload_hash}\n"
        f"x-amz-date:{date}\n\n{names}\n{payload_hash}"
    )
    scope = f"{date[:8]}/us-east-1/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return f"AWS4-HMAC-SHA256 Credential={site.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"


class Replay:
    """A wrk script that cycles over signed requests. Made shortly before it runs: signatures last 15 minutes."""

    def __init__(self, scratch: Path, site: Site, method: str, targets: Sequence[Target], body: Path | None = None):
        self.site = site
        payload_hash = hashlib.sha256(body.read_bytes() if body else b"").hexdigest()
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        stem = scratch / f"{site.name}-{method}-{os.urandom(4).hex()}"
        lines = [
            f"{target.path}{'?' + target.query if target.query else ''}\t"
            + (authorization(target.signer or site, method, target, payload_hash, date) if site.secret else "-")
            for target in targets
        ]
        stem.with_suffix(".txt").write_text("\n".join(lines) + "\n")
        read_body = f'local f=io.open("{body}","rb") body=f:read("*a") f:close()' if body else ""
        self.script = stem.with_suffix(".lua")
        self.script.write_text(
            f"""local paths,auths,body,i={{}},{{}},nil,0
for line in io.lines("{stem.with_suffix(".txt")}") do
  local p,a=line:match("^(.-)\\t(.*)$"); paths[#paths+1]=p; auths[#auths+1]=a
end
{read_body}
local h={{["Host"]="127.0.0.1:{site.port}",["x-amz-date"]="{date}",["x-amz-content-sha256"]="{payload_hash}",
["User-Agent"]="Boto3/1.43 md/Botocore#1.43 ua/2.1 os/linux md/arch#x86_64 lang/python#3.11 cfg/retry-mode#standard"}}
function request() i=i%#paths+1; h["Authorization"]=auths[i]; return wrk.format("{method}",paths[i],h,body) end
"""
        )

    def run(self, seconds: int, connections: int = 32, *, cores: str = str(LOAD_CORE)) -> Outcome:
        """`cores`: where the load generator may run, as taskset lists them."""
        before, start = cpu_seconds(self.site.pid), time.monotonic()
        command = ["taskset", "-c", cores, "wrk", "--latency", "-t1", f"-c{connections}", f"-d{seconds}s"]
        command += ["-s", str(self.script), f"http://127.0.0.1:{self.site.port}"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        cpu_s, wall_s = cpu_seconds(self.site.pid) - before, time.monotonic() - start
        answered = re.search(r"(\d+) requests in", text)
        refused = re.search(r"Non-2xx.*: (\d+)", text)
        return Outcome(
            int(answered[1]) if answered else 0,
            int(refused[1]) if refused else 0,
            cpu_s,
            wall_s,
            _percentile_ms(text, 99),
        )


_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1_000.0, "m": 60_000.0}


def _percentile_ms(text: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
    return float(found[1]) * _MILLISECONDS[found[2]] if found else 0.0


def alternate(replays: Sequence[Replay], rounds: int, seconds: int) -> dict[str, list[Outcome]]:
    """Run the replays in turn, `rounds` times; outcomes by the site's name."""
    found: dict[str, list[Outcome]] = {}
    for replay in replays:
        replay.run(1)
    for _ in range(rounds):
        for replay in replays:
            outcome = replay.run(seconds)
            if outcome.refused or not outcome.requests:
                raise SystemExit(f"{replay.site.name}: {outcome.refused} of {outcome.requests} requests refused")
            found.setdefault(replay.site.name, []).append(outcome)
            print(
                f"{replay.site.name:>10}  {outcome.requests / outcome.wall_s:8.0f}/s  {outcome.cpu_us:8.1f} µs CPU each",
                flush=True,
            )
    return found
