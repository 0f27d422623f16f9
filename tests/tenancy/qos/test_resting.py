"""What a gateway needs beside admission: transfers that rest, bytes nobody foresaw, and turns in which few may start."""

import pytest

from isotherm.errors import Misuse
from isotherm.tenancy.qos import Budget, Contract, Rates, Scheduler, State
from isotherm.tenancy.qos.scheduler import STARTS_ANY


def scheduler(budget=None, **contracts):
    return Scheduler(budget or Budget(), lambda path: contracts.get("_".join(path), Contract()))


def test_a_transfer_that_rests_holds_nothing_and_goes_on_by_its_next_piece():
    qos = scheduler(Budget(requests=1))
    slow, other = (qos.admit(qos.node((name,)), 1, 100, 0.0) for name in ("slow", "other"))
    assert (slow.state, other.state) == (State.RUNNING, State.WAITING)
    qos.rest(slow, 1.0)
    assert (qos.running, qos.running_bytes) == (0, 0)
    assert qos.dispatch(1.0) == [other]
    assert not qos.charge(slow, 50, 2.0), "there is no room"
    qos.complete(other, 3.0)
    assert qos.dispatch(3.0) == [slow]
    assert qos.running_bytes == 50
    qos.rest(slow, 4.0)
    with pytest.raises(Misuse):
        qos.rest(slow, 4.0)
    with pytest.raises(Misuse):
        qos.complete(slow, 4.0)
    qos.cancel(slow)
    assert (slow.state, qos.running, qos.running_bytes, qos.waiting) == (State.DONE, 0, 0, 0)


def test_bytes_that_were_not_foreseen_are_charged_to_every_limit_above():
    qos = scheduler(above=Contract(bandwidth=Rates(limit=1_000)))
    node = qos.node(("above", "below"))
    ticket = qos.admit(node, 1, 0, 10.0)
    qos.spend(ticket, 5_000, 10.0)
    qos.complete(ticket, 10.0)
    assert qos.admit(node, 1, 0, 10.0).state is State.WAITING
    assert qos.dispatch(14.8) == []
    assert len(qos.dispatch(14.91)) == 1


def test_bytes_that_were_not_foreseen_count_against_a_share_while_others_wait():
    qos = scheduler(Budget(requests=1))
    heavy, light = qos.node(("heavy",)), qos.node(("light",))
    [running] = [qos.admit(qos.node(("first",)), 1, 0, 0.0)]
    for _ in range(200):
        for node in (heavy, light):
            qos.admit(node, 1, 0, 0.0)
    served = {heavy: 0, light: 0}
    for _ in range(110):
        qos.complete(running, 0.0)
        [running] = qos.dispatch(0.0)
        served[running.node] += 1
        if running.node is heavy:
            qos.spend(running, 9 * Budget().op_bytes, 0.0)
    assert served[heavy] == pytest.approx(10, abs=2), "ten times the cost, a tenth of the requests"


def test_no_more_start_than_the_caller_allows_until_it_allows_more():
    qos = scheduler()
    node = qos.node(("a",))
    qos.starts = 2
    tickets = [qos.admit(node, 1, 0, 0.0) for _ in range(5)]
    assert [ticket.state for ticket in tickets] == [State.RUNNING] * 2 + [State.WAITING] * 3
    for ticket in tickets[:2]:
        qos.complete(ticket, 0.0)
    assert qos.dispatch(0.0) == []
    qos.starts = 1
    assert qos.dispatch(0.0) == tickets[2:3]
    qos.starts = STARTS_ANY
    assert qos.dispatch(0.0) == tickets[3:]
