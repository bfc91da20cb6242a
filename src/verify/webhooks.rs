//! The invariant of webhooks.

use super::{Level, invariant::Invariant};

/// Deliveries that wait are somebody's work.
pub(super) const CARRIED_ON: Invariant = Invariant {
    name: "webhooks_are_carried_on",
    sentence: "An enabled webhook with deliveries that wait has the live job that sends them.",
    level: Level::NeedsYou,
    breach_one: "1 webhook has events that nothing sends.",
    breach_many: "{n} webhooks have events that nothing sends.",
    breach_zh: "{n} 个 Webhook 的事件无人发送。",
    query: "select e.id::text from webhook_endpoint e where e.state = 'enabled'
            and exists(select from webhook_delivery d
                       where d.endpoint_id = e.id and d.state = 'pending' and d.give_up_at > now())
            and not exists(select from queue.job j where j.tag = 'webhook_delivery' and j.key = e.id::text)",
};
