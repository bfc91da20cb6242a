-- What identifies an account, and a top-up, is compared in one way, whatever the database's locale.

-- User names are ASCII, and are folded as ASCII. `lower` alone asks the database's locale, and so do `İ` and Turkish.
drop index rider_user_name_is_taken_once;
create unique index rider_user_name_is_taken_once on rider (lower(user_name collate "C"));
-- Rows from before were checked by the program; only new ones are checked here too.
alter table rider add constraint rider_user_name_is_plain
    check (user_name collate "C" ~ '^[A-Za-z0-9._-]+$') not valid;

-- E-mail addresses are found whatever their case (of ASCII letters) and however their accents are encoded. They are not
-- verified, so several accounts may have one.
drop index rider_by_email;
create index rider_by_email on rider (lower(normalize(email, nfc) collate "C")) where email is not null;

-- A payment that came in tops one wallet up, once. The key is the reference as people read it: without regard to case,
-- width, or blanks around it. Beside the ledger, because debits write there too and have no reference.
create table top_up_reference (
    key      text   not null,
    rider_id uuid   not null,
    seq      bigint not null,
    constraint top_up_reference_is_used_once primary key (key),
    constraint top_up_reference_has_one_entry unique (rider_id, seq),
    constraint top_up_reference_is_of_an_entry foreign key (rider_id, seq) references ledger_entry (rider_id, seq),
    constraint top_up_reference_is_bounded check (length(key) between 1 and 400)
);
-- References from before, where SQL folds as the program does; the earliest entry has the key if several share it. The
-- others are found by `one_top_up_per_reference` as ever.
insert into top_up_reference (key, rider_id, seq)
select distinct on (key) key, rider_id, seq
from (
    select lower(btrim(regexp_replace(reference, ' +', ' ', 'g')) collate "C") as key, rider_id, seq, at
    from ledger_entry
    where reference is not null and length(reference) <= 100 and reference collate "C" ~ '^[ -~]+$'
) as known
where key <> ''
order by key, at, rider_id, seq;

-- When the pay password was last set by its rider, and a keyed digest of the request that did it, by which the same request
-- is known again whose answer was lost. `was_first` says that there was none before.
alter table pay_password
    add column changed_at timestamptz,
    add column last_change bytea,
    add column was_first boolean not null default false,
    add constraint pay_password_change_is_a_digest check (octet_length(last_change) = 32),
    add constraint pay_password_change_has_its_time check ((changed_at is null) = (last_change is null));
