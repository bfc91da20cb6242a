-- Wrong passwords, counted for a user name from one network, and for one address whatever the name; never for a name alone,
-- which would let anybody lock its owner out. The subject is a digest: names that do not exist are counted as well, and what
-- strangers type is not worth keeping.
create table sign_in_tries (
    subject      bytea            not null,
    level        double precision not null, -- wrong tries and tries being checked at seen_at; it leaks away
    seen_at      timestamptz      not null,
    locked_until timestamptz,
    constraint sign_in_tries_pkey primary key (subject),
    constraint sign_in_tries_subject_is_a_digest check (octet_length(subject) = 16),
    constraint sign_in_tries_level_is_not_negative check (level >= 0)
);
-- Rows that have leaked away are deleted, a few with each wrong try.
create index sign_in_tries_by_age on sign_in_tries (seen_at);
