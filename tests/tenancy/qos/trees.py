"""What the tests of QoS share: a scheduler with contracts by path, and checks that look at a tree from outside its heaps."""

from math import inf

from isotherm.tenancy.qos import Budget, Contract, Rates, Scheduler, State

WIDE = {"queue_node": 10**9, "queue_total": 10**9}


def scheduler(contracts=None, slots=None, **budget):
    contracts = contracts or {}
    return Scheduler(Budget(**budget), lambda path: contracts.get(path, Contract()), slots)


def ops(reservation=0.0, limit=None, share=None, **more):
    """A contract about operations."""
    return Contract(Rates(reservation, limit, share), **more)


def drain(qos, now_s, most=10**6):
    """Completes and dispatches until nothing more runs; the tickets in the order in which they were started."""
    started = []
    running = qos.dispatch(now_s)
    while running and len(started) < most:
        started += running
        for ticket in running:
            qos.complete(ticket, now_s)
        running = qos.dispatch(now_s)
    return started


def nodes_of(qos):
    """Every node of the tree but its root, parents first."""

    def below(node):
        for child in node.children.named.values() if node.children else ():
            yield child
            yield from below(child)

    return list(below(qos._tree.root))


def queued(node):
    """The live requests of one node, oldest first."""
    found, ticket = [], node.queue
    while ticket is not None:
        if ticket.state is State.WAITING:
            found.append(ticket)
        ticket = ticket.after
    return found


def held_by_limits(node, now_s):
    while node is not None:
        if node.limited_s > now_s:
            return True
        node = node.parent
    return False


def assert_sound(qos):
    """What always holds of a tree, however it came about."""
    for node in nodes_of(qos):
        own = len(queued(node))
        below = sum(child.waiting for child in node.children.named.values()) if node.children else 0
        assert node.waiting == own + below
        assert (node.queue is not None) == (own > 0)
        assert node.queue is None or node.queue.state is State.WAITING
        if node.waiting:  # reachable: somebody will look at it
            reserves = [entry for entry in node.among.reserves if entry[2] is node and entry[0] == node.reserve_key]
            held = [entry for entry in node.among.held if entry[2] is node and entry[0] == node.held_s]
            ready = [entry for entry in node.among.ready if entry[2] is node]
            parked = node in node.among.parked
            assert len(ready) == node.in_ready <= 1
            assert bool(held) == (node.held_s < inf)
            assert bool(reserves) == (node.reserve_key < inf)
            assert ready or held or parked or _closed_below(node)
            assert all(entry[0] <= node.virtual for entry in ready)
            assert all(node.among.look_s <= entry[0] for entry in (*reserves, *held))
    assert qos.waiting == sum(node.waiting for node in qos._tree.top.named.values())


def _closed_below(node):
    """Whether nothing of what waits there can ever run: limits of 0."""
    if node.limited_s == inf:
        return True
    if node.queue is not None or node.children is None:
        return False
    return all(_closed_below(child) for child in node.children.named.values() if child.waiting)


def excess(log, rate, burst_s):
    """By how much, at most, the costs of [(when_s, cost)] in any window exceed `rate` times its length plus `burst_s`."""
    level = most = 0.0
    before_s = -inf
    for when_s, cost in log:
        level = max(0.0, level - rate * (when_s - before_s)) + cost
        before_s = when_s
        most = max(most, level)
    return most - rate * burst_s
