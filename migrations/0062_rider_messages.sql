-- phase: expand
-- What riders read of a cancelled trip, beside the operator's reason, which they never read.
alter table trip_cancellation
    add column message text,
    add constraint trip_cancellation_message_is_a_line
        check (length(message) between 1 and 200 and message !~ '[[:cntrl:]]') not valid;
comment on column trip_cancellation.message is 'What riders read, if anything; the reason is for operators alone.';
