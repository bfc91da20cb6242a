//! The rider's orders: what is to be paid, what is coming, and what is over.

use crate::web::{
    Web,
    frame::{Nav, page, refused},
    session::{Visitor, parameter},
    views::{Order, Page},
    words::{money, order_state, trip_title},
};
use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use maud::{Markup, html};

/// The lists, with their words.
const LISTS: [(&str, &str, &str); 5] = [
    ("unpaid", "To be paid", "待支付"),
    ("upcoming", "Coming", "即将出行"),
    ("to_evaluate", "How was it?", "待评价"),
    ("evaluated", "Past", "已出行"),
    ("closed", "Over or given back", "已结束或已退款"),
];

pub(in crate::web) async fn list(
    State(web): State<Web>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if let Some(elsewhere) = visitor.must_sign_in() {
        return elsewhere;
    }
    let (asked, after) = (parameter(query.as_deref(), "list"), parameter(query.as_deref(), "after"));
    let one = LISTS.iter().find(|(list, ..)| asked.as_deref() == Some(*list));
    let mut parts = Vec::new();
    for (list, en, zh) in one.map_or(&LISTS[..], std::slice::from_ref) {
        let mut wanted = vec![("list", *list)];
        wanted.extend(after.as_deref().map(|after| ("after", after)));
        let wanted = serde_urlencoded::to_string(wanted).unwrap_or_default();
        match visitor.api.read::<Page<Order>>(&format!("/v1/orders?{wanted}")).await {
            Ok(orders) => parts.push((*list, visitor.lang.t(en, zh), orders)),
            Err(problem) => return refused(&web, &visitor, &headers, &problem),
        }
    }
    let none = parts.iter().all(|(_, _, orders)| orders.items.is_empty());
    let body = html! {
        @if none { p.empty { (visitor.t("No ticket yet.", "还没有车票。")) " " a href="/ride" { (visitor.t("Find a bus", "查找班车")) } } }
        @for (list, words, orders) in &parts { @if !orders.items.is_empty() {
            h2 { (words) }
            ol.trips { @for order in &orders.items { li { (row(&visitor, order)) } } }
            @if let Some(next) = &orders.next {
                p.more { a.button href=(format!("/ride/orders?list={list}&after={next}")) { (visitor.t("More", "更多")) } }
            }
        } }
    };
    page(&visitor, Nav::Orders, visitor.t("My tickets", "我的车票"), body)
}

fn row(visitor: &Visitor, order: &Order) -> Markup {
    html! { a.trip href=(format!("/ride/orders/{}", order.id)) {
        span.way { strong { (trip_title(visitor, &order.journey)) } }
        span { (visitor.t("seats", "座位")) " " (order.seats.join(", ")) }
        span.price { (money(&order.amount, &order.currency)) }
        span.free { (order_state(visitor, order)) }
    } }
}
