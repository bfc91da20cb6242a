//! Logging to standard error, and metrics.

pub mod flows;
pub mod metrics;
pub mod requests;
pub mod traffic;

use crate::settings::Log;
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging; a second call in one process changes nothing.
pub fn start(log: &Log) {
    let filter = EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let started = if log.json { builder.json().try_init() } else { builder.try_init() };
    drop(started);
}
