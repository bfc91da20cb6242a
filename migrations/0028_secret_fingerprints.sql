-- Which secrets the data was made with: keyed digests that tell two secrets apart and reveal neither.
-- A process whose secrets are others is refused when it starts, instead of refusing every token and
-- password afterwards.

create table secret_fingerprint (
    kind        text        not null,
    fingerprint bytea       not null,
    -- Since when it is in force; the latest of its kind is.
    since       timestamptz not null default now(),
    primary key (kind, fingerprint),
    constraint secret_fingerprint_kind_is_known check (kind in ('token_key', 'pepper')),
    constraint secret_fingerprint_has_16_bytes check (octet_length(fingerprint) = 16)
);
