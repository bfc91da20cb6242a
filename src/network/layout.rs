//! Bus models: decks of rows, painted as text, and the seats that they have.

use super::{
    bounds::{MAX_DECK_ROWS, MAX_DECKS, MAX_ROW_CELLS, SEATS_OF_MODEL},
    fault::shown,
    names::{Code, Names},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How an aisle is painted.
const AISLE: &str = "_";
/// How a place without a seat is painted.
const NO_SEAT: &str = ".";
/// The class of a seat that is in no other.
pub const STANDARD: &str = "standard";

/// A place in a row of a deck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A seat, by its label.
    Seat(String),
    /// An aisle.
    Aisle,
    /// Nothing: a door, a table.
    NoSeat,
}

/// A deck: rows from the front to the back, each of the same number of places.
pub type Deck = Vec<Vec<Cell>>;

/// A bus model with its seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusModel {
    /// Its name.
    pub names: Names,
    /// The decks, from the lowest.
    pub decks: Vec<Deck>,
    /// The classes with the labels of their seats; all other seats are [`STANDARD`].
    pub classes: BTreeMap<Code, BTreeSet<String>>,
    /// Labels of seats that are not sold.
    pub not_for_sale: BTreeSet<String>,
}

/// A seat of a bus model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat<'a> {
    /// From 1, in reading order: by deck, row and place.
    pub number: u16,
    /// As the operator paints it.
    pub label: &'a str,
    /// Its class.
    pub class: &'a str,
    /// Whether it is sold.
    pub is_for_sale: bool,
    /// From 1, the lowest first.
    pub deck: u8,
    /// From 1, the front first.
    pub row: u16,
    /// From 1, as painted.
    pub column: u16,
}

impl BusModel {
    /// Its decks as they are painted in files, each row as a text.
    pub fn painted(&self) -> Vec<Vec<String>> {
        self.decks.iter().map(|deck| deck.iter().map(|row| painted(row)).collect()).collect()
    }

    /// Decks that are painted so.
    pub fn decks_of(painted: &[Vec<String>]) -> Vec<Deck> {
        painted.iter().map(|deck| deck.iter().map(|text| row(text)).collect()).collect()
    }

    /// Its seats, in reading order.
    pub fn seats(&self) -> Vec<Seat<'_>> {
        let mut class_of: HashMap<&str, &str> = HashMap::new();
        for (class, labels) in &self.classes {
            class_of.extend(labels.iter().map(|label| (label.as_str(), class.as_str())));
        }
        let mut seats = Vec::new();
        for (deck, rows) in (1..).zip(&self.decks) {
            for (row, cells) in (1..).zip(rows) {
                for (column, cell) in (1..).zip(cells) {
                    let Cell::Seat(label) = cell else { continue };
                    seats.push(Seat {
                        number: u16::try_from(seats.len() + 1).unwrap_or(u16::MAX),
                        label,
                        class: class_of.get(label.as_str()).copied().unwrap_or(STANDARD),
                        is_for_sale: !self.not_for_sale.contains(label),
                        deck,
                        row,
                        column,
                    });
                }
            }
        }
        seats
    }

    /// The classes of its seats that are sold.
    pub fn sold_classes(&self) -> BTreeSet<&str> {
        self.seats().into_iter().filter(|seat| seat.is_for_sale).map(|seat| seat.class).collect()
    }

    /// Why it is no bus model: each broken rule with the key that breaks it.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if !(1..=MAX_DECKS).contains(&self.decks.len()) {
            faults.push(("deck", format!("1 to {MAX_DECKS} decks")));
        }
        for deck in &self.decks {
            let width = deck.first().map_or(0, Vec::len);
            if !(1..=MAX_DECK_ROWS).contains(&deck.len()) || !(1..=MAX_ROW_CELLS).contains(&width) {
                let rule = format!("1 to {MAX_DECK_ROWS} rows of 1 to {MAX_ROW_CELLS} places");
                faults.push(("deck.rows", rule));
            }
            if let Some(at) = deck.iter().position(|row| row.len() != width) {
                let rule =
                    format!("every row has as many places as the first: {width}, row {} has not", at + 1);
                faults.push(("deck.rows", rule));
            }
        }
        let seats = self.seats();
        if !SEATS_OF_MODEL.contains(&seats.len()) {
            let (from, to) = (SEATS_OF_MODEL.start(), SEATS_OF_MODEL.end());
            faults.push(("deck.rows", format!("{from} to {to} seats, this has {}", seats.len())));
        }
        let mut labels = BTreeSet::new();
        for seat in &seats {
            if let Some(rule) = fault_of_label(seat.label) {
                faults.push(("deck.rows", rule));
            } else if !labels.insert(seat.label) {
                faults.push(("deck.rows", format!("a label stands once: {} does not", shown(seat.label))));
            }
        }
        faults.extend(self.faults_of_classes(&labels));
        faults
    }

    fn faults_of_classes(&self, seats: &BTreeSet<&str>) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut classed = BTreeSet::new();
        for (class, labels) in &self.classes {
            for label in labels {
                if !seats.contains(label.as_str()) {
                    faults.push(("classes", format!("{class} has {}, which is no seat", shown(label))));
                } else if !classed.insert(label) {
                    faults.push(("classes", format!("a seat has one class: {} has more", shown(label))));
                }
            }
        }
        for label in self.not_for_sale.iter().filter(|label| !seats.contains(label.as_str())) {
            faults.push(("not_for_sale", format!("a seat's label: {} is none", shown(label))));
        }
        if self.not_for_sale.len() >= seats.len() && !seats.is_empty() {
            faults.push(("not_for_sale", "at least one seat is sold".to_owned()));
        }
        faults
    }
}

