//! How the seats of bus models stand. A model in the database never changes, so each process reads it
//! once and keeps it.

use super::network;
use crate::network::{BusModel, Cell, Deck};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgConnection;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Most models that are kept. If there are more, what was kept is dropped and read again.
const MAX_KEPT: usize = 256;

/// The layouts of this process. Clones share them.
#[derive(Clone, Default)]
pub struct Layouts(Arc<Mutex<HashMap<i64, Arc<ModelLayout>>>>);

/// A bus model as clients draw it.
#[derive(Debug)]
pub struct ModelLayout {
    /// Its seats, in the order of their numbers, which begin at 1.
    pub(super) seats: Vec<ModelSeat>,
    /// How they stand.
    pub(super) layout: Layout,
}

/// A seat of a model.
#[derive(Debug)]
pub(super) struct ModelSeat {
    pub(super) label: Arc<str>,
    pub(super) class: Arc<str>,
    pub(super) deck: i32,
    pub(super) row: i32,
    pub(super) column: i32,
    /// Where its row has one aisle.
    pub(super) side: Option<&'static str>,
}

/// How the seats stand in the bus.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Layout {
    /// Rows; of a bus with decks, those of the deck with the most.
    pub rows: i32,
    /// Seats left of the aisle, in the row with the most.
    pub left: i32,
    /// Seats right of the aisle, in the row with the most.
    pub right: i32,
    /// Each deck, the lowest first. Absent on a bus without a model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decks: Vec<DeckLayout>,
}

/// A deck, as a grid. A place in which no seat stands is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeckLayout {
    /// Rows, from the front.
    pub rows: i32,
    /// Places in a row.
    pub columns: i32,
    /// The columns that are aisles: no row has a seat there.
    pub aisles: Vec<i32>,
}

impl Layouts {
    /// The layouts of these models; of those that do not exist there is none. Safe to drop: it only
    /// reads.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn of(
        &self,
        conn: &mut PgConnection,
        models: impl Iterator<Item = i64>,
    ) -> Result<HashMap<i64, Arc<ModelLayout>>, sqlx::Error> {
        let (mut found, mut missing) = (HashMap::new(), Vec::new());
        {
            let kept = self.lock();
            for model in models {
                match kept.get(&model) {
                    Some(layout) => drop(found.insert(model, Arc::clone(layout))),
                    None => missing.push(model),
                }
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        missing.sort_unstable();
        missing.dedup();
        let read = network::models(conn, &missing).await?;
        let mut kept = self.lock();
        if kept.len() + read.len() > MAX_KEPT {
            kept.clear();
        }
        for (id, model) in read {
            let layout = Arc::new(ModelLayout::of(&model));
            found.insert(id, Arc::clone(&layout));
            kept.insert(id, layout);
        }
        Ok(found)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Arc<ModelLayout>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ModelLayout {
    fn of(model: &BusModel) -> Self {
        let seats = model.seats().into_iter().map(|seat| ModelSeat {
            label: seat.label.into(),
            class: seat.class.into(),
            deck: seat.deck.into(),
            row: seat.row.into(),
            column: seat.column.into(),
            side: row_of(model, seat.deck, seat.row).and_then(|row| side(row, seat.column.into())),
        });
        let most = |at: &'static str| {
            let mut counts: HashMap<(u8, u16), i32> = HashMap::new();
            for seat in model.seats() {
                let row = row_of(model, seat.deck, seat.row);
                if row.and_then(|row| side(row, seat.column.into())) == Some(at) {
                    *counts.entry((seat.deck, seat.row)).or_default() += 1;
                }
            }
            counts.into_values().max().unwrap_or_default()
        };
        let decks: Vec<DeckLayout> = model.decks.iter().map(DeckLayout::of).collect();
        let rows = decks.iter().map(|deck| deck.rows).max().unwrap_or_default();
        let layout = Layout { rows, left: most("left"), right: most("right"), decks };
        Self { seats: seats.collect(), layout }
    }
}

impl DeckLayout {
    fn of(deck: &Deck) -> Self {
        let columns = deck.first().map_or(0, Vec::len);
        let any =
            |column: usize, fits: fn(&Cell) -> bool| deck.iter().any(|row| row.get(column).is_some_and(fits));
        let is_aisle = |column: &usize| {
            any(*column, |cell| *cell == Cell::Aisle) && !any(*column, |cell| matches!(cell, Cell::Seat(_)))
        };
        let aisles = (0..columns).filter(is_aisle).map(|column| size(column + 1)).collect();
        Self { rows: size(deck.len()), columns: size(columns), aisles }
    }
}

fn row_of(model: &BusModel, deck: u8, row: u16) -> Option<&[Cell]> {
    let deck = model.decks.get(usize::from(deck).checked_sub(1)?)?;
    deck.get(usize::from(row).checked_sub(1)?).map(Vec::as_slice)
}

/// The side of the aisle on which the place in this column of a row is, if the row has one aisle.
fn side(row: &[Cell], column: usize) -> Option<&'static str> {
    let begins = |at: &usize| row[*at] == Cell::Aisle && (*at == 0 || row[*at - 1] != Cell::Aisle);
    let mut aisles = (0..row.len()).filter(begins);
    match (aisles.next(), aisles.next()) {
        (Some(aisle), None) => Some(if column <= aisle { "left" } else { "right" }),
        _ => None,
    }
}

fn size(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Names;
    use std::collections::{BTreeMap, BTreeSet};

    fn model(decks: &[&[&str]]) -> BusModel {
        let painted: Vec<Vec<String>> =
            decks.iter().map(|deck| deck.iter().map(|&row| row.to_owned()).collect()).collect();
        BusModel {
            names: Names::of("A bus"),
            decks: BusModel::decks_of(&painted),
            classes: BTreeMap::new(),
            not_for_sale: BTreeSet::new(),
        }
    }

    #[test]
    fn a_side_is_told_where_a_row_has_one_aisle() {
        let bus =
            ModelLayout::of(&model(&[&["1A 1B _ 1C .", "2A 2B 2C 2D .", "3A _ 3B _ 3C"], &["U1 _ _ U2 U3"]]));
        let sides: Vec<_> = bus.seats.iter().map(|seat| (&*seat.label, seat.side)).collect();
        let (left, right) = (Some("left"), Some("right"));
        assert_eq!(sides[..3], [("1A", left), ("1B", left), ("1C", right)]);
        assert!(sides[3..10].iter().all(|(_, side)| side.is_none()), "{sides:?}");
        assert_eq!(sides[10..], [("U1", left), ("U2", right), ("U3", right)]);
        let Layout { rows, left, right, decks } = &bus.layout;
        assert_eq!((*rows, *left, *right), (3, 2, 2));
        assert_eq!(decks[0], DeckLayout { rows: 3, columns: 5, aisles: vec![] });
        assert_eq!(decks[1], DeckLayout { rows: 1, columns: 5, aisles: vec![2, 3] });
    }
}
