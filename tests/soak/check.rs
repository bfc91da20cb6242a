//! What must be true when everything is quiet: the invariants, and that every reply to a rider still holds.

use super::{
    Soak,
    book::{Ask, Event, Reply},
    fleet::{Fleet, MOST_HOLDS},
    nemesis::WRONG_BY_SECS,
};
use crate::harness::count;
use chrono::{DateTime, TimeDelta, Utc};
use farebox::verify::{self, Scope};
use farebox_jobs::queue::admin::first_id;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Writes down every change of a seat's owner, in its transaction: the history of each seat, in the
/// order in which it happened. It also lets the nemesis hold the transaction open that adds an
/// order.
pub const RECORDER: &str = "
    create table register (nr bigserial primary key, trip_id uuid, seat int, was uuid, became uuid);
    create function record_owner() returns trigger language plpgsql security definer as $$ begin
        insert into register (trip_id, seat, was, became) values (new.trip_id, new.seat, old.order_id, new.order_id);
        return null;
    end $$;
    create trigger record_owner after update on seat for each row
        when (old.order_id is distinct from new.order_id) execute function record_owner();
    create function wait_for_the_nemesis() returns trigger language plpgsql security definer as $$ begin
        perform pg_advisory_xact_lock_shared(hashtextextended(new.trip_id::text, 0));
        return null;
    end $$;
    create trigger wait_for_the_nemesis after insert on orders for each row execute function wait_for_the_nemesis();";

/// A flow ends within so much of its beginning, with its undos.
const LONGEST_FLOW: TimeDelta = TimeDelta::seconds(60);
/// An id may be made by a clock that is so much behind.
const CLOCK_BEHIND: TimeDelta = TimeDelta::seconds(WRONG_BY_SECS);

/// A promise that was broken: its name, and what shows it.
pub type Breach = (String, String);

/// Up to where has been checked.
#[derive(Default)]
pub struct Mark {
    events: usize,
    register: i64,
    since: Option<DateTime<Utc>>,
}

