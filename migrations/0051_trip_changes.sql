-- Changes of one trip by an operator. Processes of before run beside it: they neither read nor write what is
-- new. A constant default rewrites no row.
alter table trip
    add column own_bus boolean not null default false,
    add column own_price boolean not null default false;
comment on column trip.own_bus is 'An operator gave it another bus than its departure''s: imports keep it.';
comment on column trip.own_price is 'An operator gave it other prices than the fares: imports keep them.';

alter table network_import
    add column trip_id uuid,
    add constraint network_import_trip_is_known foreign key (trip_id) references trip (id);
create index network_import_by_trip on network_import (trip_id) where trip_id is not null;
comment on column network_import.trip_id is 'The trip that an operator changed alone; null for a network.';
