"""Contracts and budgets are checked where they are made."""

from math import inf, nan

import pytest

from isotherm.errors import Invalid
from isotherm.tenancy.qos import Budget, Contract, Rates


@pytest.mark.parametrize(
    "wrong",
    [
        {"reservation": -1},
        {"reservation": inf},
        {"reservation": nan},
        {"limit": -1},
        {"limit": inf},
        {"limit": nan},
        {"share": 0},
        {"share": -1},
        {"share": 1e9},
        {"share": nan},
    ],
)
def test_rates_that_mean_nothing_are_refused(wrong):
    with pytest.raises(Invalid):
        Rates(**wrong)


def test_an_objective_without_a_reservation_is_refused():
    with pytest.raises(Invalid):
        Contract(p99_s=0.01)
    assert Contract(Rates(reservation=1), p99_s=0.01).p99_s == 0.01


@pytest.mark.parametrize("p99_s", [0.0, -1.0, inf, nan])
def test_an_objective_is_a_time(p99_s):
    with pytest.raises(Invalid):
        Contract(Rates(reservation=1), p99_s=p99_s)


def test_a_share_of_one_resource_is_that_of_the_other_too():
    assert Contract().shares == (1, 1)
    assert Contract(Rates(share=4)).shares == (4, 4)
    assert Contract(bandwidth=Rates(share=4)).shares == (4, 4)
    assert Contract(Rates(share=2), Rates(share=4)).shares == (2, 4)


@pytest.mark.parametrize(
    "wrong", [{"requests": 0}, {"size_bytes": 0}, {"queue_node": 0}, {"burst_s": 0}, {"burst_s": inf}]
)
def test_a_budget_of_nothing_is_refused(wrong):
    with pytest.raises(Invalid):
        Budget(**wrong)


def test_contracts_are_values():
    assert Contract(Rates(limit=5)) == Contract(Rates(limit=5))
    with pytest.raises(AttributeError):
        Contract().iops = Rates()
