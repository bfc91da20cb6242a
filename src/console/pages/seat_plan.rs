//! Where the seats of a trip stand, deck by deck, as its layout says.

use crate::trips::{TripDetail, layouts::DeckLayout, seat_map::Seat};

/// A deck from above: its rows from the front, each with as many places as there are columns.
pub(super) struct DeckPlan<'a> {
    /// Places in a row, aisles among them.
    pub(super) columns: usize,
    /// What stands at each place; nothing in an aisle, nor in a gap.
    pub(super) rows: Vec<Vec<Option<&'a Seat>>>,
    aisles: Vec<usize>,
}

impl DeckPlan<'_> {
    /// Whether this column, from 1, is an aisle.
    pub(super) fn is_aisle(&self, column: usize) -> bool {
        self.aisles.contains(&column)
    }
}

/// The decks, the lowest first. A bus without a model has one, with an aisle in its middle. A trip
/// without seats has no deck.
pub(super) fn decks(detail: &TripDetail) -> Vec<DeckPlan<'_>> {
    let layout = &detail.layout;
    let mut decks: Vec<DeckPlan<'_>> = if detail.seats.is_empty() {
        Vec::new()
    } else if layout.decks.is_empty() {
        let (left, right) = (size(layout.left), size(layout.right));
        vec![empty(size(layout.rows), left + 1 + right, vec![left + 1])]
    } else {
        let deck = |deck: &DeckLayout| {
            empty(size(deck.rows), size(deck.columns), deck.aisles.iter().map(|at| size(*at)).collect())
        };
        layout.decks.iter().map(deck).collect()
    };
    // Of a bus without a model: the seats before this one on its side of its row.
    let (mut place, mut before) = ((0, None), 0);
    for seat in &detail.seats {
        before = if place == (seat.row, seat.side) { before + 1 } else { 0 };
        place = (seat.row, seat.side);
        let first = if seat.side == Some("right") { size(layout.left) + 2 } else { 1 };
        let column = seat.column.map_or(first + before, size);
        let deck = decks.get_mut(size(seat.deck.unwrap_or(1)).saturating_sub(1));
        let row = deck.and_then(|deck| deck.rows.get_mut(size(seat.row).saturating_sub(1)));
        if let Some(at) = row.and_then(|row| row.get_mut(column.saturating_sub(1))) {
            *at = Some(seat);
        }
    }
    decks
}

fn empty<'a>(rows: usize, columns: usize, aisles: Vec<usize>) -> DeckPlan<'a> {
    DeckPlan { columns, rows: vec![vec![None; columns]; rows], aisles }
}

fn size(number: i32) -> usize {
    usize::try_from(number).unwrap_or_default()
}
