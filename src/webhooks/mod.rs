//! Events that leave the service, by the convention of Standard Webhooks: signed, each with an id that stays
//! the same, tried for three days.
//!
//! 1. The statement of a change announces it: the SQL function `announce` enqueues a job `webhook_event`, if
//!    an endpoint takes events of the kind.
//! 2. The job writes the event down, with a delivery for each such endpoint, and wakes the endpoints' jobs
//!    ([`run_event`]).
//! 3. An endpoint has one job, `webhook_delivery`. It sends what is due and comes again when more is
//!    ([`run_delivery`]). So an endpoint that is slow or dead holds one slot of one worker, and there are
//!    never more than 32 endpoints.
//!
//! A receiver that fails again and again is paused, then tried with one event. docs/decisions has the
//! reasons in 0028.

mod address;
mod body;
mod deliver;
mod endpoint;
mod event;
mod facts;
mod log;
mod metrics;
mod prune;
mod receiver;
mod round;
mod schedule;
mod secret;
mod standing;

pub use address::{Addresses, Target};
pub use body::id_of;
pub use deliver::run_delivery;
pub use endpoint::{
    Change, Endpoint, MAX_ENDPOINTS, NewEndpoint, ROTATION_SECS, Secret, add, change, find, has_been, list,
    remove, rotate, secret, set_enabled,
};
pub use event::run_event;
pub use facts::{OrderData, RollbackData, TripData};
pub use log::{
    Delivery, DeliveryBefore, DeliveryCursor, DeliveryState, MAX_AGAIN, Redelivered, again, again_all,
    deliveries, event_id,
};
pub use metrics::{ATTEMPTS, WebhookMetrics};
pub use prune::{give_up, prune};
pub use standing::{Standing, standing};

use crate::{
    accounts::passwords::Passwords,
    outbound,
    settings::{self, Environment},
};
use receiver::Sender;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Of the slots of a worker, one in this many may send webhooks. The rest is for undos and timers.
const SHARE_OF_SLOTS: usize = 4;

/// What sending webhooks needs, of one worker process. Clones share it.
#[derive(Clone)]
pub struct Webhooks {
    settings: settings::Webhooks,
    passwords: Passwords,
    sender: Sender,
    slots: Arc<Semaphore>,
}

impl Webhooks {
    /// For a worker with this number of slots.
    ///
    /// A machine without root certificates sends nothing by HTTPS: each attempt fails and says so.
    pub fn new(
        settings: settings::Webhooks,
        environment: Environment,
        passwords: Passwords,
        concurrency: usize,
    ) -> Self {
        let addresses = Addresses::new(&settings, environment);
        let tls =
            outbound::connector().inspect_err(|error| tracing::warn!(error, "no webhook by HTTPS")).ok();
        Self {
            sender: Sender::new(addresses, tls, settings.timeout()),
            slots: Arc::new(Semaphore::new((concurrency / SHARE_OF_SLOTS).clamp(1, MAX_ENDPOINTS))),
            settings,
            passwords,
        }
    }
}
