//! Writing a network as a folder. The same network always gives the same bytes.

use super::{
    format::{self, MODELS, NETWORK, Table},
    layout::{BusModel, painted},
    model::{Network, Place, Rules},
    names::{Language, Names},
};
use std::{fmt::Write as _, fs, io, path::Path};

/// A file's name and its bytes.
pub type File = (&'static str, Vec<u8>);

/// Writes the files of a network as a folder. They are written beside it and take its name at the
/// end, so that a folder of this name is never a part of one.
///
/// # Errors
/// The folder holds anything already; the system's.
pub fn to_folder(network: &Network, folder: &Path) -> io::Result<()> {
    if folder.exists() && fs::read_dir(folder)?.next().is_some() {
        return Err(io::Error::other(format!("{} is not empty, so nothing was written", folder.display())));
    }
    let Some(name) = folder.file_name() else {
        return Err(io::Error::other(format!("{} is no name of a folder", folder.display())));
    };
    let mut beside = name.to_owned();
    beside.push(".part");
    let part = folder.with_file_name(beside);
    fs::create_dir(&part)?;
    let write = |(name, bytes): File| fs::write(part.join(name), bytes);
    let written = files(network).into_iter().try_for_each(write).and_then(|()| fs::rename(&part, folder));
    if written.is_err() {
        // What is left of it would stop the next try.
        let _ = fs::remove_dir_all(&part);
    }
    written
}

/// All files of a network.
pub fn files(network: &Network) -> Vec<File> {
    let mut files = vec![(NETWORK, head(network).into_bytes()), (MODELS, models(network).into_bytes())];
    for table in &format::TABLES {
        let rows = match table.file {
            "stops.csv" => stops(network),
            "drivers.csv" => drivers(network),
            "buses.csv" => buses(network),
            "routes.csv" => routes(network),
            "directions.csv" => directions(network),
            "direction_stops.csv" => direction_stops(network),
            "calendars.csv" => calendars(network),
            "calendar_dates.csv" => calendar_dates(network),
            "departures.csv" => departures(network),
            _ => fares(network),
        };
        files.push((table.file, csv(table, &network.languages, &rows)));
    }
    files
}

/// The cells of a row: those of the required columns, the optional ones, and the translations.
type Cells = Vec<String>;

fn csv(table: &Table, languages: &[Language], rows: &[Cells]) -> Vec<u8> {
    let columns = table.required.iter().chain(table.optional).map(|&column| column.to_owned());
    let others = languages.iter().skip(1).filter(|_| table.has_names);
    let header: Cells = columns.chain(others.map(|language| format!("name.{language}"))).collect();
    table_of(&header, rows)
}

/// A table in CSV.
pub(super) fn table_of<C: AsRef<[u8]>>(header: &[C], rows: &[Vec<String>]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing into memory does not fail, and every row has the header's length.
    let _ = writer.write_record(header);
    for row in rows {
        let _ = writer.write_record(row);
    }
    writer.into_inner().unwrap_or_default()
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn translations<'a>(names: &'a Names, languages: &'a [Language]) -> impl Iterator<Item = String> + 'a {
    languages.iter().skip(1).map(|language| names.others.get(language).cloned().unwrap_or_default())
}

/// Millionths of a degree as degrees.
pub(super) fn degrees(micro: i32) -> String {
    let sign = if micro < 0 { "-" } else { "" };
    let micro = micro.unsigned_abs();
    format!("{sign}{}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

fn stops(network: &Network) -> Vec<Cells> {
    let row = |(code, stop): (&super::Code, &super::Stop)| {
        let at = |degree: fn(Place) -> i32| text(stop.place.map(|place| degrees(degree(place))));
        let mut row = vec![code.to_string(), stop.names.default.clone()];
        row.extend([at(|place| place.latitude), at(|place| place.longitude), text(stop.zone)]);
        row.extend(translations(&stop.names, &network.languages));
        row
    };
    network.stops.iter().map(row).collect()
}

fn drivers(network: &Network) -> Vec<Cells> {
    let drivers = network.drivers.iter();
    drivers.map(|(code, d)| vec![code.to_string(), d.name.clone(), text(d.phone.clone())]).collect()
}

fn buses(network: &Network) -> Vec<Cells> {
    let row = |(number, bus): (&u32, &super::Bus)| {
        vec![number.to_string(), bus.model.to_string(), text(bus.plate.clone()), text(bus.driver.clone())]
    };
    network.buses.iter().map(row).collect()
}

fn routes(network: &Network) -> Vec<Cells> {
    let row = |(code, route): (&super::Code, &super::Route)| {
        let Rules { hold_secs, cut_off_secs, refund_secs, refund_percent } = route.rules;
        let mut row = vec![code.to_string(), route.names.default.clone(), text(route.description.clone())];
        row.extend([text(hold_secs), text(cut_off_secs), text(refund_secs), text(refund_percent)]);
        row.extend(translations(&route.names, &network.languages));
        row
    };
    network.routes.iter().map(row).collect()
}

fn directions(network: &Network) -> Vec<Cells> {
    let mut rows = Vec::new();
    for (code, route) in &network.routes {
        for (number, direction) in &route.directions {
            let mut row = vec![code.to_string(), number.to_string(), direction.names.default.clone()];
            row.extend(translations(&direction.names, &network.languages));
            rows.push(row);
        }
    }
    rows
}

fn direction_stops(network: &Network) -> Vec<Cells> {
    let mut rows = Vec::new();
    for (code, route) in &network.routes {
        for (number, direction) in &route.directions {
            for (position, stop) in (1..).zip(&direction.stops) {
                let position: usize = position;
                rows.push(vec![code.to_string(), number.to_string(), position.to_string(), stop.to_string()]);
            }
        }
    }
    rows
}

fn calendars(network: &Network) -> Vec<Cells> {
    let row = |(code, calendar): (&super::Code, &super::Calendar)| {
        let (from, until) = calendar.period.unzip();
        vec![code.to_string(), calendar.days.to_string(), text(from), text(until)]
    };
    network.calendars.iter().map(row).collect()
}

fn calendar_dates(network: &Network) -> Vec<Cells> {
    let mut rows = Vec::new();
    for (code, calendar) in &network.calendars {
        for (date, runs) in &calendar.exceptions {
            rows.push(vec![code.to_string(), date.to_string(), if *runs { "yes" } else { "no" }.to_owned()]);
        }
    }
    rows
}

fn departures(network: &Network) -> Vec<Cells> {
    let minutes = |minutes: &[u16]| minutes.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
    let row = |(code, departure): (&super::Code, &super::Departure)| {
        vec![
            code.to_string(),
            departure.route.to_string(),
            departure.direction.to_string(),
            departure.bus.to_string(),
            departure.calendar.to_string(),
            departure.departs.to_string(),
            minutes(&departure.legs),
            minutes(&departure.dwells),
            text(departure.zone),
        ]
    };
    network.departures.iter().map(row).collect()
}

fn fares(network: &Network) -> Vec<Cells> {
    let row = |(key, fare): (&super::FareKey, &super::Fare)| {
        let mut row = vec![key.route.to_string(), key.class.to_string(), fare.amount.to_string()];
        row.extend([text(key.direction), text(key.from), text(fare.until)]);
        row
    };
    network.fares.iter().map(row).collect()
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// A key as TOML writes it.
fn key(text: &str) -> String {
    let is_bare = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if is_bare { text.to_owned() } else { quoted(text) }
}

fn list<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = texts.into_iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

fn head(network: &Network) -> String {
    let languages = list(network.languages.iter().map(Language::as_str));
    let mut head = format!("name = {}\n", quoted(&network.name));
    head += &format!("zone = {}\n", quoted(network.zone.name()));
    head += &format!("currency = {}\n", quoted(network.currency.code()));
    head += &format!("languages = {languages}\n");
    for (key, url) in [("url", &network.url), ("ticket_url", &network.ticket_url)] {
        head += &url.as_ref().map(|url| format!("{key} = {}\n", quoted(url))).unwrap_or_default();
    }
    let Rules { hold_secs, cut_off_secs, refund_secs, refund_percent } = network.defaults;
    let percent = refund_percent.map(u32::from);
    let keys = [
        ("hold_secs", hold_secs),
        ("cut_off_secs", cut_off_secs),
        ("refund_secs", refund_secs),
        ("refund_percent", percent),
    ];
    if network.defaults != Rules::default() {
        head += "\n[defaults]\n";
    }
    for (key, value) in keys.into_iter().filter_map(|(key, value)| Some((key, value?))) {
        head += &format!("{key} = {value}\n");
    }
    head
}

fn models(network: &Network) -> String {
    let models = network.models.iter().map(|(code, model)| model_text(code.as_str(), model));
    models.collect::<Vec<_>>().join("\n")
}

fn model_text(code: &str, model: &BusModel) -> String {
    let mut text = format!("[[model]]\ncode = {}\nname = {}\n", quoted(code), quoted(&model.names.default));
    if !model.not_for_sale.is_empty() {
        text += &format!("not_for_sale = {}\n", list(&model.not_for_sale));
    }
    for deck in &model.decks {
        text += "\n[[model.deck]]\nrows = [\n";
        for row in deck {
            text += &format!("    {},\n", quoted(&painted(row)));
        }
        text += "]\n";
    }
    if !model.classes.is_empty() {
        text += "\n[model.classes]\n";
        for (class, labels) in &model.classes {
            text += &format!("{} = {}\n", key(class.as_str()), list(labels));
        }
    }
    if !model.names.others.is_empty() {
        text += "\n[model.names]\n";
        for (language, name) in &model.names.others {
            text += &format!("{} = {}\n", key(language.as_str()), quoted(name));
        }
    }
    text
}
