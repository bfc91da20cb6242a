//! `network.toml`, and how files in TOML are read.

use super::super::{
    bounds::{MAX_LANGUAGES, MAX_NAME, MAX_RULE_SECS, MAX_TOML_BYTES},
    fault::{Fault, Faults, shown},
    format::NETWORK,
    model::{Network, Rules},
    names::Language,
    rows::{line_of, url},
    source::Source,
};
use serde::{Deserialize, de::DeserializeOwned};
use std::io::Read as _;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: String,
    zone: String,
    currency: String,
    languages: Vec<String>,
    url: Option<String>,
    ticket_url: Option<String>,
    #[serde(default)]
    defaults: RulesText,
}

/// Rules as TOML has them.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct RulesText {
    hold_secs: Option<u32>,
    cut_off_secs: Option<u32>,
    refund_secs: Option<u32>,
    refund_percent: Option<u32>,
}

impl RulesText {
    /// The rules, by `fault`, which makes a fault of a key and its rule.
    pub(in super::super) fn rules(
        &self,
        fault: &dyn Fn(&str, String) -> Fault,
        faults: &mut Faults,
    ) -> Rules {
        let mut bounded = |key: &str, value: Option<u32>, least: u32, most: u32| {
            let fits = value.is_none_or(|value| (least..=most).contains(&value));
            if !fits {
                faults.push(fault(key, at_most(least, most)));
            }
            value.filter(|_| fits)
        };
        Rules {
            hold_secs: bounded("hold_secs", self.hold_secs, 1, MAX_RULE_SECS),
            cut_off_secs: bounded("cut_off_secs", self.cut_off_secs, 0, MAX_RULE_SECS),
            refund_secs: bounded("refund_secs", self.refund_secs, 0, MAX_RULE_SECS),
            refund_percent: bounded("refund_percent", self.refund_percent, 0, 100)
                .and_then(|percent| u8::try_from(percent).ok()),
        }
    }
}

/// The rule of a whole number between two.
pub(in super::super) fn at_most(least: u32, most: u32) -> String {
    format!("a whole number from {least} to {most}")
}

/// Reads `network.toml` into a network without stops, buses and routes.
pub(super) fn network(source: &mut Source, faults: &mut Faults) -> Option<Network> {
    let head: Head = toml_file(source, NETWORK).map_err(|fault| faults.push(fault)).ok()?;
    let fault = |key: &str, rule: String| Fault::of_file(NETWORK, rule).column(key);
    let mut read = |key: &str, rule: Result<(), String>| {
        if let Err(rule) = rule {
            faults.push(fault(key, rule));
        }
    };
    let name = line_of(&head.name, MAX_NAME);
    read("name", name.clone().map(drop));
    let zone = super::zone(&head.zone);
    read("zone", zone.clone().map(drop));
    let currency = head.currency.parse();
    read("currency", currency.clone().map(drop));
    for (key, text) in [("url", &head.url), ("ticket_url", &head.ticket_url)] {
        read(key, text.as_deref().map_or(Ok(()), |text| url(text).map(drop)));
    }
    let languages = languages(&head.languages).unwrap_or_else(|rule| {
        read("languages", Err(rule));
        Vec::new()
    });
    let defaults = head.defaults.rules(&|key, rule| fault(&format!("defaults.{key}"), rule), faults);
    Some(Network {
        url: head.url,
        ticket_url: head.ticket_url,
        defaults,
        ..Network::empty(name.ok()?, zone.ok()?, currency.ok()?, languages)
    })
}

/// The languages of a network, the first for all names.
pub(in super::super) fn languages(texts: &[String]) -> Result<Vec<Language>, String> {
    if !(1..=MAX_LANGUAGES).contains(&texts.len()) {
        return Err(format!("1 to {MAX_LANGUAGES} languages, the first for all names"));
    }
    let mut languages: Vec<Language> = Vec::new();
    for text in texts {
        let language: Language = text.parse().map_err(|rule| format!("{rule}; it is {}", shown(text)))?;
        if languages.contains(&language) {
            return Err(format!("{language} stands twice"));
        }
        languages.push(language);
    }
    Ok(languages)
}

/// Reads a file in TOML.
///
/// # Errors
/// It is missing, too large, no text, or not what `T` is; with the line.
pub(in super::super) fn toml_file<T: DeserializeOwned>(source: &mut Source, file: &str) -> Result<T, Fault> {
    let read = source.read(file, |input| {
        let mut text = String::new();
        let read = input.take(MAX_TOML_BYTES + 1).read_to_string(&mut text);
        read.map_err(|error| Fault::of_file(file, error.to_string()))?;
        toml_text(file, &text)
    });
    read.unwrap_or_else(|| Err(Fault::of_file(file, "this file is missing")))?
}

/// Reads a text in TOML.
///
/// # Errors
/// It is too long, or not what `T` is; with the line.
pub(in super::super) fn toml_text<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Fault> {
    if text.len() as u64 > MAX_TOML_BYTES {
        return Err(Fault::of_file(file, format!("at most {MAX_TOML_BYTES} bytes")));
    }
    toml::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
        let rule = error.message().replace('\n', " ");
        let start = error.span().and_then(|span| text.get(..span.start));
        match start {
            Some(before) => Fault::of_line(file, before.matches('\n').count() as u64 + 1, rule),
            None => Fault::of_file(file, rule),
        }
    })
}
