-- The list of a rider's open holds is tidied only when it is full: who has room for one more is not asked what became of
-- the others. A function, because the claim would otherwise set its parts up every time, whether anybody's list is full or not.

create function with_room(
    held uuid[], held_until timestamptz[], more uuid[], more_until timestamptz[], most integer, claim text,
    out orders uuid[], out until timestamptz[]
) language plpgsql stable as $$
begin
    if cardinality(held) + cardinality(more) > most then
        select coalesce(array_agg(h.id order by h.nr), '{}'), coalesce(array_agg(h.ends order by h.nr), '{}')
        into held, held_until
        from unnest(held, held_until) with ordinality as h(id, ends, nr)
        where h.ends > now()
          and not exists (select from orders o where o.id = h.id and o.status <> 'unpaid')
          and not exists (select from barrier b
                          where b.subject = h.id and b.step = claim and b.undone_at is not null);
    end if;
    orders := held || more[:most - cardinality(held)];
    until := held_until || more_until[:most - cardinality(held)];
end $$;
comment on function with_room is
    'A rider''s open holds with as many more as there is room for; what is settled, undone or past its deadline goes first.';
