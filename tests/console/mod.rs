//! The operations console, in a real browser.

mod bulk;
mod errors;
mod hands;
mod harness_check;
mod looked;
mod numbers;
mod pages;
mod pages_bench;
mod poison;
mod riders;
mod screenshots;
mod sign_in;
mod story;
mod trips;
mod viewer;
pub mod visitor;

pub use visitor::Visitor;

/// An id as links show it.
fn short(id: &str) -> String {
    format!("…{}", &id[id.len() - 12..])
}
