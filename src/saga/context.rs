//! What a saga runs with.

use super::Faults;
use crate::{
    accounts::passwords::Passwords,
    batch::InFlightSeats,
    settings::{Booking as BookingRules, Trips as TripRules, Wallets as WalletRules},
    statements::Batchers,
    traces::Tracer,
};
use chrono::Duration;
use farebox_jobs::queue::Notifier;
use sqlx::PgPool;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// What a saga runs with: the database, the rules and the faults that are armed for it.
#[derive(Clone)]
pub struct SagaContext {
    /// The database.
    pub pool: PgPool,
    /// The statements that it shares with other sagas.
    pub batchers: Batchers,
    /// The seats that requests of this process want at this moment.
    pub in_flight: InFlightSeats,
    /// Wakes the workers when a rollback is scheduled.
    pub notifier: Notifier,
    /// Hold time, cut-offs, the delay of armed undos.
    pub rules: BookingRules,
    /// The zone and the horizon of the timetable.
    pub trips: TripRules,
    /// The cap on balances.
    pub wallets: WalletRules,
    /// Hashes and checks passwords, off the request threads.
    pub passwords: Passwords,
    /// Faults armed for this process and this request.
    pub faults: Faults,
    /// This request's admission: held until the saga ends, even if its client has hung up.
    pub permit: Option<Arc<OwnedSemaphorePermit>>,
    /// Begins traces; none if they are not exported.
    pub tracer: Option<Tracer>,
}

impl SagaContext {
    /// How long after its step an armed undo falls due by itself.
    pub fn undo_after(&self) -> Duration {
        self.rules.undo_after()
    }
}
