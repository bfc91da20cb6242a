//! The invariants, one query each. Read-only, in one snapshot; a breach comes with the ids it was found in.

use crate::schema;
use chrono::{DateTime, Duration, Utc};
use farebox_jobs::queue::admin::first_id;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

/// Ids shown of one breach at the most.
const SAMPLES: i64 = 10;

/// How long one query may take, whatever other statements may: some read whole tables.
const LONGEST_QUERY: &str = "set local statement_timeout = '10min'";

/// The longest time that [`Scope::Recent`] is asked for over HTTP: a year, seconds.
pub const LONGEST_RECENT_SECS: i64 = 365 * 24 * 3_600;

/// What must hold: its name, the sentence, and a query for the ids where it does not. `$2` are the tags of all jobs; `$3`
/// is the oldest order or payment that is looked at (ids are UUIDv7, so they tell when), the nil id for all; `$4` is the time
/// of that, which leaves out trips that had departed, jobs that had ended and keys that had been taken by then: seats and
/// answers have no index by their order.
const INVARIANTS: [(&str, &str, &str); 20] = [
    (
        "seats_have_live_owners",
        "Every held seat belongs to a live order, or to a claim whose undo is armed.",
        "select distinct s.order_id::text from seat s left join orders o on o.id = s.order_id
         where s.order_id >= $3 and s.trip_id in (select t.id from trip t where t.departs_at >= $4)
         and (o.status in ('closed', 'refunded') or (o.id is null
           and not exists(select from queue.job j where j.key = s.order_id::text and j.tag = any($2))))",
    ),
    (
        "orders_own_their_seats",
        "Every unpaid, paid or refunding order owns exactly its seats, and they are sold unless it is unpaid.",
        "select o.id::text from orders o where o.id >= $3 and o.status in ('unpaid', 'paid', 'refunding')
         and (select count(*) from seat s where s.trip_id = o.trip_id and s.seat = any(o.seats) and s.order_id = o.id
                and (s.held_until is null) = (o.status <> 'unpaid'))
             <> cardinality(o.seats)",
    ),
    (
        "paid_means_one_debit",
        "Paid or refunding: one unreversed debit of exactly the order's amount.",
        "select o.id::text from orders o
         left join ledger_entry e on e.payment_id = o.payment_id and (o.status = 'paid' or e.kind <> 'refund')
         where o.id >= $3 and o.status in ('paid', 'refunding')
         group by o.id having coalesce(sum(e.amount), 0) <> -o.amount
         union all
         select p.order_id::text from payment p join orders o on o.id = p.order_id
         where o.id >= $3 and o.status in ('paid', 'refunding') and p.id <> o.payment_id and p.state = 'settled'",
    ),
    (
        "orders_are_paid_in_time",
        "No order was paid after its deadline.",
        "select o.id::text from orders o where o.id >= $3 and o.paid_at > o.expires_at",
    ),
    (
        "closed_means_no_charge",
        "Closed or refunded: the order's payments are given back, but for a debit whose undo is armed.",
        "select o.id::text from orders o join payment p on p.order_id = o.id
         where o.id >= $3 and o.status in ('closed', 'refunded')
         and (p.state = 'settled' or (p.state = 'debited'
              and not exists(select from queue.job j where j.key = p.id::text and j.tag = any($2))))",
    ),
    (
        "wallets_are_their_entries",
        "Every balance is the sum of its wallet's entries.",
        "select w.rider_id::text from wallet w
         where ($3 = '00000000-0000-0000-0000-000000000000'
                or exists(select from orders o where o.rider_id = w.rider_id and o.id >= $3))
         and w.balance <> (select coalesce(sum(e.amount), 0) from ledger_entry e where e.rider_id = w.rider_id)",
    ),
    (
        "payments_match_their_entries",
        "A payment that is debited or settled has one debit; reversed or refunded, one entry more that cancels it.",
        "select p.id::text from payment p
         where p.id >= $3 and (select coalesce(sum(e.amount), 0) from ledger_entry e where e.payment_id = p.id)
               <> case when p.state in ('debited', 'settled') then -p.amount else 0 end",
    ),
    (
        "money_in_is_money_held_or_earned",
        "What was topped up is in wallets, or was paid for orders.",
        "select 'all' where $3 = '00000000-0000-0000-0000-000000000000'
         and (select coalesce(sum(amount), 0) from ledger_entry where kind = 'top_up')
         <> (select coalesce(sum(balance), 0) from wallet)
          + (select coalesce(sum(amount), 0) from payment where state in ('debited', 'settled'))",
    ),
    (
        "debits_are_settled_or_armed",
        "A debit that is not settled has a live undo.",
        "select p.id::text from payment p where p.id >= $3 and p.state = 'debited'
         and not exists(select from queue.job j where j.key = p.id::text and j.tag = any($2))",
    ),
    (
        "undone_steps_have_left_nothing",
        "A step that was undone, or barred before it ran, has no effect: no seat, no open order, no money taken.",
        "select b.subject::text from barrier b join seat s on s.order_id = b.subject
         where s.trip_id in (select t.id from trip t where t.departs_at >= $4)
         and b.subject >= $3 and b.undone_at is not null and b.step = 'order_add_seats_cancle'
         union all
         select b.subject::text from barrier b join orders o on o.id = b.subject
         where b.subject >= $3 and b.undone_at is not null and b.step = 'order_add_cancle' and o.status <> 'closed'
         union all
         select b.subject::text from barrier b join payment p on p.id = b.subject
         where b.subject >= $3 and b.undone_at is not null
         and ((b.step = 'pay_money_cancle' and p.state <> 'reversed')
              or (b.step = 'pay_cancle' and p.state in ('settled', 'refunded')))",
    ),
    (
        "unpaid_orders_have_a_timer",
        "Every unpaid order has its live unpaid-order job.",
        "select o.id::text from orders o where o.id >= $3 and o.status = 'unpaid'
         and not exists(select from queue.job j where j.tag = 'order_unpaid' and j.key = o.id::text)",
    ),
    (
        "settled_orders_have_no_timer",
        "No order that is paid, refunded or closed has a timer, but for one that is being run or will be tried again.",
        "select o.id::text from orders o join queue.job j on j.tag = 'order_unpaid' and j.key = o.id::text
         where o.id >= $3 and o.status <> 'unpaid' and j.lease_token is null and j.attempt = 0",
    ),
    (
        "deadlines_are_kept",
        "No unpaid order is more than a minute past its deadline.",
        "select o.id::text from orders o
         where o.id >= $3 and o.status = 'unpaid' and o.expires_at < now() - interval '1 min'",
    ),
    (
        "states_have_their_history",
        "Every order's state has its history row, but for booked and paid, which its own row tells.",
        "select o.id::text from orders o
         where o.id >= $3 and o.status not in ('unpaid', 'paid')
         and not exists(select from order_event e where e.order_id = o.id and e.status = o.status)",
    ),
    (
        "begun_refunds_are_carried_on",
        "Every order that is refunding has the live job that carries it on.",
        "select o.id::text from orders o where o.id >= $3 and o.status = 'refunding'
         and not exists(select from queue.job j where j.tag = 'pay_back_cancle' and j.key = o.id::text)",
    ),
    (
        "cancelled_trips_are_carried_on",
        "A trip that was cancelled has the live job that ends its orders, or all its seats are blocked.",
        "select c.trip_id::text from trip_cancellation c
         where case when c.finished_at is null
                    then not exists(select from queue.job j where j.tag = 'trip_cancel' and j.key = c.trip_id::text)
                    else exists(select from seat s where s.trip_id = c.trip_id and not s.blocked) end",
    ),
    (
        "kept_answers_are_true",
        "What a repeated booking or payment is answered is what its order and payment say, and who was booked or paid is not refused.",
        "select i.subject::text from idempotency i left join orders o on o.id = i.subject
         where i.started_at >= $4 and i.subject >= $3 and i.status = 201 and i.body ? 'seats' and i.body ? 'trip_id'
         and (o.id is null or i.body ->> 'id' <> o.id::text or (i.body ->> 'amount')::numeric <> o.amount
              or (select array_agg(seat::int) from jsonb_array_elements_text(i.body -> 'seats') seat) <> o.seats)
         union all
         select i.subject::text from idempotency i left join payment p on p.id = i.subject
         where i.started_at >= $4 and i.subject >= $3 and i.status = 200 and i.body ->> 'status' = 'paid'
         and p.state is distinct from 'settled' and p.state is distinct from 'refunded'
         union all
         select i.subject::text from idempotency i join orders o on o.id = i.subject
         where i.started_at >= $4 and i.subject >= $3 and i.status <> 201
         union all
         select i.subject::text from idempotency i join payment p on p.id = i.subject
         where i.started_at >= $4 and i.subject >= $3 and i.status <> 200 and p.state in ('settled', 'refunded')",
    ),
    (
        "jobs_end_once",
        "No job is live and has ended or died.",
        "select j.id::text from queue.job j where exists(select from queue.finished f where f.id = j.id and f.ended_at >= $4)
         union all
         select d.id::text from queue.dead_letter d where exists(select from queue.job j where j.id = d.id)",
    ),
    (
        "guards_are_in_place",
        "Every constraint and index that carries a promise exists and is valid.",
        "select guard from unnest(array['seat_has_one_owner', 'seat_hold_has_an_owner', 'seat_blocked_has_no_owner',
             'order_paid_means_a_payment', 'order_closed_has_a_reason', 'order_amount_is_price_times_seats', 'barrier_pkey',
             'idempotency_pkey', 'ledger_entry_continues_the_last', 'ledger_first_entry_starts_at_zero',
             'ledger_balance_is_never_negative', 'wallet_balance_is_what_its_entries_say',
             'job_key_is_unique_while_live', 'job_lease_is_whole', 'top_up_reference_is_used_once']) guard
         where not exists(select from pg_constraint c where c.conname = guard and c.convalidated)
         union all
         select guard from unnest(array['one_entry_per_payment_and_kind', 'one_live_payment_per_order',
             'one_top_up_per_reference', 'rider_user_name_is_taken_once']) guard
         where not exists(select from pg_class c join pg_index i on i.indexrelid = c.oid
                          where c.relname = guard and i.indisvalid and i.indisunique)
         union all
         select guard from unnest(array['ledger_is_append_only', 'audit_is_append_only']) guard
         where not exists(select from pg_trigger t where t.tgname = guard and t.tgenabled <> 'D')",
    ),
    (
        "nothing_is_dead",
        "No job has given up.",
        "select d.tag || ' ' || d.key from queue.dead_letter d",
    ),
];

