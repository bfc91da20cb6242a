//! What every flow is made of: steps with tags, barriers, faults, idempotency keys, and raising a rollback.

pub mod barrier;
mod faults;
pub mod recurring;
mod rollback;
mod step;
mod undo;

pub use faults::{FaultPoint, FaultSyntax, Faults};
pub use rollback::{Rollback, RollbackStatus, SagaResult, or_roll_back};
pub use step::{SagaError, StepFailure, step, to_the_end, undropped};
pub use undo::JobContext;

use crate::{
    accounts::passwords::Passwords,
    batch::{Batchers, InFlightSeats},
    settings::{Booking as BookingRules, Trips as TripRules, Wallets as WalletRules},
};
use chrono::Duration;
use farebox_jobs::queue::Ringer;
use sqlx::PgPool;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// What a flow runs with: the database, the rules and the faults that are armed for it.
#[derive(Clone)]
pub struct SagaContext {
    /// The database.
    pub pool: PgPool,
    /// The statements that it shares with other flows.
    pub batchers: Batchers,
    /// What the requests of this process want at this moment.
    pub in_flight: InFlightSeats,
    /// Wakes the workers up when a rollback was raised.
    pub notifier: Ringer,
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
    /// This request's place among those in flight: held until the flow ends, even if its client has hung up.
    pub place: Option<Arc<OwnedSemaphorePermit>>,
}

impl SagaContext {
    /// How long after its step an armed undo falls due by itself.
    pub fn undo_after(&self) -> Duration {
        self.rules.undo_after()
    }
}
