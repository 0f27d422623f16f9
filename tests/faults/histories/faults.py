"""What strikes a server while a history is recorded. Each fault leaves the server whole: all of its processes run again.

A fault is a function of (server, recording, rng), called in a thread of its own when the clients begin.
"""

import contextlib
import os
import signal


def at_some_call(recording, rng):
    recording.wait(rng.randrange(2, max(3, recording.operations - 5)))


def a_gateway(rng):
    return f"gateway-{rng.randrange(2)}"


def kill_gateway(server, recording, rng):
    kill_process(server, recording, rng, a_gateway(rng))


def kill_committer(server, recording, rng):
    kill_process(server, recording, rng, "committer")


def kill_process(server, recording, rng, name):
    at_some_call(recording, rng)
    recording.note(f"SIGKILL of {name}")
    server.kill(name)
    server.pid(name)
    recording.note(f"{name} runs again")


def kill_all(server, recording, rng):
    at_some_call(recording, rng)
    recording.note("SIGKILL of every process")
    server.kill_all()
    recording.note("the server starts")
    server.start()


def kill_supervisor(server, recording, rng):
    at_some_call(recording, rng)
    recording.note("SIGKILL of the supervisor")
    server.kill_supervisor()
    server.start()
    recording.note("the server runs again")


def drain_and_start(server, recording, rng):
    at_some_call(recording, rng)
    recording.note("SIGTERM")
    server.stop()
    server.start()
    recording.note("the server runs again")


def stop_gateway(server, recording, rng):
    """A gateway stands still, now and then twice; whatever it holds, it holds."""
    for _ in range(rng.choice([1, 1, 2])):
        at_some_call(recording, rng)
        stand_still(server, recording, rng, a_gateway(rng))


def stop_committer(server, recording, rng):
    at_some_call(recording, rng)
    stand_still(server, recording, rng, "committer")


def stand_still(server, recording, rng, name):
    pid = server.pid(name)
    recording.note(f"SIGSTOP of {name}")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        recording.wait(recording.begun + rng.randrange(2, 20), limit_s=rng.choice([0.02, 0.1, 0.3]))
        os.kill(pid, signal.SIGCONT)
    recording.note(f"SIGCONT of {name}")


def kill_one_that_stands_still(server, recording, rng):
    """It dies with what it held, without having moved again."""
    at_some_call(recording, rng)
    name = a_gateway(rng)
    pid = server.pid(name)
    recording.note(f"SIGSTOP of {name}")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    recording.wait(recording.begun + rng.randrange(2, 20), limit_s=0.1)
    recording.note(f"SIGKILL of {name}")
    server.kill(name)
    server.pid(name)
    recording.note(f"{name} runs again")


def kill_database(server, recording, rng):
    at_some_call(recording, rng)
    recording.note("PostgreSQL ends as in a crash")
    server.postgres.kill()
    server.postgres.start()
    recording.note("PostgreSQL runs again")


def cut_database(server, recording, rng):
    """All connections to the database end in the midst of what they do, now and then twice."""
    for _ in range(rng.choice([1, 1, 2])):
        at_some_call(recording, rng)
        recording.note("the connections to PostgreSQL are cut")
        server.cut()


FAULTS = {
    "kill gateway": kill_gateway,
    "kill committer": kill_committer,
    "kill all": kill_all,
    "kill supervisor": kill_supervisor,
    "drain": drain_and_start,
    "stop gateway": stop_gateway,
    "stop committer": stop_committer,
    "stop and kill gateway": kill_one_that_stands_still,
}

DATABASE_FAULTS = {"kill database": kill_database, "cut database": cut_database}
