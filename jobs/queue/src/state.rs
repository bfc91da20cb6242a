//! The states of a worker, in the order in which it passes through them.

/// What a worker does at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WorkerState {
    /// Claims and runs.
    Working,
    /// Claims no more; what is not started is released; leases and completions go on.
    Draining,
    /// The grace period is over: what still runs is aborted, as a failed attempt.
    Aborting,
    /// Nothing runs; the driver writes the rest and ends.
    Closing,
}
