//! Farebox: seat booking and wallet payment as sagas over a PostgreSQL queue.
//!
//! docs/contributors/architecture.md describes the modules and the sagas; start reading at
//! [`booking`] and [`payment`].

pub mod accounts;
pub mod app;
pub mod batch;
pub mod booking;
mod browser;
pub mod cli;
pub mod console;
pub mod domain;
pub mod embedded;
pub mod http;
pub mod idempotency;
pub mod instruments;
pub mod limits;
pub mod network;
pub mod ops;
pub mod orders;
pub mod outbound;
pub mod payment;
pub mod saga;
pub mod security;
pub mod settings;
pub mod statements;
pub mod storage;
pub mod telemetry;
pub mod traces;
pub mod trips;
pub mod verify;
pub mod web;
pub mod webhooks;
