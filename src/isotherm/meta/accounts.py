"""Reading accounts of the `meta` port: what `Transaction.charge` has summed up. A coroutine for any loop, or none."""

from __future__ import annotations

from isotherm.meta import rules
from isotherm.meta.port import ACCOUNT_ROWS, Reader, account_rows


async def balance(reader: Reader, account: bytes) -> int:
    """What an account comes to; zero where nothing was charged. Raises `Invalid` where a row of it is no counter."""
    rows = await reader.range(*account_rows(account), ACCOUNT_ROWS)
    return sum(rules.count_of(value) for _, value in rows)
