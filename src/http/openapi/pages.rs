//! The description as a page, rendered from the same operations, without scripts or other
//! resources.

use super::{Access, Operation, described};
use crate::http::problem::catalogue;
use axum::{
    http::header,
    response::{Html, IntoResponse},
};
use std::{fmt::Write, sync::LazyLock};

const STYLE: &str = "
:root { color-scheme: light dark; --edge: color-mix(in srgb, currentColor 18%, transparent) }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem }
code, pre { font: 13px/1.45 ui-monospace, monospace } pre { overflow-x: auto; border: 1px solid var(--edge); padding: .6rem }
details { border: 1px solid var(--edge); border-radius: 6px; margin: .4rem 0; padding: .35rem .7rem }
summary { cursor: pointer } summary b { display: inline-block; min-width: 4rem; text-transform: uppercase; font-size: .8rem }
summary span { opacity: .75; margin-left: .7rem }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--edge) }
.who { float: right; font-size: .8rem; opacity: .7 }
";

static PAGE: LazyLock<String> = LazyLock::new(|| {
    let mut page = String::with_capacity(64 * 1024);
    // Writing into a string does not fail.
    let _ = write(&mut page);
    page
});

/// A bus: the icon of pages that tell no state.
pub(crate) const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
    %3Cpath fill='%230b5cad' d='M2 3h12v9H2zM4 12h2v2H4zM10 12h2v2h-2z'/%3E%3C/svg%3E";

/// The page contains its style and its icon, and loads nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub(crate) async fn page() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY), (header::CONTENT_LANGUAGE, "en")], Html(PAGE.as_str()))
}

fn write(page: &mut String) -> std::fmt::Result {
    write!(
        page,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Farebox API</title><link rel=icon href=\"{ICON}\"><style>{STYLE}</style><h1>Farebox API {}</h1>\
         <p>For machines: <a href=/openapi.json>openapi.json</a> (OpenAPI 3.1).</p>",
        env!("CARGO_PKG_VERSION")
    )?;
    for tag in ["riders", "sessions", "wallet", "trips", "orders", "operations", "service"] {
        write!(page, "<h2 id={tag}>{tag}</h2>")?;
        for operation in described().iter().filter(|operation| operation.tag() == tag) {
            write_operation(page, operation)?;
        }
    }
    page.push_str("<h2 id=errors>Errors</h2><table><tr><th>code<th>status<th>title<th>Chinese title");
    for kind in catalogue::all() {
        write!(
            page,
            "<tr><td><code>{}</code><td>{}<td>{}<td lang=zh>{}",
            kind.code,
            kind.status.as_u16(),
            kind.english,
            kind.chinese
        )?;
    }
    page.push_str("</table></html>");
    Ok(())
}

fn write_operation(page: &mut String, operation: &Operation) -> std::fmt::Result {
    let who = match operation.access {
        Access::Anyone => "anyone",
        Access::SignedIn => "signed in",
        Access::Viewer => "viewers and operators",
        Access::Operator => "operators",
    };
    let Operation { method, path, summary, .. } = operation;
    write!(
        page,
        "<details><summary><b>{method}</b> <code>{path}</code><span>{summary}</span><span class=who>{who}</span></summary>"
    )?;
    for (title, json) in operation.parts() {
        write!(page, "<p>{title}<pre>{}</pre>", escape(&json))?;
    }
    page.push_str("</details>");
    Ok(())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
