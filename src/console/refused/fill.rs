//! Writes the fields of a form that was sent into the page that holds it. The page is the
//! console's own, as maud writes it: lower case, attributes in double quotes.

use crate::http::extract::strict::Pairs;
use maud::{Markup, html};

/// Fields that a page makes anew each time: the session's token, and what the page shows.
const FRESH: [&str; 3] = ["csrf", "expected", "digest"];
/// The hidden field with the address of the page that holds the form: a refused form is shown under
/// the address that it was sent to.
pub(crate) const PAGE: &str = "page";

/// What is written into a page.
pub(super) struct Refill<'a> {
    /// The address of the form.
    pub(super) action: &'a str,
    /// The address of the page.
    pub(super) page: &'a str,
    /// The fields as they were sent.
    pub(super) fields: &'a Pairs,
    /// The field at fault, and the rule that it breaks.
    pub(super) fault: Option<(&'a str, &'a str)>,
    /// What is said before the form.
    pub(super) notice: Markup,
    /// What is said beside a field of a file.
    pub(super) choose_again: &'a str,
}

/// The page with the fields in the first form of this address; `None` if it holds no such form.
pub(super) fn fill(html: &str, refill: &Refill<'_>) -> Option<String> {
    let (begin, form) = forms(html).find(|(_, form)| form.get("action").as_deref() == Some(refill.action))?;
    let body = begin + form.text.len();
    let end = body + html.get(body..)?.find("</form>")?;
    let mut filled = String::with_capacity(html.len() + 1_024);
    filled.push_str(&html[..begin]);
    filled.push_str(&refill.notice.0);
    filled.push_str(form.text);
    filled.push_str(&html! { input type="hidden" name=(PAGE) value=(refill.page); }.0);
    fields(&html[body..end], refill, &mut filled);
    filled.push_str(&html[end..]);
    Some(filled)
}

/// Whether the field's value is kept when its form comes back.
pub(super) fn comes_back(name: &str) -> bool {
    !FRESH.contains(&name) && name != PAGE
}

/// A start tag: its text from `<` to `>`, its name and attributes.
struct Tag<'a> {
    text: &'a str,
    name: &'a str,
    attributes: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> Tag<'a> {
    /// The tag that the text begins with.
    fn read(text: &'a str) -> Option<Self> {
        let mut quoted = false;
        let end = text.bytes().position(|byte| {
            quoted ^= byte == b'"';
            byte == b'>' && !quoted
        })?;
        let inner = &text[1..end];
        let (name, mut rest) = inner.split_once(' ').unwrap_or((inner, ""));
        let mut attributes = Vec::new();
        while !rest.trim_start().is_empty() {
            rest = rest.trim_start();
            let word = rest.find(['=', ' ']).unwrap_or(rest.len());
            let (key, after) = rest.split_at(word);
            match after.strip_prefix("=\"").and_then(|after| after.split_once('"')) {
                Some((value, after)) => {
                    attributes.push((key, Some(value)));
                    rest = after;
                }
                None => {
                    attributes.push((key, None));
                    rest = after.trim_start_matches('=');
                }
            }
        }
        Some(Self { text: &text[..=end], name, attributes })
    }

    /// The value of an attribute; empty if the attribute has none.
    fn get(&self, key: &str) -> Option<String> {
        let (_, value) = self.attributes.iter().find(|(known, _)| *known == key)?;
        Some(unescaped(value.unwrap_or_default()))
    }

    /// The tag with other values of these attributes; without those that have no value here.
    fn with(&self, changes: &[(&str, Option<&str>)]) -> String {
        let mut tag = format!("<{}", self.name);
        let kept = self.attributes.iter().filter(|(key, _)| changes.iter().all(|(other, _)| other != key));
        for (key, value) in kept {
            tag.push_str(&value.map_or_else(|| format!(" {key}"), |value| format!(" {key}=\"{value}\"")));
        }
        for (key, value) in changes {
            if let Some(value) = value {
                tag.push_str(&format!(" {key}=\"{}\"", html! { (value) }.0));
            }
        }
        tag.push('>');
        tag
    }
}

/// The start tags of forms, and where they are.
fn forms(html: &str) -> impl Iterator<Item = (usize, Tag<'_>)> {
    html.match_indices("<form").filter_map(|(at, _)| Some((at, Tag::read(&html[at..])?)))
}

/// Writes the content of a form with its fields filled in.
fn fields(body: &str, refill: &Refill<'_>, filled: &mut String) {
    let sent =
        |name: &str| refill.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let (mut rest, mut select) = (body, None::<String>);
    while let Some(at) = rest.find('<') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(tag) = Tag::read(rest) else { break };
        rest = &rest[tag.text.len()..];
        let name = tag.get("name").unwrap_or_default();
        match tag.name {
            "input" => {
                filled.push_str(&input(&tag, &name, refill));
                filled.push_str(&fault(&name, refill, tag.get("type").as_deref() != Some("hidden")));
                if tag.get("type").as_deref() == Some("file") {
                    filled.push_str(&html! { p.fault { (refill.choose_again) } }.0);
                }
            }
            "textarea" => {
                let end = rest.find("</textarea>").unwrap_or(rest.len());
                filled.push_str(&tag.with(&marks(&name, refill)));
                match sent(&name) {
                    Some(value) => filled.push_str(&html! { (value) }.0),
                    None => filled.push_str(&rest[..end]),
                }
                rest = &rest[end..];
                select = Some(name);
            }
            "select" => {
                filled.push_str(&tag.with(&marks(&name, refill)));
                select = Some(name);
            }
            "option" if select.as_deref().and_then(sent).is_some() => {
                let chosen = select.as_deref().and_then(sent) == tag.get("value").as_deref();
                filled.push_str(&tag.with(&[("selected", chosen.then_some(""))]));
            }
            "/select" | "/textarea" => {
                filled.push_str(tag.text);
                filled.push_str(&fault(&select.take().unwrap_or_default(), refill, true));
            }
            _ => filled.push_str(tag.text),
        }
    }
    filled.push_str(rest);
}

