"""Quality of service: who of all tenants runs next, within what was promised to each.

`Scheduler` decides (scheduler.py, siblings.py: one level of it, charging.py: what a request costs whom), `Contract` and
`Budget` say by what (contract.py), `Burn` and `Pace` act on missed latency objectives (burn.py), `Slots` lets gateways of
one node share (sharing.py), `Background` lets the platform's own work stand back (background.py). Pure and synchronous: time is an argument. One scheduler belongs to one thread; whoever owns
an event loop wires it (docs/adr/0030).
"""

from isotherm.tenancy.qos.background import Background
from isotherm.tenancy.qos.contract import Budget, Contract, Rates
from isotherm.tenancy.qos.node import Node
from isotherm.tenancy.qos.scheduler import Scheduler
from isotherm.tenancy.qos.sharing import Signal, Slots
from isotherm.tenancy.qos.ticket import State, Ticket
from isotherm.tenancy.qos.tree import OWN

__all__ = [
    "OWN",
    "Background",
    "Budget",
    "Contract",
    "Node",
    "Rates",
    "Scheduler",
    "Signal",
    "Slots",
    "State",
    "Ticket",
]
