//! The operations console, in a real browser.

pub mod a11y;
mod accounts;
mod bench_pages;
mod bounded;
mod bulk;
mod charts;
mod cookies;
mod dead_rollback;
mod errors;
mod every_page;
mod find;
mod forms;
mod freshness;
mod harness_check;
mod hostile_text;
mod keyboard;
mod money;
mod numbers;
mod order_acts;
mod pages;
mod pages_bench;
mod redrive;
mod riders;
mod saga;
mod screenshots;
mod second_factor;
pub mod session;
mod sign_in;
mod standing;
mod timeline;
mod times;
mod totals;
mod trips;
mod viewer_role;

pub use session::ConsoleSession;

/// An id as links show it.
fn short(id: &str) -> String {
    format!("…{}", &id[id.len() - 12..])
}
