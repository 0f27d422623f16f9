"""The conformance suite of the `meta` port. An engine's test is a subclass that says how to open it:

    class TestMyEngine(MetaSuite):
        opener = staticmethod(open_my_engine)          # async (place, clock) -> Meta, at the top of a module

        @pytest.fixture
        def place(self, tmp_path): return str(tmp_path)  # where a new, empty store is to be

Tests are named by behaviour and hold for every engine; what only one promises belongs into its own tests. They run in
one event loop each, and start further processes with multiprocessing's "spawn".
"""

from __future__ import annotations

from isotherm.testing.meta_suite_accounts import AccountSuite
from isotherm.testing.meta_suite_feed import FeedSuite
from isotherm.testing.meta_suite_keys import KeySuite
from isotherm.testing.meta_suite_processes import ProcessSuite
from isotherm.testing.meta_suite_state import CounterSuite, SnapshotSuite, StampSuite
from isotherm.testing.meta_suite_transactions import TransactionSuite


class MetaSuite(
    KeySuite, TransactionSuite, SnapshotSuite, CounterSuite, AccountSuite, StampSuite, FeedSuite, ProcessSuite
):
    """Everything an engine of the `meta` port must pass."""
