-- phase: expand
-- Validates what the migrations 53 and 55 added, and blocks no writer.
alter table wallet_approval validate constraint wallet_approval_kind_is_known;
alter table wallet_approval validate constraint wallet_approval_outcome_is_known;
alter table wallet_approval validate constraint wallet_approval_refund_names_its_order;
alter table wallet_approval validate constraint wallet_approval_refund_is_no_top_up;
alter table wallet_approval validate constraint wallet_approval_refund_is_by_a_second_person;
alter table bulk validate constraint bulk_act_is_known;
alter table bulk validate constraint bulk_counts_what_it_reached;
alter table bulk_item validate constraint bulk_outcome_is_known;
