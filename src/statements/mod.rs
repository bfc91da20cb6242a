//! The statements that many requests share, and the registry with one batcher for each of them.
//!
//! The steps of the sagas submit requests here; their rules and undos stand in `booking` and `payment`. A
//! statement knows no saga: so the registry can be a part of [`SagaContext`](crate::saga::SagaContext).
//! Long statements stand in files of their own, `*.sql`.

mod add_orders;
mod announce;
mod cancel_orders;
mod check_payments;
mod check_seats;
mod claim_seats;
mod close_orders;
mod debit_wallets;
mod expire_orders;
mod mark_paid;
mod release_seats;
mod schedule_rollbacks;

pub use add_orders::{AddOrders, Request as NewOrder};
pub use announce::announce_rollback;
pub use cancel_orders::{CancelOrders, Output as CancelOutput, Request as CancelRequest};
pub use check_payments::{CheckPayments, Output as PaymentFacts, Request as CheckPaymentRequest};
pub use check_seats::{CheckSeats, Output as SeatFacts, Request as CheckSeatsRequest};
pub use claim_seats::{ClaimSeats, ClaimedSeat, Output as ClaimOutput, Request as ClaimRequest};
pub use close_orders::{close_orders, free_seats};
pub use debit_wallets::{DebitWallets, Output as DebitOutput, Request as DebitRequest};
pub use expire_orders::{CLOSED, ExpireOrders, Request as ExpireRequest};
pub use mark_paid::{MarkPaid, Request as MarkPaidRequest, mark_paid};
pub use release_seats::{GIVEN_BACK, ReleaseSeats, Request as ReleaseRequest};
pub use schedule_rollbacks::{Rollback, ScheduleRollbacks};

use crate::{
    batch::{BatchContext, BatchStatement, Batcher, ConnectionCache},
    idempotency::SaveResponses,
    orders::FindOrders,
    settings::Booking as BookingRules,
};
use sqlx::PgPool;
use std::sync::Arc;

/// The batchers of one process: a field for each statement. Clones share them.
#[derive(Clone)]
pub struct Batchers {
    context: Arc<BatchContext>,
    /// Booking: reads the trip and the seats.
    pub check_seats: Batcher<CheckSeats>,
    /// Booking: claims the seats.
    pub claim_seats: Batcher<ClaimSeats>,
    /// Booking: adds the orders.
    pub add_orders: Batcher<AddOrders>,
    /// Booking: gives the seats of claims back.
    pub release_seats: Batcher<ReleaseSeats>,
    /// Cancels unpaid orders.
    pub cancel_orders: Batcher<CancelOrders>,
    /// Closes overdue orders.
    pub expire_orders: Batcher<ExpireOrders>,
    /// Paying: reads the order, the wallet and the authorization.
    pub check_payments: Batcher<CheckPayments>,
    /// Paying: debits the wallets.
    pub debit_wallets: Batcher<DebitWallets>,
    /// Paying: marks the orders paid.
    pub mark_paid: Batcher<MarkPaid>,
    /// Reads orders.
    pub find_orders: Batcher<FindOrders>,
    /// Stores responses under idempotency keys.
    pub save_responses: Batcher<SaveResponses>,
    /// Makes the undos of failed steps due.
    pub schedule_rollbacks: Batcher<ScheduleRollbacks>,
}

impl Batchers {
    /// Batchers of this database.
    pub fn new(pool: PgPool, rules: BookingRules) -> Self {
        let context = Arc::new(BatchContext { connections: ConnectionCache::new(pool), rules });
        Self {
            check_seats: batcher(&context),
            claim_seats: batcher(&context),
            add_orders: batcher(&context),
            release_seats: batcher(&context),
            cancel_orders: batcher(&context),
            expire_orders: batcher(&context),
            check_payments: batcher(&context),
            debit_wallets: batcher(&context),
            mark_paid: batcher(&context),
            find_orders: batcher(&context),
            save_responses: batcher(&context),
            schedule_rollbacks: batcher(&context),
            context,
        }
    }

    /// What the statements are executed with, for those of a module above.
    pub fn context(&self) -> Arc<BatchContext> {
        Arc::clone(&self.context)
    }
}

fn batcher<T: BatchStatement<Context = BatchContext>>(context: &Arc<BatchContext>) -> Batcher<T> {
    Batcher::new(Arc::clone(context))
}

/// A statement's result has a word that this build does not know: an error, and never one of the known
/// results.
fn unknown_word(statement: &str, word: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("unknown result {word:?} of the {statement} statement").into())
}

/// `{1,2}`: arrays of different lengths cannot be one array of arrays in SQL, so each travels as text.
fn array_literal(seats: &[i32]) -> String {
    let mut text = String::from("{");
    for (nr, seat) in seats.iter().enumerate() {
        text.push_str(if nr == 0 { "" } else { "," });
        text.push_str(&seat.to_string());
    }
    text.push('}');
    text
}

/// `{"1A","1B"}`: the same for texts.
fn text_array_literal(texts: &[String]) -> String {
    let mut literal = String::from("{");
    for (nr, text) in texts.iter().enumerate() {
        literal.push_str(if nr == 0 { "\"" } else { ",\"" });
        for c in text.chars() {
            if matches!(c, '"' | '\\') {
                literal.push('\\');
            }
            literal.push(c);
        }
        literal.push('"');
    }
    literal.push('}');
    literal
}

#[cfg(test)]
mod tests {
    #[test]
    fn array_literals_quote_what_would_end_a_text() {
        let texts = ["1A", "\"", "\\", "{}", "null"].map(str::to_owned);
        let literal = r#"{"1A","\"","\\","{}","null"}"#;
        assert_eq!(super::text_array_literal(&texts), literal);
        assert_eq!(super::array_literal(&[1, 2]), "{1,2}");
    }
}
