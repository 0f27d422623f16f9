"""What lies in the database: one table, and the function that commits a batch. Format: docs/formats/meta-postgresql.md.

Everything is in `kv`, the engine's own rows among the keys that start with ff, as in the LMDB engine; there are no
continued keys, as a b-tree of PostgreSQL takes 2,704 bytes.

`commit_batch` runs as one statement of a READ COMMITTED transaction. Each statement inside sees what was committed before
it began, so that after the locks are held the reads are judged against the newest state. Order: locks, judgement, the
transaction id (asked for only now, so that it orders every key's writes), writes.
"""

from __future__ import annotations

from isotherm.meta.postgresql import charging

FORMAT = 2

VERSION_KEY = b"\xffv"
EPOCH_KEY = b"\xffe"

_TABLE_AND_COMMIT = r"""
create table if not exists kv (k bytea primary key, v bytea not null);
alter table kv alter column v set storage external;

create or replace function counter_of(v bytea) returns bigint language sql immutable strict parallel safe as $$
  select get_byte(v,0)::bigint | (get_byte(v,1)::bigint<<8) | (get_byte(v,2)::bigint<<16) | (get_byte(v,3)::bigint<<24)
       | (get_byte(v,4)::bigint<<32) | (get_byte(v,5)::bigint<<40) | (get_byte(v,6)::bigint<<48)
       | (get_byte(v,7)::bigint<<56)
$$;

create or replace function counter_bytes(n bigint) returns bytea language sql immutable strict parallel safe as $$
  select substr(b,8,1)||substr(b,7,1)||substr(b,6,1)||substr(b,5,1)
       ||substr(b,4,1)||substr(b,3,1)||substr(b,2,1)||substr(b,1,1) from (select int8send(n) b) as sent
$$;

create or replace function range_digest(first bytea, last bytea, most int, backwards bool) returns bytea
language plpgsql stable as $$
declare digest bytea;
begin
  if backwards then
    select sha256(coalesce(string_agg(int4send(length(k)) || k || int4send(length(v)) || v, ''::bytea order by k desc), ''))
      into digest from (select k, v from kv where k >= first and k < last order by k desc limit most) as seen;
  else
    select sha256(coalesce(string_agg(int4send(length(k)) || k || int4send(length(v)) || v, ''::bytea order by k), ''))
      into digest from (select k, v from kv where k >= first and k < last order by k limit most) as seen;
  end if;
  return digest;
end $$;

create or replace function commit_batch(
  locks bigint[], exclusive bool[],
  read_by int[], read_keys bytea[], read_values bytea[],
  range_by int[], range_starts bytea[], range_ends bytea[], range_limits int[], range_backwards bool[],
  range_digests bytea[],
  add_by int[], add_keys bytea[], add_deltas bigint[],
  delete_by int[], delete_keys bytea[],
  put_by int[], put_keys bytea[], put_values bytea[],
  stamp_by int[], stamp_keys bytea[], stamp_values bytea[], stamp_ns int[], stamp_kinds int[],
  count_by int[], count_keys bytea[],
  charge_by int[], charge_accounts bytea[], charge_deltas bigint[], charge_mosts bigint[], charge_exact bool[],
  out commit_number bigint, out commit_epoch int, out lost int[], out refused int[],
  out short int[], out short_accounts bytea[], out excess int[]
) language plpgsql as $$
declare
  each int;
  dropped int[];
  slot int;
begin
  for each in 1 .. coalesce(array_length(locks, 1), 0) loop
    if exclusive[each] then perform pg_advisory_xact_lock(locks[each]);
    else perform pg_advisory_xact_lock_shared(locks[each]); end if;
  end loop;

  lost := array(select distinct r.m from unnest(read_by, read_keys, read_values) as r(m, k, v)
                left join kv on kv.k = r.k where kv.v is distinct from r.v);
  for each in 1 .. coalesce(array_length(range_by, 1), 0) loop
    if range_digests[each] <> range_digest(range_starts[each], range_ends[each], range_limits[each],
                                           range_backwards[each]) then
      lost := lost || range_by[each];
    end if;
  end loop;
  refused := array(select distinct a.m from unnest(add_by, add_keys, add_deltas) as a(m, k, d) join kv on kv.k = a.k
                   where case when length(kv.v) <> 8 then true
                              else counter_of(kv.v)::numeric + a.d
                                   not between -9223372036854775808 and 9223372036854775807 end);
  dropped := lost || refused;
  if array_length(charge_by, 1) > 0 then
    slot := free_slot();
    select j.short, j.short_accounts, j.excess into short, short_accounts, excess
      from judge_charges(slot, charge_by, charge_accounts, charge_deltas, charge_mosts, charge_exact, dropped) as j;
    dropped := dropped || short || excess;
  else
    short := '{}'; short_accounts := '{}'; excess := '{}';
  end if;

  commit_number := pg_current_xact_id()::text::bigint;
  select ('x' || encode(kv.v, 'hex'))::bit(32)::int into commit_epoch from kv where kv.k = '\xff65';

  delete from kv using unnest(delete_by, delete_keys) as d(m, k) where kv.k = d.k and d.m <> all (dropped);
  insert into kv select p.k, p.v from unnest(put_by, put_keys, put_values) as p(m, k, v) where p.m <> all (dropped)
    on conflict (k) do update set v = excluded.v;
  insert into kv
    select case s.kind when 0 then s.k
             when 1 then s.k || int4send(~commit_epoch) || int8send(~commit_number) || int4send(~s.n)
             else s.k || int4send(commit_epoch) || int8send(commit_number) || int4send(s.n) end,
           case s.kind when 2 then s.v
             else int4send(commit_epoch) || int8send(commit_number) || int4send(s.n) || s.v end
      from unnest(stamp_by, stamp_keys, stamp_values, stamp_ns, stamp_kinds) as s(m, k, v, n, kind)
     where s.m <> all (dropped)
    on conflict (k) do update set v = excluded.v;
  insert into kv select a.k, counter_bytes(sum(a.d)::bigint) from unnest(add_by, add_keys, add_deltas) as a(m, k, d)
     where a.m <> all (dropped) group by a.k having sum(a.d) <> 0 order by a.k
    on conflict (k) do update set v = counter_bytes(counter_of(kv.v) + counter_of(excluded.v));
  if array_length(add_by, 1) > 0 then
    delete from kv using (select distinct k from unnest(add_by, add_keys) as a(m, k) where a.m <> all (dropped)) as t
     where kv.k = t.k and kv.v = '\x0000000000000000';
  end if;
  insert into kv select c.k, counter_bytes(count(*)) from unnest(count_by, count_keys) as c(m, k)
     where c.m <> all (dropped) group by c.k
    on conflict (k) do update set v = counter_bytes(counter_of(kv.v) + counter_of(excluded.v));
  if slot is not null then
    perform apply_charges(slot, charge_by, charge_accounts, charge_deltas, charge_mosts, charge_exact, dropped);
  end if;
end $$;
"""

