//! Bus models, drivers and buses.

use super::super::{
    bounds::{MAX_BUS, MAX_BUSES, MAX_DRIVERS, MAX_MODELS, MAX_NAME, MAX_PHONE, MAX_PLATE},
    fault::{Fault, Faults, shown},
    format::{BUSES, DRIVERS, MODELS},
    layout::{self, BusModel},
    model::{Bus, Driver},
    names::{Code, Language, Names},
    rows::{self, line_of},
    source::Source,
};
use super::{Draft, at_most, toml_file};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Models {
    #[serde(default)]
    model: Vec<ModelText>,
}

/// A bus model as TOML has it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ModelText {
    code: String,
    name: String,
    #[serde(default)]
    names: BTreeMap<String, String>,
    #[serde(default)]
    deck: Vec<DeckText>,
    #[serde(default)]
    classes: BTreeMap<String, BTreeSet<String>>,
    #[serde(default)]
    not_for_sale: BTreeSet<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeckText {
    rows: Vec<String>,
}

pub(super) fn models(source: &mut Source, draft: &mut Draft, faults: &mut Faults) {
    let models: Models = match toml_file(source, MODELS) {
        Ok(models) => models,
        Err(fault) => return faults.push(fault),
    };
    if !(1..=MAX_MODELS).contains(&models.model.len()) {
        let rule = format!("1 to {MAX_MODELS} models, this has {}", models.model.len());
        return faults.push(Fault::of_file(MODELS, rule));
    }
    for text in &models.model {
        let code = text.code.parse::<Code>();
        if let Ok(code) = &code {
            draft.seen.models.lines.insert(code.clone(), 0);
        }
        let Some((code, model)) = model(MODELS, text, &draft.network.languages, faults) else { continue };
        if draft.network.models.insert(code.clone(), model).is_some() {
            faults.push(Fault::of_file(MODELS, format!("the model {code} stands twice")));
        }
    }
}

/// Reads a bus model that stands in `file`.
pub(in super::super) fn model(
    file: &str,
    text: &ModelText,
    languages: &[Language],
    faults: &mut Faults,
) -> Option<(Code, BusModel)> {
    let before = faults.count();
    let place = format!("model {}", shown(&text.code));
    let mut fault = |key: &str, rule: String| {
        faults.push(Fault::of_file(file, rule).column(format!("{place}, {key}")));
    };
    let code = text.code.parse::<Code>().map_err(|rule| fault("code", rule)).ok();
    let mut names = Names::of(text.name.clone());
    if let Err(rule) = line_of(&text.name, MAX_NAME) {
        fault("name", rule);
    }
    for (tag, name) in &text.names {
        let language = languages.iter().skip(1).find(|language| language.as_str() == tag);
        match (language, line_of(name, MAX_NAME)) {
            (Some(language), Ok(name)) => drop(names.others.insert(language.clone(), name)),
            (None, _) => fault("names", format!("{} is no other language of the network", shown(tag))),
            (_, Err(rule)) => fault("names", rule),
        }
    }
    let rows = |deck: &DeckText| deck.rows.iter().map(|text| layout::row(text)).collect();
    let mut classes = BTreeMap::new();
    for (class, labels) in &text.classes {
        match class.parse::<Code>() {
            Ok(class) => drop(classes.insert(class, labels.clone())),
            Err(rule) => fault("classes", rule),
        }
    }
    let decks = text.deck.iter().map(rows).collect();
    let model = BusModel { names, decks, classes, not_for_sale: text.not_for_sale.clone() };
    model.faults().into_iter().for_each(|(key, rule)| fault(key, rule));
    Some((code?, model)).filter(|_| faults.count() == before)
}

pub(super) fn drivers(source: &mut Source, draft: &mut Draft, faults: &mut Faults) {
    rows::each(source, &DRIVERS, &[], faults, |row, faults| {
        let Some(code) = row.required::<Code>("code", faults) else { return };
        let is_new = draft.seen.drivers.enter(code.clone(), row, "code", faults);
        let name = row.with("name", faults, |text| line_of(text, MAX_NAME));
        let phone = row.optional_with("phone", faults, |text| line_of(text, MAX_PHONE));
        if let (true, Some(name), Some(phone)) = (is_new, name, phone) {
            draft.network.drivers.insert(code, Driver { name, phone });
        }
    });
    super::bound(&DRIVERS, draft.network.drivers.len(), MAX_DRIVERS, faults);
}

/// The number of a bus.
pub(in super::super) fn bus_number(text: &str) -> Result<u32, String> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    let number = text.parse().ok().filter(|number| plain && (1..=MAX_BUS).contains(number));
    number.ok_or_else(|| at_most(1, MAX_BUS))
}

pub(super) fn buses(source: &mut Source, draft: &mut Draft, faults: &mut Faults) {
    rows::each(source, &BUSES, &[], faults, |row, faults| {
        let Some(number) = row.with("number", faults, bus_number) else { return };
        let is_new = draft.seen.buses.enter(number, row, "number", faults);
        let plate = row.optional_with("plate", faults, |text| line_of(text, MAX_PLATE));
        let model = row.required::<Code>("model", faults);
        let model =
            model.filter(|model| draft.seen.models.need(model.as_str(), row, ("model", MODELS), faults));
        let Some(driver) = row.optional::<Code>("driver", faults) else { return };
        let is_driven = driver.as_ref().is_none_or(|driver| {
            draft.seen.drivers.need(driver.as_str(), row, ("driver", DRIVERS.file), faults)
        });
        if let (true, true, Some(plate), Some(model)) = (is_new, is_driven, plate, model) {
            draft.network.buses.insert(number, Bus { plate, model, driver });
        }
    });
    super::bound(&BUSES, draft.network.buses.len(), MAX_BUSES, faults);
}
