-- Validates what the migration before added, and blocks no writer.
alter table trip validate constraint trip_rules_are_in_bounds;
alter table orders validate constraint order_refund_rules_are_in_bounds;
alter table orders validate constraint order_refund_fee_is_of_a_refund;
alter table ledger_entry validate constraint ledger_entry_kind_is_known;
alter table ledger_entry validate constraint ledger_entry_sign_fits_its_kind;
