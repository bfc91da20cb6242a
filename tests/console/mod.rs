//! The operations console, in a real browser.

pub mod a11y;
mod accounts;
mod bench_pages;
mod bounded;
mod bulk;
mod bus_map;
mod busy;
mod charts;
pub mod chinese;
mod cookies;
mod dead_rollback;
mod departures;
mod entry;
mod errors;
pub mod every_page;
mod find;
mod forms;
mod freshness;
mod harness_check;
mod hostile_text;
mod keyboard;
mod keyboard_acts;
mod money;
mod no_script;
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
mod tasks;
mod ten_tabs;
mod timeline;
mod times;
mod totals;
mod trips;
mod viewer_role;
mod webhooks;

pub use session::ConsoleSession;

/// An id as links show it.
fn short(id: &str) -> String {
    format!("…{}", &id[id.len() - 12..])
}