/// One invariant's verdict.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Verdict {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub sentence: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// In how many places it does not.
    pub count: i64,
    /// Where it does not: some ids.
    pub samples: Vec<String>,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Whole,
    /// The orders and payments made within this time, and what belongs to them; the sums over all wallets are left out.
    Recent(Duration),
}

impl Scope {
    /// The least id that is looked at, and its time, if it is `now`.
    fn floor(self, now: DateTime<Utc>) -> (Uuid, DateTime<Utc>) {
        match self {
            Self::Whole => (Uuid::nil(), DateTime::UNIX_EPOCH),
            Self::Recent(age) => (first_id(now - age), now - age),
        }
    }
}

/// Checks every invariant in one read-only snapshot.
///
/// # Errors
/// The database's.
pub async fn verify(pool: &PgPool, scope: Scope) -> Result<Vec<Verdict>, sqlx::Error> {
    let mut tx = schema::begin(pool).await?;
    sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *tx).await?;
    sqlx::query("set local enable_seqscan = on").execute(&mut *tx).await?;
    sqlx::query("set local plan_cache_mode = auto").execute(&mut *tx).await?;
    // A check may take one processor from the bookings beside it, and no more.
    sqlx::query("set local max_parallel_workers_per_gather = 0").execute(&mut *tx).await?;
    sqlx::query(LONGEST_QUERY).execute(&mut *tx).await?;
    let tags: Vec<String> = farebox_jobs::MqTag::ALL.iter().map(|tag| tag.wire().to_owned()).collect();
    let (floor, since) = scope.floor(sqlx::query_scalar("select now()").fetch_one(&mut *tx).await?);
    let mut verdicts = Vec::with_capacity(INVARIANTS.len());
    for (name, sentence, query) in INVARIANTS {
        // Each query is a constant of this file; the tags are a parameter so that the key index is used.
        let limited = sqlx::AssertSqlSafe(format!(
            "select id, count(*) over () from ({query}) as breach(id)
             where $2::text[] is not null and $3::uuid is not null and $4::timestamptz is not null limit $1"
        ));
        let found: Vec<(String, i64)> = sqlx::query_as(limited)
            .bind(SAMPLES)
            .bind(&tags)
            .bind(floor)
            .bind(since)
            .fetch_all(&mut *tx)
            .await?;
        let count = found.first().map_or(0, |(_, count)| *count);
        let samples = found.into_iter().map(|(id, _)| id).collect();
        verdicts.push(Verdict { name, sentence, holds: count == 0, count, samples });
    }
    Ok(verdicts)
}
