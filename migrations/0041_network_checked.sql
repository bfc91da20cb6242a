-- Validates what the migration before added, and blocks no writer. A database in which no trip was ever
-- made loses the demo's buses and departures, which the third migration inserts: migrations hold no
-- business data. Rows that an operator changed stay, and so do all rows of a database with trips.
alter table trip validate constraint trip_direction_is_not_negative;
alter table trip validate constraint trip_direction_exists;
alter table trip validate constraint trip_model_exists;

delete from timetable
where not exists (select from trip)
  and (id, bus_id, direction, departs_minute, arrives_minute, price) in (values
    (1, 1, 1, 480, 540, 4.00), (2, 2, 1, 510, 570, 4.00), (3, 3, 1, 540, 600, 4.00), (4, 4, 1, 570, 630, 4.00),
    (5, 1, 0, 570, 630, 4.00), (6, 2, 0, 600, 660, 4.00), (7, 5, 0, 480, 540, 4.00), (8, 6, 0, 570, 630, 4.00),
    (9, 3, 0, 840, 900, 4.00), (10, 4, 0, 930, 990, 4.00), (11, 7, 0, 1020, 1080, 4.00),
    (12, 5, 1, 840, 900, 4.00), (13, 6, 1, 930, 990, 4.00), (14, 8, 1, 1020, 1080, 4.00),
    (15, 7, 1, 1200, 1260, 4.00), (16, 8, 0, 1200, 1260, 4.00), (17, 8, 0, 1440, 1470, 4.00));
delete from bus b
where not exists (select from trip) and not exists (select from timetable t where t.bus_id = b.id)
  and b.capacity = 20
  and (b.id, b.driver_name, b.driver_phone) in (values
    (1, 'Zhao Lei', '028-5550-0101'), (2, 'Qian Fang', '028-5550-0102'), (3, 'Sun Hao', '028-5550-0103'),
    (4, 'Li Na', '028-5550-0104'), (5, 'Zhou Min', '028-5550-0105'), (6, 'Wu Gang', '028-5550-0106'),
    (7, 'Zheng Yu', '028-5550-0107'), (8, 'Wang Jing', '028-5550-0108'));
