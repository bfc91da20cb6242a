//! The seats of a trip and their prices, as pages show them: each deck from above, row by row from the
//! front, a legend of states and classes, and the list of riders.
//!
//! A deck is a table, so that a screen reader reads it row by row: "row 3, 3C, sold, Li Na". The mark of
//! a state is a sign beside the colour. On a narrow screen the seats shrink, and the names stand in the
//! list alone.

use super::seat_plan::{DeckPlan, decks};
use crate::console::{
    components::{link_order, money, state},
    session::PageContext,
};
use crate::trips::{
    Trip, TripDetail,
    manifest::{Line, Manifest},
    seat_map::Seat,
};
use maud::{Markup, html};
use std::collections::HashMap;

/// Riders in the list below a map; a link leads to the whole manifest.
const MAX_LISTED: usize = 200;
/// Columns of a deck, aisles among them, whose seats are wide enough on a phone to be links.
const MAX_LINKED_COLUMNS: usize = 10;
/// Columns from which a deck is drawn without gaps.
const WIDE: usize = 8;
/// The states of seats, with their marks.
const STATES: [&str; 4] = ["free", "held", "sold", "blocked"];

/// The price, or that of each class.
pub(super) fn prices(trip: &Trip) -> Markup {
    html! { @match trip.prices.as_slice() {
        [] | [_] => (money(trip.price)),
        classes => @for (nr, class) in classes.iter().enumerate() {
            @if nr > 0 { ", " }
            (class.class) " " (money(class.price))
        },
    } }
}

/// The seats as they stand in the bus, with the riders and orders that have them.
pub(super) fn map(context: &PageContext, detail: &TripDetail, manifest: Option<&Manifest>) -> Markup {
    let lines = manifest.map_or(&[][..], |manifest| &manifest.seats);
    let page = Map { context, classes: classes(detail), riders: by_seat(lines) };
    let decks = decks(detail);
    html! {
        (page.legend(detail))
        @for (nr, deck) in decks.iter().enumerate() { (page.deck(deck, nr + 1, decks.len())) }
        (page.riders_listed(detail, lines))
    }
}

/// Who has which seat. Of a cancelled trip a seat may have had several orders: the last line counts.
fn by_seat(lines: &[Line]) -> HashMap<&str, &Line> {
    lines.iter().map(|line| (line.seat.as_str(), line)).collect()
}

/// The classes of a bus in the order of its seats; none if it has but one.
fn classes(detail: &TripDetail) -> Vec<String> {
    let mut classes: Vec<String> = Vec::new();
    for class in detail.seats.iter().filter_map(|seat| seat.class.as_ref()) {
        let class = class.to_string();
        if !classes.contains(&class) {
            classes.push(class);
        }
    }
    if classes.len() > 1 { classes } else { Vec::new() }
}

/// The sign of a class, which the legend explains: ① to ⑳, beyond them a number.
fn class_mark(nr: usize) -> String {
    let circled = |nr: usize| char::from_u32('①' as u32 + u32::try_from(nr).ok()?);
    circled(nr).filter(|_| nr < 20).map_or_else(|| (nr + 1).to_string(), String::from)
}

fn state_mark(state: &str) -> &'static str {
    match state {
        "free" => "○",
        "sold" => "●",
        "blocked" => "✕",
        _ => "◔",
    }
}

fn state_words(context: &PageContext, state: &str) -> &'static str {
    match state {
        "free" => context.t("free", "空"),
        "sold" => context.t("sold", "售"),
        "blocked" => context.t("blocked", "停"),
        _ => context.t("held", "占"),
    }
}

struct Map<'a> {
    context: &'a PageContext,
    classes: Vec<String>,
    riders: HashMap<&'a str, &'a Line>,
}