fn fault_of_label(label: &str) -> Option<String> {
    let fault = crate::domain::fault_of_label(label)?;
    Some(format!("a label has {fault}: {}", shown(label)))
}

/// A row as it is painted: places with blanks between them.
pub(super) fn row(text: &str) -> Vec<Cell> {
    let cell = |word: &str| match word {
        AISLE => Cell::Aisle,
        NO_SEAT => Cell::NoSeat,
        label => Cell::Seat(label.to_owned()),
    };
    // One place more than there may be is enough to refuse the row.
    text.split_whitespace().take(MAX_ROW_CELLS + 1).map(cell).collect()
}

/// A row as text.
pub(super) fn painted(row: &[Cell]) -> String {
    let words = row.iter().map(|cell| match cell {
        Cell::Seat(label) => label,
        Cell::Aisle => AISLE,
        Cell::NoSeat => NO_SEAT,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(decks: &[&[&str]], business: &[&str], not_for_sale: &[&str]) -> BusModel {
        let labels = |labels: &[&str]| labels.iter().map(|&label| label.to_owned()).collect();
        BusModel {
            names: Names::of("A bus"),
            decks: decks.iter().map(|rows| rows.iter().map(|text| row(text)).collect()).collect(),
            classes: BTreeMap::from([("business".parse().expect("a code"), labels(business))]),
            not_for_sale: labels(not_for_sale),
        }
    }

    #[test]
    fn seats_are_numbered_in_reading_order_over_decks() {
        let bus = model(&[&["1A 1B _ 1C", ". . _ 2C"], &["U1 _ _ U2"]], &["U1"], &["2C"]);
        assert_eq!(bus.faults(), []);
        let seats = bus.seats();
        let labels: Vec<&str> = seats.iter().map(|seat| seat.label).collect();
        assert_eq!(labels, ["1A", "1B", "1C", "2C", "U1", "U2"]);
        assert_eq!((seats[3].number, seats[3].row, seats[3].column, seats[3].is_for_sale), (4, 2, 4, false));
        assert_eq!((seats[4].class, seats[4].deck, seats[5].class), ("business", 2, STANDARD));
        assert_eq!(painted(&bus.decks[0][1]), ". . _ 2C");
    }

    #[test]
    fn what_is_no_bus_is_refused_by_its_key() {
        let key = |bus: BusModel| bus.faults().first().map(|(key, _)| *key);
        let many: Vec<String> = (0..101).map(|n| format!("a{n} b{n} c{n} d{n}")).collect();
        let rows: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(key(model(&[], &[], &[])), Some("deck"));
        assert_eq!(key(model(&[&["_ _"]], &[], &[])), Some("deck.rows"));
        assert_eq!(key(model(&[&["1 2", "3"]], &[], &[])), Some("deck.rows"));
        assert_eq!(key(model(&[&["1 1"]], &[], &[])), Some("deck.rows"));
        assert_eq!(key(model(&[&rows], &[], &[])), Some("deck.rows"));
        assert_eq!(key(model(&[&["123456789"]], &[], &[])), Some("deck.rows"));
        assert_eq!(key(model(&[&["1,2"]], &[], &[])), Some("deck.rows"));
        assert_eq!(key(model(&[&["1 2"]], &["3"], &[])), Some("classes"));
        assert_eq!(key(model(&[&["1 2"]], &[], &["3"])), Some("not_for_sale"));
        assert_eq!(key(model(&[&["1 2"]], &[], &["1", "2"])), Some("not_for_sale"));
    }
}
