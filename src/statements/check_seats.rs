//! Reads what a booking needs to know of its trip and seats, in one statement for any number of bookings.
//! Writes nothing.

use super::array_literal;
use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::{SeatSet, TripId},
};
use uuid::Uuid;

/// The statement.
pub struct CheckSeats;

/// One booking's trip and seats.
pub struct Request {
    /// Which trip.
    pub trip_id: TripId,
    /// Which seats.
    pub seats: SeatSet,
}

/// The trip and the seats as they are.
pub struct Output {
    /// There is such a trip.
    pub exists: bool,
    /// It is cancelled.
    pub cancelled: bool,
    /// It is closed for booking.
    pub closed: bool,
    /// The seats that exist.
    pub known: Vec<i32>,
    /// The seats that are blocked, sold or held.
    pub taken: Vec<i32>,
    /// The orders that hold a seat beyond their deadline.
    pub overdue: Vec<Uuid>,
}

impl BatchStatement for CheckSeats {
    type Context = BatchContext;
    type Request = Request;
    type Output = Output;

    /// Reads do not conflict.
    fn conflict_keys(_: &Request) -> Vec<ConflictKey> {
        Vec::new()
    }

    /// Each seat is looked up by itself, whatever the table was like when this was planned: a join may
    /// read a whole trip.
    async fn execute(context: &BatchContext, batch: &[Request]) -> Result<Vec<Output>, sqlx::Error> {
        let mut conn = context.connections.acquire().await?;
        let outputs = sqlx::query_as!(
            Output,
            r#"select t.id is not null as "exists!", t.cancelled_at is not null as "cancelled!",
                      coalesce(t.departs_at - make_interval(secs => $3) <= now(), true) as "closed!",
                      s.known as "known!", s.taken as "taken!", s.overdue as "overdue!"
               from unnest($1::uuid[], $2::text[]) with ordinality as r (trip_id, seats, nr)
               left join trip t on t.id = r.trip_id
               cross join lateral (
                   select coalesce(array_agg(s.seat), '{}') as known,
                          coalesce(array_agg(s.seat) filter (
                              where s.blocked or coalesce(s.held_until > now(), s.order_id is not null)),
                                  '{}') as taken,
                          coalesce(array_agg(distinct s.order_id) filter (where s.held_until <= now()),
                              '{}') as overdue
                   from unnest(r.seats::int[]) as w (seat)
                   -- planner fence: a seat is looked up by its key, docs/decisions/0009-planner-fences.md
                   cross join lateral (select * from seat where trip_id = r.trip_id
                       and seat = w.seat offset 0) as s
               ) as s
               order by r.nr"#,
            &batch.iter().map(|request| request.trip_id.0).collect::<Vec<_>>(),
            &batch.iter().map(|request| array_literal(request.seats.numbers())).collect::<Vec<_>>(),
            context.rules.cut_off_secs,
        )
        .fetch_all(&mut *conn)
        .await?;
        conn.release();
        Ok(outputs)
    }
}