impl Map<'_> {
    fn legend(&self, detail: &TripDetail) -> Markup {
        let count = |state: &str| detail.seats.iter().filter(|seat| seat.state == state).count();
        let price = |class: &str| detail.trip.prices.iter().find(|price| price.class == class);
        html! {
            ul.legend.seat_states aria-label=(self.context.t("States of seats", "座位状态")) { @for state in STATES {
                li { span class=(format!("sample {state}")) aria-hidden="true" { (state_mark(state)) } " "
                    (state_words(self.context, state)) " " (count(state)) }
            } }
            @if !self.classes.is_empty() {
                ul.legend.seat_states aria-label=(self.context.t("Classes", "座位等级")) { @for (nr, class) in self.classes.iter().enumerate() {
                    li { (class_mark(nr)) " " (class) " "
                        @match price(class) { Some(price) => (money(price.price)), None => (self.context.t("not for sale", "不出售")) } }
                } }
            }
        }
    }

    fn deck(&self, deck: &DeckPlan<'_>, nr: usize, of: usize) -> Markup {
        let is_wide = deck.columns > WIDE;
        html! { table.bus.wide[is_wide] {
            caption {
                @if of > 1 { (self.context.t(&format!("Deck {nr}"), &format!("第 {nr} 层"))) " · " }
                span aria-hidden="true" { "▲ " } (self.context.t("Front of the bus", "车头"))
            }
            colgroup {
                col.nr;
                @for column in 1..=deck.columns { col.aisle[deck.is_aisle(column)]; }
            }
            tbody { @for (row, cells) in deck.rows.iter().enumerate() { tr {
                th scope="row" { span.hidden { (self.context.t("Row", "排")) " " } (row + 1) }
                @for (column, cell) in (1..).zip(cells) {
                    @match cell {
                        Some(seat) => (self.seat(seat, deck.columns <= MAX_LINKED_COLUMNS)),
                        None => td.aisle[deck.is_aisle(column)] {},
                    }
                }
            } } }
        } }
    }

    fn seat(&self, seat: &Seat, may_link: bool) -> Markup {
        let label = seat.seat.to_string();
        let rider = self.riders.get(label.as_str());
        let class = seat.class.as_ref().map(ToString::to_string);
        let class = class.and_then(|class| self.classes.iter().position(|one| *one == class));
        let inner = html! {
            strong { (label) } " "
            span.mark aria-hidden="true" { (state_mark(seat.state)) @if let Some(nr) = class { (class_mark(nr)) } }
            span.hidden {
                ", " (state_words(self.context, seat.state))
                @if let Some(class) = class.and_then(|nr| self.classes.get(nr)) { ", " (class) }
                @if let Some(line) = rider { ", " (line.user_name) }
            }
            @if let Some(line) = rider { span.who_rides aria-hidden="true" { (line.user_name) } }
        };
        html! { td.seat.(seat.state) {
            @match rider.filter(|_| may_link) {
                Some(line) => a href=(format!("/console/orders/{}", line.order_id)) { (inner) },
                None => (inner),
            }
        } }
    }

    fn riders_listed(&self, detail: &TripDetail, lines: &[Line]) -> Markup {
        let context = self.context;
        let shown = &lines[..lines.len().min(MAX_LISTED)];
        html! { @if !lines.is_empty() { details.card id="riders" {
            summary { (context.t("Seats, riders and orders", "座位、乘客与订单")) " (" (lines.len()) ")" }
            div.scroll { table {
                thead { tr { th scope="col" { (context.t("Seat", "座位")) } th scope="col" { (context.t("Rider", "乘客")) }
                    th scope="col" { (context.t("Order", "订单")) } th scope="col" { (context.t("State", "状态")) } } }
                tbody { @for line in shown { tr {
                    td { (line.seat) } td { a href=(format!("/console/riders/{}", line.rider_id)) { (line.user_name) } }
                    td { (link_order(line.order_id)) } td { (state(context, &line.status)) }
                } } }
            } }
            @if lines.len() > MAX_LISTED {
                p { a href=(format!("/console/trips/{}/manifest", detail.trip.id)) { (context.t("All riders", "全部乘客")) } }
            }
        } } }
    }
}

#[cfg(test)]
mod tests {
    use super::class_mark;

    #[test]
    fn every_class_has_its_own_sign() {
        assert_eq!((class_mark(0), class_mark(19), class_mark(20)), ("①".into(), "⑳".into(), "21".into()));
    }
}
