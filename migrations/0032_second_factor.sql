-- The second factor of accounts of the operations side: codes of RFC 6238.

-- The secret is not here: it is derived from this nonce with the pepper, so the database alone makes no code.
create table second_factor (
    rider_id     uuid        not null,
    nonce        bytea       not null,
    enrolled_at  timestamptz not null default now(),
    last_step    bigint      not null, -- the newest time step whose code was used: no code counts twice
    wrong        integer     not null default 0, -- tries since the last right one, those being checked included
    locked_until timestamptz,
    constraint second_factor_pkey primary key (rider_id),
    constraint second_factor_account_exists foreign key (rider_id) references rider (id),
    constraint second_factor_nonce_is_random check (octet_length(nonce) = 16),
    constraint second_factor_counts_tries check (wrong >= 0)
);

-- For an operator who has lost the device: each code works once. Only digests of random texts.
create table recovery_code (
    rider_id uuid        not null,
    digest   bytea       not null,
    used_at  timestamptz,
    constraint recovery_code_pkey primary key (rider_id, digest),
    constraint recovery_code_is_of_a_second_factor foreign key (rider_id) references second_factor (rider_id) on delete cascade,
    constraint recovery_code_holds_a_digest check (octet_length(digest) = 32)
);
