"""A request's way: passed at once, queued, dispatched, refused, cancelled; and what each leaves behind."""

import pytest

from isotherm.errors import Invalid, Misuse, SlowDown
from isotherm.tenancy.qos import OWN, Contract, Rates, State
from tests.tenancy.qos.trees import assert_sound, drain, nodes_of, ops, queued, scheduler


def test_with_room_a_request_runs_at_once():
    qos = scheduler(requests=2)
    ticket = qos.admit(qos.node(("a", "b")), 1, 4096, 0.0)
    assert ticket.state is State.RUNNING
    assert (qos.running, qos.running_bytes, qos.waiting) == (1, 4096, 0)
    qos.complete(ticket, 0.1)
    assert (qos.running, qos.running_bytes, ticket.state) == (0, 0, State.DONE)


def test_without_room_it_waits_for_dispatch_in_order_of_arrival():
    qos = scheduler(requests=1)
    node = qos.node(("a",))
    first, second, third = (qos.admit(node, 1, 0, 0.0, name) for name in "123")
    assert [ticket.state for ticket in (first, second, third)] == [State.RUNNING, State.WAITING, State.WAITING]
    assert qos.dispatch(0.0) == []
    qos.complete(first, 1.0)
    assert [ticket.bearer for ticket in qos.dispatch(1.0)] == ["2"]
    assert second.state is State.RUNNING


def test_bytes_in_flight_are_bounded_but_any_single_request_fits():
    qos = scheduler(requests=10, size_bytes=100)
    node = qos.node(("a",))
    large = qos.admit(node, 1, 1_000, 0.0)
    assert large.state is State.RUNNING
    small = qos.admit(node, 1, 1, 0.0)
    assert small.state is State.WAITING
    assert qos.dispatch(0.0) == []
    assert qos.wake_s() is None
    qos.complete(large, 0.0)
    assert qos.dispatch(0.0) == [small]


def test_a_newcomer_does_not_overtake_those_who_may_run():
    qos = scheduler(requests=1)
    running = qos.admit(qos.node(("a",)), 1, 0, 0.0)
    waiting = qos.admit(qos.node(("a",)), 1, 0, 0.0)
    qos.complete(running, 1.0)
    newcomer = qos.admit(qos.node(("b",)), 1, 0, 1.0)
    assert newcomer.state is State.WAITING
    assert qos.dispatch(1.0) == [waiting]


def test_of_two_reservations_the_one_that_has_been_due_longer_is_first():
    qos = scheduler({("a",): ops(1), ("b",): ops(1)}, requests=1)
    late, early = qos.node(("a",)), qos.node(("b",))
    running = qos.admit(qos.node(("c",)), 1, 0, 0.0)
    qos.admit(early, 1, 0, 0.0, "early")
    qos.admit(late, 1, 0, 1.0, "late")
    qos.complete(running, 2.0)
    assert [ticket.bearer for ticket in drain(qos, 2.0)] == ["early", "late"]


def test_a_newcomer_does_not_overtake_one_whom_a_limit_has_just_let_go():
    qos = scheduler({("slow",): ops(limit=1)}, requests=1)
    qos.complete(qos.admit(qos.node(("slow",)), 1, 0, 0.0), 0.0)
    held = qos.admit(qos.node(("slow",)), 1, 0, 0.0)
    assert qos.dispatch(0.0) == []
    newcomer = qos.admit(qos.node(("b",)), 1, 0, 2.0)
    assert newcomer.state is State.WAITING
    assert set(drain(qos, 2.0)) == {held, newcomer}


def test_who_is_held_by_a_limit_does_not_keep_others_waiting():
    qos = scheduler({("slow",): ops(limit=1)}, requests=8)
    qos.admit(qos.node(("slow",)), 1, 0, 0.0)
    held = qos.admit(qos.node(("slow",)), 1, 0, 0.0)
    assert held.state is State.WAITING
    assert qos.dispatch(0.0) == []
    assert qos.admit(qos.node(("b",)), 1, 0, 0.0).state is State.RUNNING
    assert 0.85 < qos.wake_s() <= 0.95  # a second for one request, less the burst of 0.1 s
    assert qos.dispatch(qos.wake_s()) == [held]
    assert qos.wake_s() is None


def test_queues_are_bounded_for_each_node_and_its_whole_subtree():
    qos = scheduler(requests=1, queue_node=3, queue_total=1_000)
    one, two = qos.node(("a", "1")), qos.node(("a", "2"))
    qos.admit(one, 1, 0, 0.0)
    oldest = qos.admit(one, 1, 0, 0.0)
    qos.admit(one, 1, 0, 0.0)
    qos.admit(two, 1, 0, 0.0)
    with pytest.raises(SlowDown) as refusal:
        qos.admit(two, 1, 0, 7.0)
    assert refusal.value.detail["retry_after_s"] == 7.0
    assert qos.waiting == 3
    assert qos.admit(qos.node(("b",)), 1, 0, 7.0).state is State.WAITING
    qos.cancel(oldest)
    assert qos.admit(two, 1, 0, 7.0).state is State.WAITING


