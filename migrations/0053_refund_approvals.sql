-- phase: expand
-- Refunds by operators that wait for a second operator, beside the changes of wallets that do. An approved
-- refund is `refunded`, never `approved`: a process of before would read it as a top-up, and the constraint
-- wallet_approval_refund_is_no_top_up refuses what that process would write.
alter table wallet_approval
    add column order_id uuid,
    add column late boolean,
    add column without_fee boolean,
    -- Wider ones take their place below.
    -- squawk-ignore ban-drop-constraint
    drop constraint wallet_approval_kind_is_known,
    -- squawk-ignore ban-drop-constraint
    drop constraint wallet_approval_outcome_is_known;
alter table wallet_approval
    add constraint wallet_approval_kind_is_known check (kind in ('top_up', 'correction', 'refund')) not valid,
    add constraint wallet_approval_outcome_is_known
        check (outcome in ('approved', 'refunded', 'refused', 'expired')) not valid,
    add constraint wallet_approval_refund_names_its_order
        check ((kind = 'refund') = (order_id is not null)
               and (order_id is null) = (late is null) and (order_id is null) = (without_fee is null)) not valid,
    add constraint wallet_approval_refund_is_no_top_up
        check (coalesce(outcome, '') not in ('approved', 'refunded')
               or (kind = 'refund') = (outcome = 'refunded')) not valid,
    add constraint wallet_approval_refund_is_by_a_second_person
        check (outcome <> 'refunded' or (decided_by <> asked_by and decided_by <> rider_id)) not valid;
-- No foreign key: adding one locks the orders of a database that sells. Orders are never deleted.
comment on column wallet_approval.order_id is 'Of a refund: the order. Its amount is that of the order.';
comment on column wallet_approval.late is 'Of a refund: it may begin after the time for refunds.';
comment on column wallet_approval.without_fee is 'Of a refund: no fee is kept.';
