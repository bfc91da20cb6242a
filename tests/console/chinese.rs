//! Chinese pages are Chinese: no page of the crowded world, and no refusal, has an English sentence.

use super::{
    ConsoleSession,
    every_page::{NICK_NAME, REASON, crowded, found},
};
use crate::harness::World;

/// Latin words in a row that make a sentence.
const SENTENCE: usize = 3;
/// Elements whose text is data: what programs and people wrote in their own language.
const DATA: [&str; 7] = ["code", "pre", "kbd", "script", "style", "svg", "title"];
/// Elements without an end tag.
const VOID: [&str; 6] = ["input", "meta", "link", "br", "img", "hr"];
/// Attributes that are read out or shown.
const SPOKEN: [&str; 4] = ["title", "aria-label", "placeholder", "alt"];

/// The texts of a page, without data: element by element, and attributes that are read out.
fn texts(page: &str) -> Vec<String> {
    let (mut texts, mut open, mut rest) = (Vec::new(), Vec::<bool>::new(), page);
    while let Some((text, tag)) = rest.split_once('<') {
        let is_data = open.iter().any(|data| *data);
        if !is_data && !text.trim().is_empty() {
            texts.push(text.to_owned());
        }
        let Some((tag, after)) = end_of(tag) else { break };
        rest = after;
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        if tag.starts_with('/') {
            open.pop();
            continue;
        }
        if tag.starts_with('!') {
            continue;
        }
        let attribute =
            |name: &str| tag.split(&format!(" {name}=\"")).nth(1).and_then(|value| value.split('"').next());
        let data = DATA.contains(&name)
            || attribute("lang") == Some("en")
            || attribute("class").is_some_and(|classes| classes.split(' ').any(|one| one == "id"));
        if !is_data && !data {
            texts.extend(SPOKEN.iter().filter_map(|name| attribute(name)).map(str::to_owned));
        }
        if !VOID.contains(&name) {
            open.push(data);
        }
    }
    texts
}

/// A tag up to its end, and what follows.
fn end_of(tag: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let at = tag.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == '>' && !quoted
    });
    at.map(|(at, _)| (&tag[..at], &tag[at + 1..]))
}

/// Whether a text has an English sentence. Capitals alone are codes.
fn is_english(text: &str) -> bool {
    let is_word = |part: &str| {
        let plain = part.trim_matches(|c: char| c.is_ascii_punctuation());
        let letters = plain.chars().all(|c| c.is_ascii_alphabetic() || c == '-' || c == '\'');
        plain.len() > 1 && letters && plain.chars().any(|c| c.is_ascii_lowercase())
    };
    let words = text.split_whitespace().map(is_word);
    let rows = words.scan(0, |row, word| {
        *row = if word { *row + 1 } else { 0 };
        Some(*row)
    });
    rows.max().unwrap_or_default() >= SENTENCE
}

/// The English sentences of a page, but for what the test wrote.
pub fn english(page: &str) -> Vec<String> {
    let own = page.replace(NICK_NAME, "").replace(REASON, "");
    texts(&own).into_iter().filter(|text| is_english(text)).collect()
}

async fn in_chinese(world: &World, name: &str) -> ConsoleSession {
    let session = ConsoleSession::enter(world, name).await;
    ConsoleSession { cookie: format!("{}; farebox_lang=zh", session.cookie), ..session }
}

#[test]
fn sentences_are_found_and_data_is_not() {
    let page = "<p>那是 <code>what a program says</code> 和 <a class=\"id\">a b c</a></p>\
                <td lang=\"en\">the bank is closed</td><p title=\"it is late\">好<br>the order is closed</p>";
    assert_eq!(english(page), ["it is late", "the order is closed"]);
    for fine in ["CSV 文件", "Farebox", "GET /v1/ops 中", "2 of CNY JPY EUR"] {
        assert!(!is_english(fine), "{fine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_chinese_page_has_an_english_sentence() {
    let (world, from) = crowded().await;
    let pages = found(&world, from).await;
    let session = in_chinese(&world, "owner").await;
    let mut wrong = Vec::new();
    for page in &pages {
        let text = session.page(page).await;
        assert!(text.contains("lang=\"zh\""), "{page}");
        wrong.extend(english(&text).into_iter().map(|text| format!("{page}: {text}")));
    }
    assert!(wrong.is_empty(), "{} texts:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_on_chinese_pages_are_chinese() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let trip = world.trip(4).await;
    let ops = in_chinese(&world, "ops").await;
    let top_up = format!("/console/riders/{}/top-up", rider.id);
    let csrf = ops.hidden(&top_up, "csrf").await;
    let none = "00000000-0000-0000-0000-000000000000";
    let block = format!("/console/trips/{trip}/block");
    let cancel = format!("/console/trips/{trip}/cancel");
    let mut wrong = Vec::new();
    for (path, form) in [
        (top_up.as_str(), "reference=a&amount=12,5&reason=x"),
        (&top_up, "reference=a&amount=0&reason=x"),
        (&top_up, "reference=a&amount=1000000000000&reason=x"),
        (&top_up, "reference=a&amount=5.00&reason=+"),
        (&top_up, "reference=a&amount=5.00"),
        (&top_up, "reference=&amount=5.00&reason=x"),
        (&block, "seats=1-5&reason=x"),
        (&block, "seats=&reason=x"),
        (&block, "seats=1,1&reason=x"),
        (&cancel, "departure=another&reason=x"),
        ("/console/bulk", "act=redrive&reason=x&id=1"),
        ("/console/bulk", "act=redrive&reason=x"),
        ("/console/riders/none/top-up", "reason=x"),
        ("/console/webhooks", "name=a&url=http://10.0.0.1/&order_paid=yes&reason=x"),
        ("/console/webhooks", "name=a&url=ftp://a/&order_paid=yes&reason=x"),
        ("/console/webhooks", "name=a&url=https://a:b@c/&order_paid=yes&reason=x"),
        ("/console/webhooks", "name=a&url=http://localhost/&reason=x"),
        ("/console/webhooks", "name=&url=http://localhost/&order_paid=yes&reason=x"),
    ] {
        let answer = ops.send("POST", path, Some(format!("csrf={csrf}&{form}"))).await;
        let status = answer.status().as_u16();
        assert!((400..500).contains(&status), "{path} {form}: {status}");
        wrong.extend(
            english(&answer.text().await.unwrap()).into_iter().map(|text| format!("{path} {form}: {text}")),
        );
    }
    for path in [
        &format!("/console/jobs/{none}"),
        &format!("/console/orders/{none}"),
        &format!("/console/riders/{none}"),
        "/console/nothing",
        "/console/trips?day=yesterday",
        "/console/trips?bus=x",
        "/console?range=year",
        "/console/bulk/new?act=x",
        "/console/jobs/x",
    ] {
        let answer = ops.send("GET", path, None).await;
        assert!(answer.status().is_client_error(), "{path}: {}", answer.status());
        wrong
            .extend(english(&answer.text().await.unwrap()).into_iter().map(|text| format!("{path}: {text}")));
    }
    assert!(wrong.is_empty(), "{} texts:\n{}", wrong.len(), wrong.join("\n"));
}
