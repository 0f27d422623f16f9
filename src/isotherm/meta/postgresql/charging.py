"""Accounts in the database: escrow, in slices. Format: docs/formats/meta-postgresql.md.

The balance of an account is the sum of its base row and of up to `SLOTS` *slot* rows. A batch takes a free slot, which is its own
until its end, and adds there; so batches on their way at once do not wait for each other. Of a bounded account every slot may hold
a *slice*: what was left when it was last summed up, divided by the slots. What they hold together is therefore never more than was left.

Where a slice does not suffice, or the bound is another than the slices were cut for, the charge is *short*: nothing of its
member is applied, and the member comes again *exactly*: under a lock on the account that keeps all others away it is summed up, the charge
is judged by the sum, and new slices are cut. They shrink as the bound comes near; at zero every charge is judged exactly, up
to the last byte. What a process that died had left of its slices needs nobody to take it back.

Charges that take away are never judged. An account without a bound has no slices, and needs none: the first charge after one was set or
taken away finds no slices, or finds them, and is short.
"""

from __future__ import annotations

SLOTS = 32
SLOT_LOCKS = 0x69736F74
"""The first half of the advisory locks on slots, of two integers each, so that they are no lock of a key's."""

CREATE = rf"""
create or replace function free_slot() returns int language plpgsql volatile as $$
begin
  for slot in 0 .. {SLOTS - 1} loop
    if pg_try_advisory_xact_lock({SLOT_LOCKS}, slot) then return slot; end if;
  end loop;
  perform pg_advisory_xact_lock({SLOT_LOCKS}, {SLOTS - 1});
  return {SLOTS - 1};
end $$;

create or replace function slot_row(account bytea, slot int) returns bytea language sql immutable strict parallel safe as $$
  select account || set_byte('\x00', 0, slot)
$$;

create or replace function slices_row(account bytea) returns bytea language sql immutable strict parallel safe as $$
  select '\xff61'::bytea || account
$$;

create or replace function balance_of(account bytea) returns bigint language sql stable strict as $$
  select coalesce(sum(counter_of(v)), 0)::bigint from kv where k >= account and k < account || '\xff'::bytea
$$;

create or replace function judge_charges(
  slot int, by int[], accounts bytea[], deltas bigint[], mosts bigint[], exact bool[], dropped int[],
  out short int[], out short_accounts bytea[], out excess int[]
) language plpgsql volatile as $$
declare
  names bytea[];
  totals bigint[];
  one record;
  at int;
  fits bool;
begin
  select coalesce(array_agg(c.m), '{{}}'), coalesce(array_agg(c.k), '{{}}') into short, short_accounts
    from (select m, k, d, most, sum(greatest(d, 0)) over (partition by k order by m) as asked
            from unnest(by, accounts, deltas, mosts, exact) as a(m, k, d, most, whole) where not whole) as c
    left join kv as slices on slices.k = slices_row(c.k)
    left join kv as own on own.k = slot_row(c.k, slot)
   where c.d > 0
     and case when c.most is null then slices.v is not null
              when slices.v is null or counter_of(slices.v) <> c.most then true
              else coalesce(counter_of(own.v), 0) + c.asked > counter_of(substr(slices.v, 9)) end;
  excess := '{{}}';
  names := array(select distinct k from unnest(accounts, exact) as a(k, whole) where whole order by k);
  if array_length(names, 1) is null then return; end if;
  totals := array(select balance_of(k) from unnest(names) with ordinality as n(k, position) order by position);
  for one in
    select m, array_agg(k) as ks, array_agg(d) as ds, array_agg(most) as mosts
      from unnest(by, accounts, deltas, mosts, exact) as a(m, k, d, most, whole)
     where whole and m <> all (dropped || short) group by m order by m
  loop
    fits := true;
    for each in 1 .. array_length(one.ks, 1) loop
      at := array_position(names, one.ks[each]);
      fits := fits and (one.ds[each] <= 0 or one.mosts[each] is null or totals[at] + one.ds[each] <= one.mosts[each]);
    end loop;
    if not fits then
      excess := excess || one.m;
    else
      for each in 1 .. array_length(one.ks, 1) loop
        at := array_position(names, one.ks[each]);
        totals[at] := totals[at] + one.ds[each];
      end loop;
    end if;
  end loop;
end $$;

create or replace function apply_charges(
  slot int, by int[], accounts bytea[], deltas bigint[], mosts bigint[], exact bool[], dropped int[]
) returns void language plpgsql volatile as $$
declare
  one record;
  total bigint;
begin
  insert into kv select slot_row(c.k, slot), counter_bytes(sum(c.d)::bigint)
      from unnest(by, accounts, deltas, exact) as c(m, k, d, whole)
     where not whole and c.m <> all (dropped) group by c.k having sum(c.d) <> 0 order by c.k
    on conflict (k) do update set v = counter_bytes(counter_of(kv.v) + counter_of(excluded.v));
  delete from kv using (select distinct slot_row(c.k, slot) as k from unnest(by, accounts, exact) as c(m, k, whole)
                         where not whole and c.m <> all (dropped)) as t
   where kv.k = t.k and kv.v = '\x0000000000000000';
  for one in
    select k, sum(d)::bigint as d, max(most) as most from unnest(by, accounts, deltas, mosts, exact) as c(m, k, d, most, whole)
     where whole and m <> all (dropped) group by k order by k
  loop
    total := balance_of(one.k) + one.d;
    delete from kv where k >= one.k and k < one.k || '\xff'::bytea;
    if total <> 0 then insert into kv values (one.k, counter_bytes(total)); end if;
    if one.most is null then
      delete from kv where k = slices_row(one.k);
    else
      insert into kv values (slices_row(one.k), counter_bytes(one.most) || counter_bytes(greatest(one.most - total, 0) / {SLOTS}))
        on conflict (k) do update set v = excluded.v;
    end if;
  end loop;
end $$;
"""
