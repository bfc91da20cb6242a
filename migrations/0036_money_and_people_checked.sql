-- Validates the checks of the migration before. Validating blocks neither reads nor writes.
alter table ledger_entry validate constraint ledger_entry_kind_is_known;
alter table ledger_entry validate constraint ledger_entry_sign_fits_its_kind;
alter table ledger_entry validate constraint ledger_entry_names_its_cause;
alter table ledger_entry validate constraint ledger_correction_names_an_entry;
alter table ledger_entry validate constraint ledger_correction_leaves_room;
alter table ledger_entry validate constraint ledger_correction_is_of_its_wallet;
alter table rider validate constraint rider_verified_email_is_there;

-- A verified e-mail address is one account's. No account has one yet, so the index is built in one
-- short scan of the accounts.
create unique index rider_verified_email_is_one_accounts on rider (lower(normalize(email, nfc) collate "C"))
    where email_verified_at is not null;
