//! The bus as it is: a table of its rows, with a check box in each seat that is free.

use crate::web::{
    session::Visitor,
    views::{Seat, TripMap},
    words::money,
};
use maud::{Markup, html};

/// Most places in a row that are drawn; the network's files have no more.
const MAX_COLUMNS: u32 = 20;

/// A row of a deck: its number, and what stands in each place.
struct Row<'a> {
    number: u32,
    places: Vec<Option<&'a Seat>>,
}

/// The decks, each with its rows.
fn decks(map: &TripMap) -> Vec<Vec<Row<'_>>> {
    if map.layout.decks.is_empty() {
        return vec![plain(map)];
    }
    let decks = map.layout.decks.iter().zip(1_u32..);
    let rows = |nr: u32, rows: u32, columns: u32| {
        (1..=rows).map(move |number| {
            let at = |column: u32| {
                let here = |seat: &&Seat| {
                    seat.deck.unwrap_or(1) == nr && seat.row == number && seat.column == Some(column)
                };
                map.seats.iter().find(here)
            };
            Row { number, places: (1..=columns.min(MAX_COLUMNS)).map(at).collect() }
        })
    };
    decks.map(|(deck, nr)| rows(nr, deck.rows, deck.columns).collect()).collect()
}

/// A bus without a model: seats left and right of one aisle.
fn plain(map: &TripMap) -> Vec<Row<'_>> {
    let rows = (1..=map.layout.rows).map(|number| {
        let of = |side: &str, most: u32, to_the_left: bool| {
            let here = |seat: &&Seat| seat.row == number && seat.side.as_deref() == Some(side);
            let mut places: Vec<Option<&Seat>> = map.seats.iter().filter(here).map(Some).collect();
            let missing = (most.min(MAX_COLUMNS) as usize).saturating_sub(places.len());
            let empty = std::iter::repeat_n(None, missing);
            if to_the_left {
                places.splice(0..0, empty).for_each(drop);
            } else {
                places.extend(empty);
            }
            places
        };
        let mut places = of("left", map.layout.left, true);
        places.push(None);
        places.extend(of("right", map.layout.right, false));
        Row { number, places }
    });
    rows.collect()
}

/// The seats to choose from; `chosen` are checked.
pub(super) fn chooser(visitor: &Visitor, map: &TripMap, chosen: &[String]) -> Markup {
    let decks = decks(map);
    let has_classes = map.trip.prices.len() > 1;
    html! {
        fieldset.bus data-live-seats=(format!("/v1/trips/{}/seats/events", map.trip.id))
            data-lost=(visitor.t("Seat {seat} was just taken by somebody else.", "座位 {seat} 刚被他人占用。"))
            data-free=(visitor.t("free", "空")) data-taken=(visitor.t("taken", "已占")) {
            legend { (visitor.t("Choose your seats", "请选择座位")) }
            @for (deck, nr) in decks.iter().zip(1..) {
                table.deck {
                    caption {
                        @if decks.len() > 1 { (visitor.t(&format!("Deck {nr}, "), &format!("第 {nr} 层，"))) }
                        (visitor.t("front of the bus", "车头"))
                    }
                    tbody { @for row in deck { tr {
                        th scope="row" { span.hidden { (visitor.t("Row", "排")) " " } (row.number) }
                        @for place in &row.places {
                            @match place {
                                Some(seat) => { td { (cell(visitor, map, seat, chosen, has_classes)) } }
                                None => { td.aisle {} }
                            }
                        }
                    } } }
                }
            }
            @if has_classes { ul.prices { @for class in &map.trip.prices {
                li { (class.class) ": " (money(&class.price, &map.trip.currency)) }
            } } }
        }
    }
}

fn cell(visitor: &Visitor, map: &TripMap, seat: &Seat, chosen: &[String], has_classes: bool) -> Markup {
    let is_free = seat.state == "free";
    let words = match seat.state.as_str() {
        "free" => visitor.t("free", "空"),
        "mine" => visitor.t("yours", "您的"),
        _ => visitor.t("taken", "已占"),
    };
    let price = seat.price.as_ref().unwrap_or(&map.trip.price);
    html! {
        label.seat.mine[seat.state == "mine"] {
            input type="checkbox" name="seats" value=(seat.seat) disabled[!is_free] data-price=(price)
                checked[is_free && chosen.contains(&seat.seat)];
            span.label { (seat.seat) }
            span.hidden.state { ", " (words) @if has_classes { @if let Some(class) = &seat.class { ", " (class) } } }
        }
    }
}
