//! The description as a page, made from the document itself. It loads nothing: style and script are part
//! of it, and the policy names both by their digests.

mod calls;
mod guide;
mod operation;
mod schema;

use super::description;
use axum::{
    http::{HeaderValue, header},
    response::{Html, IntoResponse},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const STYLE: &str = include_str!("docs.css");
const SCRIPT: &str = include_str!("docs.js");

static PAGE: LazyLock<String> = LazyLock::new(|| page_of(description()).into_string());

/// A bus: the icon of pages that tell no state.
pub(crate) const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
    %3Cpath fill='%230b5cad' d='M2 3h12v9H2zM4 12h2v2H4zM10 12h2v2h-2z'/%3E%3C/svg%3E";

/// Nothing but the page's own style, script and icon.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = |text: &str| STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; frame-ancestors 'none'; \
         base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

pub(crate) async fn page() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
        (header::CONTENT_LANGUAGE, HeaderValue::from_static("en")),
    ];
    (headers, Html(PAGE.as_str()))
}

/// An operation of the document: method, path, and what it says.
struct Entry<'a> {
    method: &'a str,
    path: &'a str,
    said: &'a Value,
}

/// The operations of a tag, by path.
fn entries<'a>(document: &'a Value, tag: &str) -> Vec<Entry<'a>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let all = paths.flat_map(|(path, methods)| {
        methods.as_object().into_iter().flatten().map(move |(method, said)| Entry { method, path, said })
    });
    all.filter(|entry| entry.said["tags"][0] == tag).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn tags(document: &Value) -> impl Iterator<Item = (&str, &str)> {
    let tags = document["tags"].as_array().into_iter().flatten();
    tags.map(|tag| (text(&tag["name"]), text(&tag["description"])))
}

fn page_of(document: &Value) -> Markup {
    let guides = guide::sections(text(&document["info"]["description"]));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Farebox API" }
                link rel="icon" href=(ICON);
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "To the content" }
                header {
                    p.title { a href="#main" { "Farebox API" } " " small { (text(&document["info"]["version"])) } }
                    nav aria-label="Farebox" {
                        a href="/openapi.json" { "openapi.json" } " "
                        a href="#guide-conventions" { "Guides" } " "
                        a href="#guide-changes-of-this-document" { "What may change" } " "
                        a href="/console" lang="en" { "Console" } " "
                        a href="/console" lang="zh" { "控制台" }
                    }
                }
                (contents(document, &guides))
                main #main tabindex="-1" {
                    h1 { "API" }
                    @for section in &guides { (section.shown()) }
                    (calls::preamble())
                    @for (tag, about) in tags(document) {
                        section data-group="" {
                            h2 #{ "tag-" (tag) } { (tag) }
                            p { (about) }
                            @for entry in entries(document, tag) { (operation::shown(document, &entry)) }
                        }
                    }
                    (schema::all(document))
                    (operation::codes(document))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// Everything with an anchor, as a plain list; the script filters it.
fn contents(document: &Value, guides: &[guide::Section]) -> Markup {
    html! {
        nav.contents aria-label="Contents" {
            form role="search" hidden {
                label for="search" { "Search" }
                input #search type="search" autocomplete="off" spellcheck="false" placeholder="/";
                p #found role="status" {}
            }
            details open {
                summary { "Contents" }
                p.group { "Guides" }
                ul {
                    @for section in guides { li { a href={ "#" (section.id) } { (section.title) } } }
                    li { a href="#guide-calls" { "Calls on this page" } }
                }
                @for (tag, _) in tags(document) {
                    p.group { a href={ "#tag-" (tag) } { (tag) } }
                    ul {
                        @for entry in entries(document, tag) {
                            @let id = text(&entry.said["operationId"]);
                            li data-of=(id) { a href={ "#" (id) } { code { (id) } } }
                        }
                    }
                }
                p.group { a href="#schemas" { "schemas" } }
                ul.schemas { @for name in schema::names(document) { li { a href={ "#schema-" (name) } { code { (name) } } } } }
                p.group { a href="#problems" { "problems" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
        page.split(&format!(" {name}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn every_anchor_is_there_once_and_every_link_finds_one() {
        let ids = attributes(&PAGE, "id");
        let distinct: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(distinct.len(), ids.len(), "an anchor is there twice");
        for link in attributes(&PAGE, "href").into_iter().filter_map(|link| link.strip_prefix('#')) {
            assert!(distinct.contains(link), "#{link} leads nowhere");
        }
        for operation in super::super::described() {
            assert!(distinct.contains(operation.id().as_str()), "{} is not on the page", operation.path);
        }
    }

    #[test]
    fn the_page_has_fields_examples_and_calls() {
        for said in [
            "schema-OrderView",
            "refundable_until",
            "Idempotency-Key",
            "curl",
            "httpx",
            "004000",
            "座位已被选择",
            "Booking and paying safely",
            "snapshot",
        ] {
            assert!(PAGE.contains(said), "{said}");
        }
        assert!(!PAGE.contains("$ref"), "schemas are shown, not named");
    }
}
