//! Finding webhooks by their names and ids, and by the ids of events in their logs.

use super::reading::Reading;
use crate::webhooks::event_id;
use sqlx::PgConnection;
use uuid::Uuid;

/// Events among which the end of an id is looked for: the newest.
const NEWEST_EVENTS: i64 = 1_000;

/// A webhook, by itself or by an event in its log.
#[derive(Clone, Debug)]
pub struct FoundWebhook {
    /// Its id.
    pub id: Uuid,
    /// What operators call it.
    pub name: String,
    /// Whether events are sent to it.
    pub state: String,
    /// The event by which it was found.
    pub event: Option<Uuid>,
    /// What became of that event.
    pub delivery: Option<String>,
}

/// The webhooks that the text means.
pub(super) async fn webhooks(
    conn: &mut PgConnection,
    reading: &Reading,
    limit: i64,
) -> Result<Vec<FoundWebhook>, sqlx::Error> {
    let name = reading.is_part.then(|| reading.text.to_lowercase());
    sqlx::query_as!(
        FoundWebhook,
        r#"select e.id as "id!", e.name as "name!", e.state as "state!",
                  f.event_id as event, f.state as delivery
           from (
               select id, null::uuid as event_id, null::text as state from webhook_endpoint
               where state <> 'removed'
                 and (substring(uuid_send(id) from 11) = decode($1, 'hex') or strpos(lower(name), $2) > 0)
               union all
               select d.endpoint_id, d.event_id, d.state
               from (select $3::uuid as id
                     union
                     select id from (select id from webhook_event order by created_at desc limit $4) as newest
                     where substring(uuid_send(id) from 11) = decode($1, 'hex')) as v
               join webhook_delivery d on d.event_id = v.id
           ) as f
           join webhook_endpoint e on e.id = f.id
           order by e.id, f.event_id limit $5"#,
        reading.end.as_deref(),
        name,
        event_id(&reading.text).ok(),
        NEWEST_EVENTS,
        limit
    )
    .fetch_all(conn)
    .await
}
