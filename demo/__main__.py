"""The story: `python -m demo [--keep]`, or `make demo`. Each section of the screen is one function here.

A sentence with a tick has been checked by this program at that moment; when a check fails it says so and ends with 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from demo import corpus, neighbours
from demo.chapters import Stage, add_tags, crash_during_upload, follow, look_around, mirror_with_rclone, prove
from demo.screen import Screen
from demo.server import Server, free_ports

TOP = Path(__file__).resolve().parents[1]
HOME = Path(".demo")  # from the top of the repository


def prepare(screen: Screen) -> Path:
    """The documents, and an empty data directory."""
    screen.section("Documents")
    HOME.mkdir(exist_ok=True)
    with screen.busy("Fetching the documents from the package registry"):
        tree = corpus.fetch(HOME)
    shutil.rmtree(HOME / "data", ignore_errors=True)
    (HOME / "server.log").unlink(missing_ok=True)
    found = corpus.documents(tree)
    size = sum(document.size_bytes for document in found)
    screen.say(f"{len(found)} documents, {size / 1e6:.1f} MB, from the source archive of {tree.name} (MIT):")
    for language, name in corpus.LANGUAGES.items():
        of_it = [document for document in found if document.tags["language"] == language]
        screen.say(f"  {len(of_it):4} {name:9} for example {of_it[len(of_it) // 2].key}")
    return tree


def earlier_run() -> int | None:
    """The process of a platform that an earlier `make demo KEEP=1` left running."""
    try:
        pid = int((HOME / "server.pid").read_text())
        alive = b"isotherm" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if alive else None


def leave_running(screen: Screen, stage: Stage) -> None:
    (HOME / "server.pid").write_text(str(stage.server.pid))
    screen.section("Left running, as you asked")
    screen.say(f"S3                  {stage.server.endpoint}")
    screen.say(f"health, feed        {stage.server.admin}/readyz, /metrics")
    screen.say(f"credentials         {stage.credentials_file}")
    screen.say(f"stop it             kill {stage.server.pid}")


def run(screen: Screen, *, keep: bool) -> None:
    began = time.monotonic()
    tree = prepare(screen)
    port, admin_port = free_ports(9000, 9001)
    isotherm = Path(sys.executable).with_name("isotherm")
    server = Server(isotherm, HOME / "data", port, admin_port, HOME / "server.log")
    try:
        stage = Stage.set_up(screen, server, isotherm, HOME, tree)
        crash_during_upload(stage)
        follow(stage)
        mirror_with_rclone(stage)
        look_around(stage)
        add_tags(stage)
        prove(stage)
        stage.rates += neighbours.show(screen, isotherm, HOME)
        screen.table("Measured in this run, all clients on this machine", ("what", "rate", "how"), stage.rates)
        screen.say(f"The whole story took {time.monotonic() - began:.0f} s. What the server said: {server.log}")
        if keep:
            leave_running(screen, stage)
    except BaseException:
        server.stop()
        raise
    if not keep:
        server.stop()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description="Isotherm's main job, on real documents.")
    parser.add_argument("--keep", action="store_true", help="leave the platform running at the end")
    arguments = parser.parse_args()
    os.chdir(TOP)
    screen = Screen()
    screen.title("Isotherm", "Put an agent's data in with the tools you use, get it back fast, lose nothing.")
    if (pid := earlier_run()) is not None:
        screen.alarm(f"A platform from an earlier demo is still running. Stop it first: kill {pid}")
        return 1
    try:
        run(screen, keep=arguments.keep)
    except RuntimeError as error:
        screen.alarm(str(error))
        return 1
    except KeyboardInterrupt:
        screen.say("")
        screen.say("Interrupted. The platform has been stopped; the next run begins anew.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