impl Soak {
    /// The breaches since `mark`, which moves on; with a fresh one, all there are.
    pub async fn breaches(&self, mark: &mut Mark) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for verdict in verify::verify(&self.pool, Scope::Whole).await.unwrap() {
            if !verdict.holds {
                breaches
                    .push((verdict.name.to_owned(), format!("{} {:?}", verdict.sentence, verdict.samples)));
            }
        }
        let events = self.book.events.lock().unwrap()[mark.events..].to_vec();
        breaches.extend(self.register(mark.register).await);
        breaches.extend(self.replies_hold(&events).await);
        breaches.extend(self.unasked(&events, mark.since).await);
        breaches.extend(self.too_many_holds(mark.since).await);
        mark.events += events.len();
        let now = "select coalesce(max(nr), 0), now() from register";
        let (register, since) = sqlx::query_as(now).fetch_one(&self.pool).await.unwrap();
        (mark.register, mark.since) = (register, Some(since));
        breaches
    }

    /// Each seat goes from free to an order and back, never from one order to another.
    async fn register(&self, after: i64) -> Vec<Breach> {
        let sql = "select format('seat %s of %s: %s then %s', seat, trip_id, was, became) from (
                       select *, lag(became) over seat as before, row_number() over seat as place
                       from register where nr > $1
                       window seat as (partition by trip_id, seat order by nr)
                   ) r where (was is not null and became is not null) or (place > 1 and before is distinct from was)
                   limit 5";
        let found: Vec<String> = sqlx::query_scalar(sql).bind(after).fetch_all(&self.pool).await.unwrap();
        found.into_iter().map(|text| ("seats_have_one_owner_at_a_time".to_owned(), text)).collect()
    }

    /// What was acknowledged has stayed.
    async fn replies_hold(&self, events: &[Event]) -> Vec<Breach> {
        let done = events.iter().filter(|event| matches!(event.reply, Reply::Done(_)));
        let done: Vec<(&Event, Uuid)> = done.filter_map(|event| Some((event, event.order?))).collect();
        let rows: Vec<(Uuid, String, Vec<i32>)> =
            sqlx::query_as("select id, status, seats from orders where id = any($1)")
                .bind(done.iter().map(|(_, order)| *order).collect::<Vec<_>>())
                .fetch_all(&self.pool)
                .await
                .unwrap();
        let orders: HashMap<Uuid, (String, Vec<i32>)> =
            rows.into_iter().map(|(id, status, seats)| (id, (status, seats))).collect();
        let mut breaches = Vec::new();
        for (event, id) in done {
            let order = orders.get(&id);
            let status = order.map(|(status, _)| status.as_str());
            let (name, kept) = match event.ask {
                Ask::Book => (
                    "a_booking_that_was_acknowledged_is_there",
                    event.wanted.as_ref().zip(order).is_some_and(|((_, wanted), (_, seats))| {
                        wanted.iter().collect::<HashSet<_>>() == seats.iter().collect()
                    }),
                ),
                Ask::Pay => (
                    "a_payment_that_was_acknowledged_is_never_lost",
                    matches!(status, Some("paid" | "refunding" | "refunded")),
                ),
                Ask::Cancel => ("a_cancelled_order_stays_closed", status == Some("closed")),
                Ask::Refund => ("a_refund_is_carried_out", status == Some("refunded")),
            };
            if !kept {
                breaches.push((
                    name.to_owned(),
                    format!("{:?} of {id} was acknowledged; it is {status:?}", event.ask),
                ));
            }
        }
        breaches
    }

    /// Every order was asked for, and no refused booking has become one.
    async fn unasked(&self, events: &[Event], since: Option<DateTime<Utc>>) -> Vec<Breach> {
        let bookings = events.iter().filter(|event| event.ask == Ask::Book);
        let known: HashSet<Uuid> = bookings.clone().filter_map(|event| event.order).collect();
        let mut open: HashMap<(Uuid, Uuid, Vec<i32>), usize> = HashMap::new();
        for event in bookings.filter(|event| matches!(event.reply, Reply::Unknown(None))) {
            if let Some((trip, seats)) = &event.wanted {
                *open.entry((event.rider, *trip, seats.clone())).or_default() += 1;
            }
        }
        let sql =
            "select id, rider_id, trip_id, seats from orders where created_at > coalesce($1, '-infinity')";
        let rows: Vec<(Uuid, Uuid, Uuid, Vec<i32>)> =
            sqlx::query_as(sql).bind(since).fetch_all(&self.pool).await.unwrap();
        let mut breaches = Vec::new();
        for (id, rider, trip, mut seats) in rows {
            if known.contains(&id) {
                continue;
            }
            seats.sort_unstable();
            match open.get_mut(&(rider, trip, seats)) {
                Some(left) if *left > 0 => *left -= 1,
                _ => breaches.push(("no_booking_appears_unasked".to_owned(), id.to_string())),
            }
        }
        breaches
    }

    /// At no instant a rider had more unpaid orders than the limit.
    async fn too_many_holds(&self, since: Option<DateTime<Utc>>) -> Vec<Breach> {
        let sql = "with recent as (
                       select * from orders where created_at > coalesce($1, '-infinity')
                   ), change as (
                       select rider_id, b.done_at as at, 1 as by from recent o
                       join barrier b on b.subject = o.id and b.step = 'order_add_cancle'
                       union all
                       select rider_id, least(expires_at, paid_at, closed_at), -1 from recent
                   ), open as (
                       select rider_id, sum(by) over (partition by rider_id order by at, by) as many from change
                   )
                   select format('%s had %s', rider_id, max(many)) from open where many > $2 group by rider_id limit 5";
        let found: Vec<String> =
            sqlx::query_scalar(sql).bind(since).bind(MOST_HOLDS).fetch_all(&self.pool).await.unwrap();
        found.into_iter().map(|text| ("no_rider_holds_too_many_orders".to_owned(), text)).collect()
    }

    /// Milliseconds from each kill to the last undo of a step that it found committed; kills that
    /// found nothing to undo have none. Flows do not live long, so only the barriers of the last
    /// ones are looked at.
    pub async fn rollback_times(&self, kills: &[DateTime<Utc>]) -> Vec<f64> {
        let Some(first) = kills.iter().min() else { return Vec::new() };
        sqlx::query_scalar(
            "with undone as materialized (
                 select done_at, undone_at from barrier
                 where subject >= $2 and done_at is not null and undone_at > (select min(k) from unnest($1) k))
             select took from (
                 select (select extract(epoch from max(undone_at) - k)::float8 * 1000 from undone
                         where done_at <= k and undone_at > k and undone_at < k + interval '60 s') as took
                 from unnest($1::timestamptz[]) k) x
             where took is not null",
        )
        .bind(kills)
        .bind(first_id(*first - CLOCK_BEHIND - LONGEST_FLOW))
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// The hard cases, and how often each was seen.
    pub async fn sightings(&self, fleet: &Fleet) -> Vec<(&'static str, i64)> {
        let seen = self.book.seen.lock().unwrap().clone();
        let logged = |mark| fleet.said(mark);
        let in_doubt: Vec<Uuid> = self
            .book
            .events
            .lock()
            .unwrap()
            .iter()
            .filter(|event| event.ask == Ask::Book)
            .filter_map(
                |event| if let Reply::Unknown(Some(order)) = event.reply { Some(order) } else { None },
            )
            .collect();
        let (committed, not): (i64, i64) = sqlx::query_as(
            "select count(*) filter (where done), count(*) filter (where not done) from (
                 select exists(select from barrier where subject = o and step = 'order_add_seats_cancle'
                                                     and done_at is not null) as done
                 from unnest($1::uuid[]) o) x",
        )
        .bind(&in_doubt)
        .fetch_one(&self.pool)
        .await
        .unwrap();
        let pool = &self.pool;
        let number = |n: u64| i64::try_from(n).unwrap();
        vec![
            (
                "empty undo: the step never ran",
                count(pool, "select count(*) from barrier where done_at is null and undone_at is not null").await,
            ),
            ("hanging step refused after its undo", number(logged("barrier_pkey"))),
            ("duplicate request given its first answer", number(seen.replayed)),
            ("payment at the deadline: paid", number(seen.paid_at_the_deadline)),
            ("payment at the deadline: expired", number(seen.expired_at_the_deadline)),
            ("claim in doubt: it had committed", committed),
            ("claim in doubt: it had not", not),
            ("zombie fenced", number(logged("lease was lost") + logged("lease ran out"))),
            ("deadlock, resolved", number(logged("deadlock"))),
            (
                "orphan found: an armed undo ran by itself",
                count(
                    pool,
                    "select count(*) from queue.finished where tag in ('order_add_seats_cancle', 'pay_money_cancle')
                     and outcome = 'done' and run_at - created_at > interval '1.4 s' and note like '%back%'
                     and note not like 'nothing%'",
                )
                .await,
            ),
            (
                "undo that waited for a step being committed",
                count(
                    pool,
                    "select count(*) from queue.finished where tag = 'order_add_seats_cancle'
                     and note = 'nothing to undo: the order was added'",
                )
                .await,
            ),
            ("client hung up", number(seen.hung_up)),
            (
                "attempt rescued from a worker that had died",
                count(pool, "select count(*) from queue.finished where failures::text like '%lease expired%'").await,
            ),
        ]
    }
}
