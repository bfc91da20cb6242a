-- Corrections in the ledger, changes of wallets by operators with a second person, verified e-mail
-- addresses, and accounts that were forgotten. Nothing here rewrites or scans a large table: new
-- checks are validated by the next migration, which blocks no writer.

-- The number of the entry that a correction corrects, in the same wallet.
alter table ledger_entry
    add column corrects bigint,
    drop constraint ledger_entry_kind_is_known,
    drop constraint ledger_entry_sign_fits_its_kind,
    drop constraint ledger_entry_names_its_cause;
alter table ledger_entry
    add constraint ledger_entry_kind_is_known
        check (kind in ('top_up', 'payment', 'payment_reversed', 'refund', 'correction')) not valid,
    add constraint ledger_entry_sign_fits_its_kind
        check (amount <> 0 and (kind = 'correction' or (kind = 'payment') = (amount < 0))) not valid,
    add constraint ledger_entry_names_its_cause check (
        case when kind in ('top_up', 'correction') then reference is not null and payment_id is null
             else reference is null and payment_id is not null and order_id is not null end
    ) not valid,
    add constraint ledger_correction_names_an_entry
        check ((kind = 'correction') = (corrects is not null) and corrects < seq) not valid,
    add constraint ledger_correction_leaves_room
        check (kind <> 'correction' or amount < 0 or balance_after < 1000000000000) not valid,
    add constraint ledger_correction_is_of_its_wallet
        foreign key (rider_id, corrects) references ledger_entry (rider_id, seq) not valid;

-- Who moved money by hand, and who agreed: one row for each top-up and each correction by an
-- operator. Apart from the ledger, because debits write there too. Limits of a day are read here.
create table wallet_change (
    rider_id    uuid           not null,
    seq         bigint         not null,
    operator    uuid           not null,
    approved_by uuid,
    amount      numeric(14, 2) not null,
    at          timestamptz    not null default now(),
    constraint wallet_change_is_of_one_entry primary key (rider_id, seq),
    constraint wallet_change_is_of_an_entry foreign key (rider_id, seq) references ledger_entry (rider_id, seq),
    constraint wallet_change_is_not_of_ones_own check (operator <> rider_id and approved_by <> rider_id),
    constraint wallet_change_is_approved_by_another check (approved_by <> operator)
);
create index wallet_change_by_wallet on wallet_change (rider_id, at);
create index wallet_change_by_operator on wallet_change (operator, at);

-- Top-ups and corrections that wait for a second operator, or did. Money moves only when one
-- agrees, in the same transaction.
create table wallet_approval (
    id            uuid           not null,
    rider_id      uuid           not null,
    kind          text           not null,
    amount        numeric(14, 2) not null,
    reference     text           not null,
    reference_key text           not null,
    corrects      uuid,
    reason        text,
    asked_by      uuid           not null,
    asked_at      timestamptz    not null default now(),
    expires_at    timestamptz    not null,
    outcome       text,
    decided_by    uuid,
    decided_at    timestamptz,
    decision      text,
    entry_id      uuid,
    constraint wallet_approval_pkey primary key (id),
    constraint wallet_approval_wallet_exists foreign key (rider_id) references wallet (rider_id),
    constraint wallet_approval_kind_is_known check (kind in ('top_up', 'correction')),
    constraint wallet_approval_sign_fits_its_kind check (amount <> 0 and (kind = 'correction' or amount > 0)),
    constraint wallet_approval_names_what_it_corrects check ((kind = 'correction') = (corrects is not null)),
    constraint wallet_approval_outcome_is_known check (outcome in ('approved', 'refused', 'expired')),
    constraint wallet_approval_is_decided_whole check (
        (outcome is null) = (decided_at is null)
        and (coalesce(outcome, 'expired') = 'expired') = (decided_by is null)
        and (coalesce(outcome, '') = 'approved') = (entry_id is not null)
    ),
    constraint wallet_approval_is_by_a_second_person check (outcome <> 'approved' or decided_by <> asked_by),
    constraint wallet_approval_is_not_of_ones_own
        check (asked_by <> rider_id and (outcome <> 'approved' or decided_by <> rider_id)),
    constraint wallet_approval_ends_after_it_was_asked check (expires_at > asked_at),
    constraint wallet_approval_reason_is_bounded check (length(reason) between 1 and 500),
    constraint wallet_approval_decision_is_bounded check (length(decision) between 1 and 500)
);
-- One open request for a reference: a form that is sent twice asks once.
create unique index wallet_approval_waits_once on wallet_approval (reference_key) where outcome is null;
create index wallet_approval_by_rider on wallet_approval (rider_id, id);

-- When an operator checked that the account's e-mail address is its owner's, and when the account
-- was forgotten: its name and contacts are gone then, and nobody can sign in.
alter table rider
    add column email_verified_at timestamptz,
    add column forgotten_at timestamptz,
    add constraint rider_verified_email_is_there check (email_verified_at is null or email is not null) not valid;
