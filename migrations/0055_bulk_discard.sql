-- phase: expand
-- Dead letters are discarded in bulk, too. Those that still owe seats or money are left alone, and
-- counted apart.

alter table bulk
    add column owes integer not null default 0,
    -- Wider ones take their place below.
    -- squawk-ignore ban-drop-constraint
    drop constraint bulk_act_is_known,
    -- squawk-ignore ban-drop-constraint
    drop constraint bulk_counts_what_it_reached;
alter table bulk
    add constraint bulk_act_is_known check (act in ('retry', 'cancel', 'redrive', 'discard')) not valid,
    add constraint bulk_counts_what_it_reached
        check (reached = done + asked + busy + gone + owes and reached <= covers) not valid;
comment on column bulk.owes is 'Left alone, because they owe seats or money.';

-- Every row that is there fulfils it: one more word is allowed.
alter table bulk_item
    -- squawk-ignore ban-drop-constraint
    drop constraint bulk_outcome_is_known;
alter table bulk_item
    add constraint bulk_outcome_is_known check (outcome in ('done', 'asked', 'busy', 'gone', 'owes')) not valid;
