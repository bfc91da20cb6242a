-- phase: expand
-- Without them the planner takes a third of the dead letters for those that failed often.
create statistics queue.dead_letter_failures on (jsonb_array_length(failures)) from queue.dead_letter;
