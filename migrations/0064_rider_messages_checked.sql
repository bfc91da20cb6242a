-- phase: expand
-- Validates what the migration 62 added, and blocks no writer.
alter table trip_cancellation validate constraint trip_cancellation_message_is_a_line;
