//! How often and how patiently each kind of job is tried again.

use crate::queue::RetryPolicy;
use std::time::Duration;

/// An undo holds seats or money back from people: quick first, then patient for about half an hour,
/// then an operator's.
pub(crate) const UNDO: RetryPolicy =
    RetryPolicy { max_attempts: 25, base: Duration::from_millis(200), cap: Duration::from_secs(120) };

/// The timer only tidies: an overdue seat can be booked again without it.
pub(crate) const TIMER: RetryPolicy =
    RetryPolicy { max_attempts: 25, base: Duration::from_secs(1), cap: Duration::from_secs(300) };

/// A webhook is owed for three days: 600 waits of seven and a half minutes on average. These are failures of
/// the job itself, such as a database that is away. What a receiver answers has its own schedule, with the
/// delivery.
pub(crate) const WEBHOOK: RetryPolicy =
    RetryPolicy { max_attempts: 600, base: Duration::from_secs(1), cap: Duration::from_secs(900) };
