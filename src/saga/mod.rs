//! What every saga is made of: steps with tags, barriers, faults, and scheduling a rollback.

pub mod barrier;
mod context;
mod faults;
pub mod recurring;
mod rollback;
mod step;
mod undo;

pub use crate::statements::Rollback;
pub use context::SagaContext;
pub use faults::{FaultPoint, FaultSyntax, Faults};
pub use rollback::{ROLLBACKS, RollbackMetrics, RollbackStatus, SagaResult, or_roll_back};
pub use step::{SagaError, SagaStep, StepFailure, run_detached, run_undropped, step};
pub use undo::JobContext;