/// An input with the value that was sent, or checked as it was.
fn input(tag: &Tag<'_>, name: &str, refill: &Refill<'_>) -> String {
    let mut sent = refill.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let kind = tag.get("type").unwrap_or_default();
    match kind.as_str() {
        "file" => tag.with(&marks(name, refill)),
        "password" | "submit" => tag.text.to_owned(),
        "checkbox" | "radio" => {
            let own = tag.get("value").unwrap_or_else(|| "on".to_owned());
            tag.with(&[("checked", sent.any(|value| value == own).then_some(""))])
        }
        _ => {
            let Some(value) = sent.next().filter(|_| comes_back(name)) else { return tag.text.to_owned() };
            // A hidden field that is there several times names what the page shows.
            if kind == "hidden" && sent.next().is_some() {
                return tag.text.to_owned();
            }
            let mut changes = marks(name, refill);
            changes.push(("value", Some(value)));
            tag.with(&changes)
        }
    }
}

/// The attributes of the field at fault.
fn marks<'a>(name: &str, refill: &Refill<'_>) -> Vec<(&'a str, Option<&'a str>)> {
    match refill.fault {
        Some((at, _)) if at == name => {
            vec![("aria-invalid", Some("true")), ("aria-describedby", Some("fault")), ("autofocus", Some(""))]
        }
        _ => Vec::new(),
    }
}

/// The rule beside the field at fault.
fn fault(name: &str, refill: &Refill<'_>, visible: bool) -> String {
    match refill.fault {
        Some((at, rule)) if at == name && visible => html! { p #fault.fault { (rule) } }.0,
        _ => String::new(),
    }
}

/// The text of an attribute, as it was before maud escaped it.
fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(page: &str, fields: &[(&str, &str)], fault: Option<(&str, &str)>) -> Option<String> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let refill = Refill {
            action: "/console/a",
            page: "/console/b?c",
            fields: &fields,
            fault,
            notice: html! { "!" },
            choose_again: "again",
        };
        fill(page, &refill)
    }

    #[test]
    fn fields_come_back_and_secrets_do_not() {
        let page = html! {
            form action="/console/other" { input name="reason" type="text"; }
            form.card method="post" action="/console/a" {
                input type="hidden" name="csrf" value="new"; input type="hidden" name="id" value="1";
                input name="reason" type="text" value="old" required; input type="password" name="password";
                input type="checkbox" name="all" checked; input type="radio" name="one" value="x>";
                select name="tag" { option value="a" selected { "a" } option value="b\"" { "b" } }
                textarea name="note" { "before" }
                input name="file" type="file" accept=".zip" required;
            }
        }
        .0;
        let sent = [
            ("csrf", "old"),
            ("id", "2"),
            ("reason", "<\"&>"),
            ("password", "secret"),
            ("one", "x>"),
            ("tag", "b\""),
            ("note", "</textarea>"),
        ];
        let all = filled(&page, &sent, Some(("tag", "a rule"))).expect("a form");
        for part in [
            "<input name=\"reason\" type=\"text\"></form>!<form",
            "name=\"page\" value=\"/console/b?c\"",
            "name=\"csrf\" value=\"new\"",
            "name=\"id\" value=\"2\"",
            "required value=\"&lt;&quot;&amp;&gt;\">",
            "type=\"password\" name=\"password\">",
            "type=\"checkbox\" name=\"all\">",
            "value=\"x&gt;\" checked=\"\">",
            "<option value=\"a\">",
            "<option value=\"b&quot;\" selected=\"\">",
            "<select name=\"tag\" aria-invalid=\"true\"",
            "</select><p class=\"fault\" id=\"fault\">a rule</p>",
            "name=\"note\">&lt;/textarea&gt;</textarea>",
            "type=\"file\" accept=\".zip\" required><p class=\"fault\">again</p>",
        ] {
            assert!(all.contains(part), "{part} in {all}");
        }
        assert!(!all.contains("secret"));
    }

    #[test]
    fn a_page_without_the_form_is_none_and_nothing_panics() {
        let page =
            "<form method=\"post\" action=\"/console/a\"><input name=\"x\" value=\"1\"><b>é</b></form>";
        for end in (0..page.len()).filter(|end| page.is_char_boundary(*end)) {
            assert_eq!(filled(&page[..end], &[("x", "2")], None), None, "{end}");
        }
        assert!(filled(page, &[("x", "2")], None).is_some_and(|page| page.contains("value=\"2\"")));
    }
}
