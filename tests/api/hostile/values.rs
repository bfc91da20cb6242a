//! The hostile values: texts, JSON, percent-encoded parts and headers.

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use std::fmt::Write;

/// Texts that have broken something somewhere.
const KNOWN: &[&str] = &[
    "",
    " ",
    "\0",
    "a\0b",
    "\t",
    "\r",
    "\n",
    "\u{1b}[2J",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{ad}",
    "\u{300}",
    "\u{34f}",
    "\u{3164}",
    "\u{200b}",
    "\u{200d}",
    "\u{200f}",
    "\u{2028}",
    "\u{202e}nimda",
    "\u{2066}",
    "\u{2800}",
    "\u{3000}",
    "\u{feff}",
    "\u{fffd}",
    "\u{ffff}",
    "\u{10ffff}",
    "\u{e0041}",
    "👩‍🚀",
    "ﷺ",
    "Ω≈ç√",
    "田中さん",
    "İ",
    "ß",
    "ﬃ",
    "e\u{301}",
    "0",
    "-0",
    "-1",
    "1",
    "00",
    "+1",
    ".5",
    "5.",
    "1e3",
    "1e400",
    "0x10",
    "1_000",
    "NaN",
    "inf",
    "-Infinity",
    "999999999999",
    "9223372036854775808",
    "2147483648",
    "65536",
    "0.001",
    "٣",
    "４",
    "null",
    "true",
    "[]",
    "{}",
    "-4800-01-01",
    "0000-00-00",
    "2026-02-30",
    "9999-12-31",
    "10000-01-01",
    "+262142-01-01T00:00:00Z",
    "2030-01-01T00:00:00.000000001Z",
    "9999-12-31T23:59:60Z",
    "0001-01-01T00:00:00+23:59",
    "infinity",
    "{0190b5a0-0000-7000-8000-000000000000}",
    "urn:uuid:0190b5a0-0000-7000-8000-000000000000",
    "0190b5a0000070008000000000000000",
    "' or 1=1--",
    "\\",
    "%",
    "%00",
    "../../etc/passwd",
    "<script>",
    "=1+1",
    "pay_money_cancle",
    "a@b@c",
];

/// Numbers and other values of JSON, some of which are none.
const RAW: &[&str] = &[
    "null",
    "true",
    "-0",
    "-0.0",
    "0",
    "1",
    "1.0",
    "1e2",
    "1e400",
    "-1e400",
    "1E-400",
    "99999999999999999999999999",
    "-1",
    "2147483648",
    "9223372036854775808",
    "NaN",
    "Infinity",
    "01",
    "+1",
    "0x10",
    "{\"a\":1,\"a\":2}",
    "\"\\ud800\"",
    "\"a\\udc00\\ud800b\"",
    "\"\\u0000\"",
    "[]",
    "{}",
];

/// Moments and days of calendars that are not the database's, and of its edges.
const MOMENTS: &[&str] = &[
    "-4800-01-01",
    "-0001-12-31",
    "0000-01-01",
    "0001-01-01",
    "9999-12-31",
    "10000-01-01",
    "+262142-12-31",
    "294277-01-01",
    "2026-02-29",
    "2026-1-1",
    "2026-01-01T",
    "-4800-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "+10000-01-01T00:00:00Z",
    "+262142-01-01T00:00:00Z",
    "294277-01-01T00:00:00Z",
    "2030-01-01T08:00:00.000000001Z",
    "2030-01-01T08:00:00.0000009Z",
    "2030-01-01T08:00:60Z",
    "2030-01-01T24:00:00Z",
    "2030-01-01T08:00:00+99:99",
    "2030-01-01 08:00:00Z",
    "2030-01-01T08:00:00",
    "infinity",
    "-infinity",
    "now",
    "epoch",
    "1893484800",
];

