-- Networks from which somebody signed in to an account with the right password. While others guess at
-- the account, a sign-in from such a network is still let through. The subject is a keyed digest of the
-- user name and the network, so that a copy of the table does not tell who was where.
create table known_network (
    subject bytea       not null,
    seen_at timestamptz not null,
    constraint known_network_pkey primary key (subject),
    constraint known_network_subject_is_a_digest check (octet_length(subject) = 32)
);
-- Networks that were not seen for lockout.known_days are deleted, a few with each wrong password.
create index known_network_by_age on known_network (seen_at);
