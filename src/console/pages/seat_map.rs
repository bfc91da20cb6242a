//! The seats of a trip and their prices, as pages show them.

use crate::console::{
    components::{link_order, money},
    session::PageContext,
};
use crate::trips::{Trip, TripDetail, manifest::Manifest};
use maud::{Markup, html};

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

/// The seats, with the orders that have them.
pub(super) fn map(context: &PageContext, detail: &TripDetail, manifest: Option<&Manifest>) -> Markup {
    let owner = |label: &str| manifest.and_then(|all| all.seats.iter().find(|line| line.seat == label));
    html! { ol.seats { @for seat in &detail.seats { li class=(seat.state) {
        @let label = seat.seat.to_string();
        strong { (label) } " "
        (match seat.state {
            "free" => context.t("free", "空"),
            "held" => context.t("held", "占"),
            "sold" => context.t("sold", "售"),
            "blocked" => context.t("blocked", "停"),
            other => other,
        })
        @if let Some(class) = seat.class.as_ref().filter(|_| detail.trip.prices.len() > 1) { div.quiet { (class) } }
        @if let Some(line) = owner(&label) { div { (link_order(line.order_id)) } div.quiet { (line.user_name) } }
    } } } }
}
