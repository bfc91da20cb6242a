//! Names of a feed in the languages of the network: `translations.txt`, in its present form and in
//! the one of before 2020.

use super::super::{
    bounds::MAX_NAME,
    fault::{Fault, Faults, shown},
    names::{Language, Names},
    source::Source,
};
use super::tables::each;
use crate::domain::fault_of_name;
use std::collections::{BTreeMap, HashMap};

type ByLanguage = BTreeMap<Language, String>;

/// The translations into the network's languages.
pub(super) struct Translations {
    languages: Vec<Language>,
    /// The language of the feed's own texts.
    own: Option<Language>,
    by_record: HashMap<(String, String, String), ByLanguage>,
    by_value: HashMap<String, ByLanguage>,
}

impl Translations {
    /// Reads them.
    pub(super) fn read(source: &mut Source, languages: &[Language], faults: &mut Faults) -> Self {
        let mut own = None;
        for (file, column) in [("feed_info.txt", "feed_lang"), ("agency.txt", "agency_lang")] {
            each(source, file, &[], &mut Faults::default(), |line, _| {
                own = own.take().or_else(|| line.get(column).parse().ok());
            });
        }
        let (mut by_record, mut by_value) = (HashMap::new(), HashMap::new());
        each(source, "translations.txt", &["translation"], faults, |line, _| {
            // The old form has a text and its language; the new one names table, field and record.
            let tag = [line.get("language"), line.get("lang")].concat();
            let Some(language) = languages.iter().find(|language| language.as_str() == tag) else { return };
            let (id, value) =
                (line.get("record_id"), [line.get("field_value"), line.get("trans_id")].concat());
            let translations: &mut ByLanguage = if id.is_empty() {
                by_value.entry(value).or_default()
            } else {
                let key =
                    (line.get("table_name").to_owned(), line.get("field_name").to_owned(), id.to_owned());
                by_record.entry(key).or_default()
            };
            translations.insert(language.clone(), line.get("translation").to_owned());
        });
        Self { languages: languages.to_vec(), own, by_record, by_value }
    }

    /// The names of a record whose text is `text`. A text that is no name is a fault, and
    /// `otherwise` is taken.
    pub(super) fn names(
        &self,
        (table, field, id): (&str, &str, &str),
        text: &str,
        otherwise: &str,
        line: u64,
        faults: &mut Faults,
    ) -> Names {
        let name = match name_of(text) {
            Ok(name) => name,
            Err(rule) => {
                let rule = format!("{rule}; {} is taken instead", shown(otherwise));
                faults.push(Fault::of_line(format!("{table}.txt"), line, rule).column(field));
                otherwise.to_owned()
            }
        };
        let key = (table.to_owned(), field.to_owned(), id.to_owned());
        let found = [self.by_record.get(&key), self.by_value.get(text)];
        let mut others = ByLanguage::new();
        for (language, text) in found.into_iter().rev().flatten().flatten() {
            if let Ok(name) = name_of(text) {
                others.insert(language.clone(), name);
            }
        }
        let first = self.languages.first();
        let own = self.own.as_ref().filter(|own| Some(*own) != first && self.languages.contains(own));
        if let Some(own) = own {
            others.entry(own.clone()).or_insert_with(|| name.clone());
        }
        let default = first.and_then(|first| others.remove(first)).unwrap_or(name);
        Names { default, others }
    }
}

/// A text as a name: blanks and line breaks are one blank.
pub(super) fn name_of(text: &str) -> Result<String, String> {
    let name = text.split(is_blank).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let name = name.trim().to_owned();
    fault_of_name(&name, MAX_NAME).map_or(Ok(name), Err)
}

/// Whether a space of this kind is as good as another. That of Japanese and Chinese names, as wide as
/// their signs, is kept.
fn is_blank(sign: char) -> bool {
    sign.is_whitespace() && sign != '\u{3000}'
}
