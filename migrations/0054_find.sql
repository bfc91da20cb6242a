-- phase: expand
-- Finding riders by parts of their names, and orders by the end of their id and by their trip, on any
-- server: no extension. The indexes are built by migrations of their own, beside writers.
-- See docs/decisions/0027-search-without-extensions.md.

-- Whatever the database's locale: only the case of ASCII letters is folded.
create function folded(said text) returns text
language sql immutable strict parallel safe
return lower(normalize(said, nfkc) collate "C");
comment on function folded is 'A text as searches compare it: in NFKC, ASCII letters in lower case.';

-- A text that contains another has all of its grams. Two Chinese characters can be a whole name.
create function search_grams(said text) returns text[]
language sql immutable strict parallel safe
return (
    select coalesce(array_agg(distinct gram), '{}')
    from (
        select substr(said, at, 3) as gram from generate_series(1, length(said) - 2) as at
        union all
        select substr(said, at, 2) from generate_series(1, length(said) - 1) as at
        where octet_length(substr(said, at, 2)) > 2
    ) as grams
);
comment on function search_grams is
    'Each three neighbouring characters of a text, and each two of which one is not ASCII.';

create function digits_of(phone text) returns text
language sql immutable strict parallel safe
return regexp_replace(phone, '[^0-9]', '', 'g');
comment on function digits_of is 'The digits of a phone number.';

create function rider_terms(id uuid, user_name text, nick_name text, email text, phone text) returns text[]
language sql immutable parallel safe
return coalesce(search_grams(folded(user_name)), '{}') || coalesce(search_grams(folded(nick_name)), '{}')
    || coalesce(search_grams(folded(email)), '{}')
    || coalesce(array['+' || right(digits_of(phone), 4)], '{}')
    || array['#' || right(id::text, 12)];
comment on function rider_terms is
    'What an account is found by: grams of its names, the last four digits of its phone, the end of its id.';

-- The settings leave the planner one way, since it cannot know how few blocks such an index leaves. A
-- function with settings cannot run in a parallel worker.
create function orders_by_end(digits text, most integer) returns setof uuid
language sql stable strict
set enable_seqscan = off set enable_indexscan = off set enable_indexonlyscan = off
set max_parallel_workers_per_gather = 0
begin atomic
    select o.id from orders o where right(o.id::text, 12) = digits order by o.id desc limit most;
end;
comment on function orders_by_end is 'The orders whose ids end in these twelve digits, newest first.';

create function orders_of_trips(trips uuid[], most integer) returns setof uuid
language sql stable strict
set enable_seqscan = off set enable_indexscan = off set enable_indexonlyscan = off
set max_parallel_workers_per_gather = 0
begin atomic
    select o.id from unnest(trips) as t (trip) cross join lateral (
        select id from orders where trip_id = t.trip
    ) as o order by o.id desc limit most;
end;
comment on function orders_of_trips is 'The orders of these trips, also those without seats, newest first.';
