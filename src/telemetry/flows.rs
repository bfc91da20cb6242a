//! How the flows of riders end: bookings, payments, cancellations and refunds.

use crate::saga::{SagaError, SagaResult};
use farebox_jobs::MqTag;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use std::sync::LazyLock;

/// A flow that a rider asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// A booking.
    Booking,
    /// A payment.
    Payment,
    /// The cancellation of an unpaid order.
    Cancellation,
    /// The refund of a paid order.
    Refund,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It was made.
    Done,
    /// The answer is no.
    Refused,
    /// It was made before, with the same idempotency key.
    Repeated,
    /// A step failed, and is rolled back.
    Failed,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Done, Self::Refused, Self::Repeated, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Repeated => "repeated",
            Self::Failed => "failed",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}

/// The counters of one flow: those of the family by their outcomes, so that counting locks nothing.
struct Outcomes {
    family: Family<OfOutcome, Counter>,
    counters: [Counter; Outcome::ALL.len()],
}

/// In the order of [`Flow::ALL`].
static FLOWS: LazyLock<[Outcomes; Flow::ALL.len()]> = LazyLock::new(|| {
    Flow::ALL.map(|_| {
        let family = Family::<OfOutcome, Counter>::default();
        let counters = Outcome::ALL
            .map(|outcome| family.get_or_create(&OfOutcome { outcome: outcome.as_str() }).clone());
        Outcomes { family, counters }
    })
});

impl Flow {
    const ALL: [Self; 4] = [Self::Booking, Self::Payment, Self::Cancellation, Self::Refund];

    /// The tag of what fails between the flow's steps.
    pub fn tag(self) -> MqTag {
        match self {
            Self::Booking => MqTag::OrderAddSeats,
            Self::Payment => MqTag::PayMoney,
            Self::Cancellation => MqTag::OrderCancel,
            Self::Refund => MqTag::PayBack,
        }
    }

    /// Counts one that ended.
    pub fn count<T>(self, ending: &SagaResult<T>) {
        let outcome = match ending {
            Ok(_) => Outcome::Done,
            Err((SagaError::Refused(_), _)) => Outcome::Refused,
            Err((SagaError::KeyTaken, _)) => Outcome::Repeated,
            Err((SagaError::Failed(_), _)) => Outcome::Failed,
        };
        FLOWS[self as usize].counters[outcome as usize].inc();
    }
}

/// Puts the counters of the flows into a registry.
pub(super) fn register(registry: &mut Registry) {
    let names = [
        ("bookings", "Bookings that ended, by outcome"),
        ("payments", "Payments that ended, by outcome"),
        ("cancellations", "Cancellations by riders that ended, by outcome"),
        ("refunds", "Refunds that riders asked for and that ended, by outcome"),
    ];
    for ((name, help), flow) in names.into_iter().zip(&*FLOWS) {
        registry.register(name, help, flow.family.clone());
    }
}
