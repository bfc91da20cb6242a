//! The invariants, one query each. Read-only, in one snapshot; a breach comes with the ids it was found in.

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgPool;

/// Ids shown of one breach at the most.
const SAMPLES: i64 = 10;

/// How long one query may take, whatever other statements may: some read whole tables.
const LONGEST_QUERY: &str = "set local statement_timeout = '10min'";

/// What must hold: the sentence, and a query for the ids where it does not.
const INVARIANTS: [(&str, &str, &str); 14] = [
    (
        "seats_have_live_owners",
        "Every held seat belongs to a live order, or to a claim whose undo is armed.",
        "select distinct s.order_id::text from seat s left join orders o on o.id = s.order_id
         where s.order_id is not null and (o.status in ('closed', 'refunded') or (o.id is null
           and not exists(select from queue.job j where j.key = s.order_id::text and j.tag = any($2))))",
    ),
    (
        "orders_own_their_seats",
        "Every unpaid, paid or refunding order owns exactly its seats.",
        "select o.id::text from orders o where o.status in ('unpaid', 'paid', 'refunding')
         and (select count(*) from seat s where s.trip_id = o.trip_id and s.seat = any(o.seats) and s.order_id = o.id)
             <> cardinality(o.seats)",
    ),
    (
        "paid_means_one_debit",
        "Paid or refunding: one unreversed debit of exactly the order's amount.",
        "select o.id::text from orders o
         left join ledger_entry e on e.order_id = o.id and (o.status = 'paid' or e.kind <> 'refund')
         where o.status in ('paid', 'refunding')
         group by o.id having coalesce(sum(e.amount), 0) <> -o.amount",
    ),
    (
        "closed_means_no_charge",
        "Closed or refunded: the order's entries sum to zero, but for a debit whose undo is armed.",
        "select o.id::text from orders o join ledger_entry e on e.order_id = o.id
         where o.status in ('closed', 'refunded')
         group by o.id having sum(e.amount) <> 0
         and not exists(select from payment p join queue.job j on j.key = p.id::text
                        where p.order_id = o.id and p.state = 'debited' and j.tag = any($2))",
    ),
    (
        "wallets_are_their_entries",
        "Every balance is the sum of its wallet's entries.",
        "select w.rider_id::text from wallet w
         where w.balance <> (select coalesce(sum(e.amount), 0) from ledger_entry e where e.rider_id = w.rider_id)",
    ),
    (
        "payments_match_their_entries",
        "A payment that is debited or settled has one debit; reversed or refunded, one entry more that cancels it.",
        "select p.id::text from payment p
         where (select coalesce(sum(e.amount), 0) from ledger_entry e where e.payment_id = p.id)
               <> case when p.state in ('debited', 'settled') then -p.amount else 0 end",
    ),
    (
        "money_in_is_money_held_or_earned",
        "What was topped up is in wallets, or was paid for orders.",
        "select 'all' where (select coalesce(sum(amount), 0) from ledger_entry where kind = 'top_up')
         <> (select coalesce(sum(balance), 0) from wallet)
          + (select coalesce(sum(amount), 0) from payment where state in ('debited', 'settled'))",
    ),
    (
        "debits_are_settled_or_armed",
        "A debit that is not settled has a live undo.",
        "select p.id::text from payment p where p.state = 'debited'
         and not exists(select from queue.job j where j.key = p.id::text and j.tag = any($2))",
    ),
    (
        "unpaid_orders_have_a_timer",
        "Every unpaid order has its live unpaid-order job.",
        "select o.id::text from orders o where o.status = 'unpaid'
         and not exists(select from queue.job j where j.tag = 'order_unpaid' and j.key = o.id::text)",
    ),
    (
        "settled_orders_have_no_timer",
        "No order that is paid, refunded or closed has a timer that is not being run.",
        "select o.id::text from orders o join queue.job j on j.tag = 'order_unpaid' and j.key = o.id::text
         where o.status <> 'unpaid' and j.lease_token is null",
    ),
    (
        "states_have_their_history",
        "Every order's state has its history row.",
        "select o.id::text from orders o
         where not exists(select from order_event e where e.order_id = o.id and e.status = o.status)",
    ),
    (
        "begun_refunds_are_carried_on",
        "Every order that is refunding has the live job that carries it on.",
        "select o.id::text from orders o where o.status = 'refunding'
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
    /// Where it does not: some ids.
    pub samples: Vec<String>,
}

/// Checks every invariant in one read-only snapshot.
///
/// # Errors
/// The database's.
pub async fn verify(pool: &PgPool) -> Result<Vec<Verdict>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *tx).await?;
    sqlx::query("set local enable_seqscan = on").execute(&mut *tx).await?;
    sqlx::query(LONGEST_QUERY).execute(&mut *tx).await?;
    let tags: Vec<String> = farebox_jobs::MqTag::ALL.iter().map(|tag| tag.wire().to_owned()).collect();
    let mut verdicts = Vec::with_capacity(INVARIANTS.len());
    for (name, sentence, query) in INVARIANTS {
        // Each query is a constant of this file; the tags are a parameter so that the key index is used.
        let limited = sqlx::AssertSqlSafe(format!(
            "select id from ({query}) as breach(id) where $2::text[] is not null limit $1"
        ));
        let samples: Vec<String> =
            sqlx::query_scalar(limited).bind(SAMPLES).bind(&tags).fetch_all(&mut *tx).await?;
        verdicts.push(Verdict { name, sentence, holds: samples.is_empty(), samples });
    }
    Ok(verdicts)
}