/// Ranges of characters: one of each is taken about as often as of the others.
const SCRIPTS: &[(u32, u32)] = &[
    (0x00, 0x1f),
    (0x20, 0x7e),
    (0x7f, 0x9f),
    (0xa0, 0x24f),
    (0x300, 0x36f),
    (0x370, 0x52f),
    (0x590, 0x6ff),
    (0x900, 0xdff),
    (0x1100, 0x11ff),
    (0x2000, 0x206f),
    (0x3040, 0x30ff),
    (0x4e00, 0x9fff),
    (0xe000, 0xf8ff),
    (0xfe00, 0xfeff),
    (0x1f300, 0x1faff),
    (0xe0000, 0x10ffff),
];

const HEADERS: &[&str] = &[
    "authorization",
    "idempotency-key",
    "accept-language",
    "accept",
    "content-type",
    "last-event-id",
    "x-request-id",
    "x-forwarded-for",
    "cookie",
    "origin",
    "sec-fetch-site",
    "farebox-fault",
];

pub fn text(rng: &mut StdRng) -> String {
    let known = |rng: &mut StdRng| (*KNOWN.choose(rng).unwrap()).to_owned();
    match rng.random_range(0..10) {
        0..5 => known(rng),
        5 => format!("{}{}", known(rng), known(rng)),
        6 => known(rng).repeat(rng.random_range(1..300)),
        7 => rng.random::<i64>().to_string(),
        8 => format!(
            "{:04}-{:02}-{:02}T{:02}:00:00Z",
            rng.random_range(-9..12_000),
            rng.random_range(0..14),
            rng.random_range(0..33),
            rng.random_range(0..26)
        ),
        _ => {
            let length = rng.random_range(1..40);
            let one = |rng: &mut StdRng| {
                let (first, last) = *SCRIPTS.choose(rng).unwrap();
                char::from_u32(rng.random_range(first..=last))
            };
            (0..length).filter_map(|_| one(rng)).collect()
        }
    }
}

/// What the field of this name is most likely to stumble over.
pub fn text_for(rng: &mut StdRng, name: &str) -> String {
    let is_time = ["since", "before", "until", "departs_at", "arrives_at", "date", "day"].contains(&name);
    match rng.random_range(0..3) {
        0 => text(rng),
        _ if is_time => (*MOMENTS.choose(rng).unwrap()).to_owned(),
        _ if ["amount", "price"].contains(&name) => {
            let digits = rng.random_range(1..16);
            let whole: String = (0..digits).map(|_| char::from(rng.random_range(b'0'..=b'9'))).collect();
            let ends = ["", ".", ".5", ".00", ".001", "e3", "-", " "];
            format!("{}{whole}{}", ["", "", "", "-", "+"].choose(rng).unwrap(), ends.choose(rng).unwrap())
        }
        _ => text(rng),
    }
}

/// Text of JSON, or nearly.
pub fn raw(rng: &mut StdRng, name: &str) -> String {
    match rng.random_range(0..10) {
        0..6 => serde_json::to_string(&text_for(rng, name)).unwrap(),
        6..8 => (*RAW.choose(rng).unwrap()).to_owned(),
        8 => format!("[{}, {}]", serde_json::to_string(&text(rng)).unwrap(), RAW.choose(rng).unwrap()),
        _ => {
            let deep = rng.random_range(1..5_000);
            format!("{}{}", "[".repeat(deep), "]".repeat(deep))
        }
    }
}

/// Percent-encoded, now and then so that it is no UTF-8.
pub fn encoded(rng: &mut StdRng, text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").unwrap();
        }
    }
    match rng.random_range(0..20) {
        0 => encoded + "%FF",
        1 => encoded + "%C0%80",
        2 => encoded + "%ED%A0%80",
        3 => encoded + "%",
        _ => encoded,
    }
}

/// A header, or the same one twice. No line breaks: they would make others of it.
pub fn header(rng: &mut StdRng) -> String {
    let name = *HEADERS.choose(rng).unwrap();
    let value: String = text(rng).chars().filter(|c| !matches!(c, '\r' | '\n')).take(2_000).collect();
    let line = format!("{name}: {value}\r\n");
    if rng.random_range(0..5) == 0 { format!("{line}{line}") } else { line }
}
