//! The invariants of imports that touch seats which riders have.

use super::{Level, invariant::Invariant};

/// An import goes on until its last trip is done.
pub(super) const CARRIED_ON: Invariant = Invariant {
    name: "imports_are_carried_on",
    sentence: "An import with trips that are not done has the live job that goes through them.",
    level: Level::NeedsYou,
    breach_one: "1 import has riders whom nobody moves.",
    breach_many: "{n} imports have riders whom nobody moves.",
    breach_zh: "{n} 次导入仍有无人处理的乘客。",
    query: "select i.id::text from network_import i where i.finished_at is null
            and not exists(select from queue.job j where j.tag = 'network_import' and j.key = i.id::text)",
};

/// An import leaves no order and no trip half changed.
pub(super) const WHOLE: Invariant = Invariant {
    name: "imports_touch_whole_trips",
    sentence: "Every order that a finished import touched has its history row, and no seat of its trips is outside their models.",
    level: Level::Corrupt,
    breach_one: "1 order or trip of a finished import is not what the import has made of it.",
    breach_many: "{n} orders or trips of finished imports are not what the imports have made of them.",
    breach_zh: "{n} 个订单或场次与已完成的导入不符。",
    query: "with touched as (
                select x.*, i.started_at from network_import_trip x
                join network_import i on i.id = x.import_id and i.finished_at is not null and i.finished_at >= $4
            )
            select o.id::text from touched x join trip t on t.id = x.trip_id and t.cancelled_at is null
            join seat s on s.trip_id = x.trip_id join orders o on o.id = s.order_id
            where x.kind = 'changes' and o.id >= $3 and o.created_at < x.started_at
            and not exists(select from order_change c where c.order_id = o.id and c.import_id = x.import_id)
            union
            select e.order_id::text from touched x join trip_cancellation_order e on e.trip_id = x.trip_id
            where x.kind = 'ends' and e.order_id >= $3
            and not exists(select from order_change c where c.order_id = e.order_id and c.import_id = x.import_id)
            union
            select x.trip_id::text from touched x join trip t on t.id = x.trip_id and t.cancelled_at is null
            where x.model_id is not null and t.model_id is not null
            and exists(select from seat s where s.trip_id = t.id
                       and not exists(select from model_seat m where m.model_id = t.model_id and m.number = s.seat))
            union
            select x.trip_id::text from touched x where x.done_at is null",
};