def test_beyond_the_bound_in_all_a_tenant_with_nothing_waiting_may_queue_one():
    qos = scheduler(requests=1, queue_node=10, queue_total=5)
    for _ in range(6):
        qos.admit(qos.node(("loud",)), 1, 0, 0.0)
    with pytest.raises(SlowDown):
        qos.admit(qos.node(("loud",)), 1, 0, 0.0)
    quiet = qos.node(("quiet", "sub"))
    assert qos.admit(quiet, 1, 0, 0.0).state is State.WAITING
    with pytest.raises(SlowDown):
        qos.admit(quiet, 1, 0, 0.0)


def test_when_to_retry_is_bounded():
    qos = scheduler(requests=1, queue_node=1)
    for _ in range(2):
        qos.admit(qos.node(("a",)), 1, 0, 0.0)
    for now_s, retry_after_s in ((0.0, 1.0), (5.0, 5.0), (10_000.0, 60.0)):
        with pytest.raises(SlowDown) as refusal:
            qos.admit(qos.node(("a",)), 1, 0, now_s)
        assert refusal.value.detail["retry_after_s"] == retry_after_s


def test_cancelling_leaves_no_trace():
    """Nor tags: those who stay are served as if the others had never come."""
    orders = []
    for intruders in (0, 50):
        qos = scheduler({("a",): ops(share=2), ("x",): ops(10, 20, 5)}, requests=1)
        running = qos.admit(qos.node(("r",)), 1, 0, 0.0)
        tickets = []
        for number in range(40):
            qos.admit(qos.node(("ab"[number % 2],)), 1, 0, 0.0, number)
            if number < intruders:
                tickets.append(qos.admit(qos.node(("x", str(number % 3))), 1, 10**9, 0.0))
        for ticket in tickets:
            qos.cancel(ticket)
            qos.cancel(ticket)
        assert_sound(qos)
        qos.complete(running, 0.0)
        orders.append([ticket.bearer for ticket in drain(qos, 0.0)])
        assert (qos.running, qos.running_bytes, qos.waiting) == (0, 0, 0)
    assert orders[0] == orders[1]


def test_of_a_queue_any_request_may_be_cancelled():
    qos = scheduler(requests=1)
    running, *waiting = (qos.admit(qos.node(("a",)), 1, 0, 0.0) for _ in range(8))
    for number in (0, 2, 3, 6):
        qos.cancel(waiting[number])
        assert_sound(qos)
    qos.complete(running, 0.0)
    assert drain(qos, 0.0) == [waiting[1], waiting[4], waiting[5]]
    assert qos.admit(qos.node(("a",)), 1, 0, 0.0).state is State.RUNNING


def test_cancelling_what_runs_gives_its_room_back():
    qos = scheduler(requests=1)
    running = qos.admit(qos.node(("a",)), 1, 10, 0.0)
    waiting = qos.admit(qos.node(("a",)), 1, 10, 0.0)
    qos.cancel(running)
    assert (qos.running, qos.running_bytes) == (0, 0)
    assert qos.dispatch(0.0) == [waiting]


def test_cancelled_requests_do_not_pile_up_behind_one_that_is_held():
    qos = scheduler({("a",): ops(limit=0.001)}, requests=8)
    node = qos.node(("a",))
    qos.admit(node, 1, 0, 0.0)
    held = qos.admit(node, 1, 0, 0.0)
    for _ in range(1_000):
        qos.cancel(qos.admit(node, 1, 0, 0.0))
    assert queued(node) == [held]
    length, ticket = 0, node.queue
    while ticket is not None:
        length, ticket = length + 1, ticket.after
    assert length < 30
    assert_sound(qos)


def test_a_ticket_is_completed_once_and_only_while_it_runs():
    qos = scheduler(requests=1)
    running, waiting = (qos.admit(qos.node(("a",)), 1, 0, 0.0) for _ in range(2))
    with pytest.raises(Misuse):
        qos.complete(waiting, 0.0)
    with pytest.raises(Misuse):
        qos.charge(waiting, 1, 0.0)
    qos.complete(running, 0.0)
    with pytest.raises(Misuse):
        qos.complete(running, 0.0)


@pytest.mark.parametrize(("operations", "size_bytes"), [(0, 10), (-1, 0), (1, -1)])
def test_nothing_is_free(operations, size_bytes):
    qos = scheduler()
    with pytest.raises(Invalid):
        qos.admit(qos.node(("a",)), operations, size_bytes, 0.0)