CREATE = _TABLE_AND_COMMIT + charging.CREATE

DROP_COMMIT_OF_1 = """
drop function if exists commit_batch(bigint[], bool[], int[], bytea[], bytea[], int[], bytea[], bytea[], int[], bool[], bytea[],
  int[], bytea[], bigint[], int[], bytea[], int[], bytea[], bytea[], int[], bytea[], bytea[], int[], int[], int[], bytea[])
"""
"""Format 1 knew no charges: a process that still wrote by it would leave accounts wrong, and is stopped by this."""

COMMIT = "select * from commit_batch(" + ", ".join(f"${n}" for n in range(1, 32)) + ")"

STAMPED, PLACED, APPENDED = 0, 1, 2
"""Kinds of stamped rows: the value begins with the stamp; so does it, and the key ends with its inverse; the key ends with it."""


def feed_prefix(feed: bytes) -> bytes:
    return b"\xfff" + bytes((len(feed),)) + feed


def floor_key(feed: bytes) -> bytes:
    return b"\xfft" + bytes((len(feed),)) + feed


def count_key(feed: bytes, shard: int) -> bytes:
    """One of the counters whose sum is how many records a feed holds: each committing connection has its own."""
    return b"\xffn" + bytes((len(feed),)) + feed + shard.to_bytes(4, "big")
