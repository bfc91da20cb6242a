//! The guides: the Markdown of the document's introduction as HTML. It has headings, paragraphs, numbered
//! lists and code in a line, and no more.

use super::super::described;
use maud::{Markup, html};

/// A guide.
pub(super) struct Section {
    pub(super) id: String,
    pub(super) title: String,
    body: Vec<Block>,
}

enum Block {
    Paragraph(String),
    Numbered(Vec<String>),
}

/// The guides under their headings. What comes before the first heading is the page's own introduction.
pub(super) fn sections(markdown: &str) -> Vec<Section> {
    let parts = markdown.split("\n## ").skip(1);
    parts
        .map(|part| {
            let (title, body) = part.split_once('\n').unwrap_or((part, ""));
            let id = title.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
            let body = body.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
            Section { id: format!("guide-{id}"), title: title.to_owned(), body: body.map(block).collect() }
        })
        .collect()
}

fn block(text: &str) -> Block {
    if !text.starts_with("1. ") {
        return Block::Paragraph(text.replace('\n', " "));
    }
    let mut items: Vec<String> = Vec::new();
    for line in text.lines() {
        match line.split_once(". ").filter(|(number, _)| number.parse::<u8>().is_ok()) {
            Some((_, item)) => items.push(item.to_owned()),
            None => items.last_mut().into_iter().for_each(|item| *item += &format!(" {}", line.trim())),
        }
    }
    Block::Numbered(items)
}

impl Section {
    pub(super) fn shown(&self) -> Markup {
        html! {
            section.guide data-item="" {
                h2 id=(self.id) { (self.title) }
                @for block in &self.body {
                    @match block {
                        Block::Paragraph(text) => p { (line(text)) },
                        Block::Numbered(items) => ol { @for item in items { li { (line(item)) } } },
                    }
                }
            }
        }
    }
}

/// A line of text with its code, and a link at the name of each operation.
pub(super) fn line(text: &str) -> Markup {
    let parts = text.split('`').enumerate();
    html! {
        @for (nr, part) in parts {
            @if nr % 2 == 0 { (bold(part)) }
            @else if described().iter().any(|operation| operation.id() == part) {
                a href={ "#" (part) } { code { (part) } }
            }
            @else { code { (part) } }
        }
    }
}

fn bold(text: &str) -> Markup {
    let parts = text.split("**").enumerate();
    html! { @for (nr, part) in parts { @if nr % 2 == 0 { (part) } @else { strong { (part) } } } }
}

/// A description: a paragraph, and its list if it has one.
pub(super) fn description(text: &str) -> Markup {
    let (about, list) = text.split_once("\n- ").unwrap_or((text, ""));
    html! {
        @if !about.trim().is_empty() { p { (line(&about.trim().replace('\n', " "))) } }
        @if !list.is_empty() { ul { @for item in list.split("\n- ") { li { (line(item)) } } } }
    }
}
