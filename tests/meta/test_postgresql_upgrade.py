"""A database of the first format becomes one of this, keeps what it holds, and lets nobody commit as before."""

import asyncio

import asyncpg
import pytest

from isotherm.clock import SystemClock
from isotherm.errors import VersionMismatch
from isotherm.ids import SystemIds
from isotherm.meta.accounts import balance
from isotherm.meta.port import ACCOUNTS
from isotherm.meta.postgresql import PostgresMeta
from isotherm.testing.postgres import programs
from tests.metadata import address

pytestmark = [
    pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed"),
    pytest.mark.parametrize("metadata", ["postgresql"], indirect=True),
]
ACCOUNT = ACCOUNTS + b"test1"
_ARGUMENTS_OF_1 = """bigint[], bool[], int[], bytea[], bytea[], int[], bytea[], bytea[], int[], bool[], bytea[], int[], bytea[],
  bigint[], int[], bytea[], int[], bytea[], bytea[], int[], bytea[], bytea[], int[], int[], int[], bytea[]"""


async def put(meta, key):
    async def fn(txn):
        txn.put(key, b"v")
        txn.charge(ACCOUNT, 1, 2)

    await meta.transact(fn)


async def functions(connection):
    found = await connection.fetch(
        "select pronargs from pg_proc where proname = 'commit_batch' and pronamespace = current_schema()::regnamespace"
    )
    return [row[0] for row in found]


def test_a_database_of_format_1_is_made_one_of_format_2(tmp_path, metadata):
    url = address(tmp_path)

    async def body():
        with await PostgresMeta.open(url, clock=SystemClock(), ids=SystemIds()) as meta:
            await put(meta, b"k")
        connection = await asyncpg.connect(url)
        new = await functions(connection)
        await connection.execute(
            f"create function commit_batch({_ARGUMENTS_OF_1}) returns int language sql as 'select 1'"
        )
        await connection.execute("update kv set v = '\\x00000001' where k = '\\xff76'")
        assert len(await functions(connection)) == 2
        opened = [PostgresMeta.open(url, clock=SystemClock(), ids=SystemIds()) for _ in range(3)]
        metas = await asyncio.gather(*opened)
        assert await functions(connection) == new
        await put(metas[0], b"l")
        assert await metas[1].get(b"k") == await metas[2].get(b"l") == b"v"
        assert await balance(metas[1], ACCOUNT) == 2
        for meta in metas:
            meta.close()
        await connection.execute("update kv set v = '\\x00000003' where k = '\\xff76'")
        with pytest.raises(VersionMismatch, match="pip install --upgrade"):
            await PostgresMeta.open(url, clock=SystemClock(), ids=SystemIds())
        await connection.close()

    asyncio.run(body())
