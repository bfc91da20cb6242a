//! The operations console, in a real browser.

mod harness_check;
