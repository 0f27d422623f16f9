"""Back-off: doubled while a process keeps dying, bounded, and forgotten."""

from isotherm.server.restarting import FIRST_S, FORGIVEN_S, MOST_S, Restarts


def test_waits_double_up_to_a_bound_and_begin_anew_after_a_long_life():
    restarts = Restarts()
    waits = [restarts.after(0.0) for _ in range(12)]
    assert waits[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert waits[-1] == MOST_S
    assert restarts.after(FORGIVEN_S) == FIRST_S
    assert restarts.after(0.0) == 2 * FIRST_S
    assert restarts.count == 14
