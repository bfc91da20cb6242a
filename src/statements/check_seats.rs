//! Reads what a booking needs to know of its trip and seats, in one statement for any number of bookings.
//! Writes nothing.

use super::text_array_literal;
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
    /// Which seats, by their labels.
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
    /// The labels of the seats that exist.
    pub known: Vec<String>,
    /// The labels of the seats that are blocked, sold or held.
    pub taken: Vec<String>,
    /// The orders that hold a seat beyond their deadline.
    pub overdue: Vec<Uuid>,
}

impl BatchStatement for CheckSeats {
    const NAME: &'static str = "check_seats";
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
                      coalesce(t.departs_at - make_interval(secs => coalesce(t.cut_off_secs, $3::float8)) <= now(), true) as "closed!",
                      s.known as "known!", s.taken as "taken!", s.overdue as "overdue!"
               from unnest($1::uuid[], $2::text[], $4::text[]) with ordinality
                        as r (trip_id, labels, numbers, nr)
               left join trip t on t.id = r.trip_id
               cross join lateral (
                   select coalesce(array_agg(w.label), '{}') as known,
                          coalesce(array_agg(w.label) filter (
                              where s.blocked or coalesce(s.held_until > now(), s.order_id is not null)),
                                  '{}') as taken,
                          coalesce(array_agg(distinct s.order_id) filter (where s.held_until <= now()),
                              '{}') as overdue
                   from unnest(r.labels::text[], r.numbers::int[]) as w (label, number)
                   -- planner fence: a label is looked up by its key, docs/decisions/0009-planner-fences.md
                   left join lateral (select number from model_seat where t.model_id is not null
                       and model_id = t.model_id and label = w.label offset 0) as m on true
                   cross join lateral (
                       select * from seat
                       where trip_id = r.trip_id and seat = case when t.model_id is null then w.number else m.number end
                       offset 0 -- planner fence: a seat is looked up by its key, docs/decisions/0009-planner-fences.md
                   ) as s
               ) as s
               order by r.nr"#,
            &batch.iter().map(|request| request.trip_id.0).collect::<Vec<_>>(),
            &batch.iter().map(|request| text_array_literal(request.seats.labels())).collect::<Vec<_>>(),
            context.rules.cut_off_secs,
            &batch.iter().map(|request| numbers_literal(&request.seats)).collect::<Vec<_>>(),
        )
        .fetch_all(&mut *conn)
        .await?;
        conn.release();
        Ok(outputs)
    }
}

/// `{1,null}`: the numbers that labels are where labels are numbers.
fn numbers_literal(seats: &SeatSet) -> String {
    let number = |number: Option<i32>| number.map_or_else(|| "null".to_owned(), |n| n.to_string());
    format!("{{{}}}", seats.numbers().map(number).collect::<Vec<_>>().join(","))
}