def test_no_piece_is_empty():
    qos = scheduler()
    ticket = qos.admit(qos.node(("a",)), 1, 10, 0.0)
    with pytest.raises(Invalid):
        qos.charge(ticket, 0, 0.0)


@pytest.mark.parametrize("path", [(), ("",), ("a", "")])
def test_a_path_names_a_tenant(path):
    with pytest.raises(Invalid):
        scheduler().node(path)


def test_a_transfer_that_is_alone_flows_on():
    qos = scheduler(requests=1)
    ticket = qos.admit(qos.node(("a",)), 1, 100, 0.0)
    assert qos.charge(ticket, 300, 0.0)
    assert (qos.running, qos.running_bytes) == (1, 300)


def test_between_two_pieces_others_get_their_turn():
    qos = scheduler(requests=1)
    transfer = qos.admit(qos.node(("a",)), 1, 1 << 20, 0.0)
    small = [qos.admit(qos.node(("b",)), 1, 0, 0.0) for _ in range(3)]
    assert not qos.charge(transfer, 1 << 20, 0.0)
    assert (transfer.state, qos.running) == (State.WAITING, 0)
    order = drain(qos, 0.0)
    assert order[0] in (transfer, small[0])
    assert sorted(map(id, order)) == sorted(map(id, [transfer, *small]))


def test_a_transfer_is_held_to_its_limit_as_it_flows_and_holds_no_room_meanwhile():
    qos = scheduler({("a",): Contract(bandwidth=Rates(limit=1_000))}, requests=1)
    ticket = qos.admit(qos.node(("a",)), 1, 1_000, 0.0)
    now_s = 0.0
    for _ in range(5):
        assert not qos.charge(ticket, 1_000, now_s)
        assert qos.running == 0
        assert qos.dispatch(now_s) == []
        now_s = qos.wake_s()
        assert qos.dispatch(now_s) == [ticket]
    assert now_s == pytest.approx(4.9)


def test_a_transfer_that_has_begun_is_never_refused():
    qos = scheduler(requests=1, queue_node=1, queue_total=1)
    node = qos.node(("a",))
    transfer = qos.admit(node, 1, 10, 0.0)
    qos.admit(node, 1, 10, 0.0)
    with pytest.raises(SlowDown):
        qos.admit(node, 1, 10, 0.0)
    assert not qos.charge(transfer, 10, 0.0)
    assert qos.waiting == 2


def test_a_tenants_own_requests_compete_with_its_sub_tenants():
    qos = scheduler({("a", "sub"): ops(share=3)}, requests=1)
    tenant = qos.node(("a",))
    running = qos.admit(tenant, 1, 0, 0.0)
    before = qos.admit(tenant, 1, 0, 0.0, "before")
    sub = qos.node(("a", "sub"))
    for _ in range(40):
        qos.admit(tenant, 1, 0, 0.0, "own")
        qos.admit(sub, 1, 0, 0.0, "sub")
    assert_sound(qos)
    qos.complete(running, 0.0)
    order = drain(qos, 0.0)
    assert order[0] is before
    assert 9 <= [ticket.bearer for ticket in order[1:41]].count("own") <= 11
    assert [node.path() for node in nodes_of(qos)] == [("a",), ("a", "sub"), ("a", "")]


def test_a_transfer_moves_along_when_its_tenant_gets_sub_tenants():
    qos = scheduler(requests=1)
    transfer = qos.admit(qos.node(("a",)), 1, 10, 0.0)
    sub = qos.admit(qos.node(("a", "sub")), 1, 0, 0.0)
    assert not qos.charge(transfer, 10, 0.0)
    assert transfer.node.path() == ("a", OWN)  # on the tenant itself it would go before all of them
    assert_sound(qos)
    assert set(drain(qos, 0.0)) == {transfer, sub}
    assert not qos.node(("a",)).runs()


def test_a_tenant_is_forgotten_only_when_nothing_of_it_is_left():
    asked = []
    qos = scheduler(requests=1)
    qos._tree._contracts = lambda path: asked.append(path) or Contract()
    running = qos.admit(qos.node(("a", "b")), 1, 0, 0.0)
    waiting = qos.admit(qos.node(("a", "c")), 1, 0, 0.0)
    assert not qos.forget(("a",))
    assert not qos.forget(("a", "b"))
    assert not qos.forget(("a", "c"))
    qos.cancel(waiting)
    assert qos.forget(("a", "c"))
    qos.complete(running, 0.0)
    assert qos.dispatch(0.0) == []
    assert qos.forget(("a",))
    assert qos.forget(("never", "seen"))
    asked.clear()
    assert qos.admit(qos.node(("a", "b")), 1, 0, 0.0).state is State.RUNNING
    assert asked == [("a",), ("a", "b")]
