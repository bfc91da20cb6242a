-- Networks that were uploaded to be previewed. Applying one names its id and the digest of what was seen.
create table network_preview (
    id       uuid        not null,
    operator uuid        not null,
    at       timestamptz not null default now(),
    zip      bytea       not null,
    digest   text        not null,
    constraint network_preview_pkey primary key (id),
    constraint network_preview_operator_exists foreign key (operator) references rider (id),
    constraint network_preview_zip_fits check (octet_length(zip) <= 8388608)
);
comment on column network_preview.operator is 'Who uploaded it.';
comment on column network_preview.digest is 'Of the preview that was shown first.';
-- A zip does not become smaller.
alter table network_preview alter column zip set storage external;
