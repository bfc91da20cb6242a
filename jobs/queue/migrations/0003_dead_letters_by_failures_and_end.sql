-- Dead letters that failed often are found without reading the attempts of all others.
create index dead_letter_by_failures on queue.dead_letter (jsonb_array_length(failures), id);
-- Dead letters are found by the end of their ids, which pages show.
create index dead_letter_by_end on queue.dead_letter (substring(uuid_send(id) from 11));
