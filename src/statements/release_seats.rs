//! Gives back the seats of claims whose orders were not added, and completes the jobs that do it, in one
//! statement for any number of undos.

use super::array_literal;
use crate::batch::{BatchContext, BatchStatement, ConflictKey};
use farebox_jobs::{Booking, EventKind, MqTag, queue::Lease};
use sqlx::PgConnection;
use std::sync::Arc;
use uuid::Uuid;

/// The note of a job that gave seats back.
pub const GIVEN_BACK: &str = "seats given back";

/// The statement.
pub struct ReleaseSeats;

/// A claim to give back, and the attempt that does it.
pub struct Request {
    /// What was claimed.
    pub booking: Booking,
    /// The lease of the job.
    pub lease: Arc<Lease>,
}

impl BatchStatement for ReleaseSeats {
    const NAME: &'static str = "release_seats";
    type Context = BatchContext;
    type Request = Request;
    /// Whether it was done. What the statement finds otherwise it leaves, but barred.
    type Output = bool;

    fn conflict_keys(request: &Request) -> Vec<ConflictKey> {
        vec![ConflictKey::Order(request.booking.order_id.0)]
    }

    async fn execute(context: &BatchContext, batch: &[Request]) -> Result<Vec<bool>, sqlx::Error> {
        let mut conn = context.connections.acquire().await?;
        let done = release(&mut conn, batch).await?;
        conn.release();
        Ok(batch.iter().map(|request| done.contains(&request.lease.job_id)).collect())
    }
}

/// The step that adds the order is barred here: a booking whose bar this statement wrote has no order, and
/// never will have. Where the bar stood already, or the claim is not visible yet, nothing else is done.
async fn release(conn: &mut PgConnection, batch: &[Request]) -> Result<Vec<Uuid>, sqlx::Error> {
    let bookings = || batch.iter().map(|request| &request.booking);
    sqlx::query_scalar!(
        r#"with undo as materialized (
               select u.*
               from (select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $11::text[])
                         as u (order_id, trip_id, seats, job, token, tag)
                     order by order_id) as u
               cross join lateral (
                   select from queue.job where id = u.job and lease_token = u.token for update
               ) as held
               -- A crash that loses this commit loses the job's completion with it.
               where (select set_config('synchronous_commit', 'off', true)) is not null
           ), barred as (
               insert into barrier (subject, step, undone_at)
               select order_id, step, now() from undo cross join unnest($6::text[]) as s (step)
               on conflict (subject, step) do nothing
               returning subject, step
           ), due as materialized (
               select * from undo where order_id in (select subject from barred where step = $8)
           ), undone as (
               update barrier b set undone_at = now() from due
               where b.subject = due.order_id and b.step = $7 and b.done_at is not null
                   and b.undone_at is null
               returning b.subject
           ), back as materialized (
               select * from due where order_id in (select subject from undone)
           ), freed as materialized (
               select free_seats(array_agg(order_id), array_agg(trip_id), array_agg(seats)) from back
           ), retired as materialized (
               -- The timers. Each function sees what was written before its own call, also by this
               -- statement; they change different rows, so their order does not matter.
               select queue.retire($9, array_agg(order_id::text)) from back
           ), announced as materialized (
               select announce($12, array_agg(job), array_agg(jsonb_build_object(
                   'tag', tag, 'key', order_id, 'order_id', order_id, 'result', $10::text))) from back
           )
           -- The functions are called because their results are read here.
           select queue.complete(array_agg(job), array_agg(token), $10) as "job!" from back
               cross join freed cross join announced cross join (select count(*) from retired) as r"#,
        &bookings().map(|booking| booking.order_id.0).collect::<Vec<_>>(),
        &bookings().map(|booking| booking.trip_id.0).collect::<Vec<_>>(),
        &bookings().map(|booking| array_literal(&booking.seats)).collect::<Vec<_>>(),
        &batch.iter().map(|request| request.lease.job_id).collect::<Vec<_>>(),
        &batch.iter().map(|request| request.lease.token).collect::<Vec<_>>(),
        &MqTag::BOOKING_BARRIERS.map(|step| step.wire().to_owned())[..],
        MqTag::OrderAddSeats.wire(),
        MqTag::OrderAdd.wire(),
        MqTag::OrderUnpaid.wire(),
        GIVEN_BACK,
        &batch.iter().map(|request| request.lease.tag.clone()).collect::<Vec<_>>(),
        EventKind::RollbackDone.wire(),
    )
    .fetch_all(conn)
    .await
}
