-- The departures that databases of before the network have, unless there are departures.
insert into bus (id, driver_name, driver_phone)
select id, name, '028-5550-010' || id
from (values (1, 'Zhao Lei'), (2, 'Qian Fang'), (3, 'Sun Hao'), (4, 'Li Na'), (5, 'Zhou Min'), (6, 'Wu Gang'),
             (7, 'Zheng Yu'), (8, 'Wang Jing')) as b(id, name)
on conflict do nothing;

-- Direction 0 is Shahe to Qingshuihe, 1 the way back.
insert into timetable (id, code, bus_id, direction, departs_minute, arrives_minute, price)
select id, 'departure-' || id, bus, direction, departs, arrives, 4.00
from (values (1, 1, 1, 480, 540), (2, 2, 1, 510, 570), (3, 3, 1, 540, 600), (4, 4, 1, 570, 630), (5, 1, 0, 570, 630),
             (6, 2, 0, 600, 660), (7, 5, 0, 480, 540), (8, 6, 0, 570, 630), (9, 3, 0, 840, 900),
             (10, 4, 0, 930, 990), (11, 7, 0, 1020, 1080), (12, 5, 1, 840, 900), (13, 6, 1, 930, 990),
             (14, 8, 1, 1020, 1080), (15, 7, 1, 1200, 1260), (16, 8, 0, 1200, 1260), (17, 8, 0, 1440, 1470))
    as t(id, bus, direction, departs, arrives)
on conflict do nothing;
