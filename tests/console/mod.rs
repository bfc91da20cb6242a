//! The operations console, in a real browser.

mod harness_check;
mod pages;
mod pages_bench;
mod sign_in;
