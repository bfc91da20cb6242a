//! A page of a list.

use schemars::JsonSchema;
use serde::Serialize;

/// A page; `next` is the `after` of the page that follows.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
}
