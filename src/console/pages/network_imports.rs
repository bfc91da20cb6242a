//! Imports on the network's pages: how far the newest are, and the orders that one would end.

use crate::console::{
    components::{amount, link_order, link_trip, live, money_head, when},
    numbers::grouped,
    session::PageContext,
};
use crate::{
    ops::networks::touched::TouchedTrip,
    trips::network::{self, Progress},
};
use maud::{Markup, html};
use sqlx::PgPool;

/// How many of the newest imports are listed.
const MAX_IMPORTS: u16 = 5;
/// Most orders without a place that a page lists.
const MAX_ORDERS: usize = 200;

/// The newest imports, updated while the page is open; nothing if there are none.
///
/// # Errors
/// The database's.
pub(super) async fn imports(pool: &PgPool, context: &PageContext) -> Result<Markup, sqlx::Error> {
    let imports = network::imports(pool, None, MAX_IMPORTS).await?.items;
    if imports.is_empty() {
        return Ok(html! {});
    }
    let table = html! {
        h2 { (context.t("Imports", "导入记录")) }
        div.scroll { table {
            thead { tr {
                th scope="col" { (context.t("Applied", "应用时间")) }
                th scope="col" { (context.t("By", "操作员")) } th scope="col" { (context.t("Reason", "原因")) }
                th scope="col" { (context.t("State", "状态")) }
                th scope="col" { (context.t("Trips with riders", "有乘客的场次")) }
                th scope="col" { (context.t("Orders moved", "保留的订单")) }
                th scope="col" { (context.t("Refunded", "已退款")) } th scope="col" { (context.t("Closed", "已关闭")) }
            } }
            tbody { @for import in &imports { (row(context, import)) } }
        } }
    };
    Ok(live("imports", context, table))
}

fn row(context: &PageContext, import: &Progress) -> Markup {
    let state = if import.finished_at.is_some() {
        context.t("finished", "已完成")
    } else {
        context.t("running", "进行中")
    };
    html! {
        tr {
            td { (when(context, import.started_at)) } td { (import.operator) } td { (import.reason) @if let Some(trip) = import.trip_id { " · " (link_trip(trip)) } } td { (state) }
            td { (grouped(import.done)) " " (context.t("of", "/")) " " (grouped(import.trips)) " " (context.t("trips", "个场次")) }
            @for many in [import.moved, import.refunded, import.closed] { td.number { (grouped(many)) } }
        }
    }
}

/// The cells for a trip's departure and service day.
pub(super) fn departure(trip: &TouchedTrip) -> Markup {
    html! {
        td { (trip.departure.as_deref().unwrap_or_default()) }
        td { @if let Some(day) = trip.day { (day) } }
    }
}

/// The orders with a seat that their trip has no more, before anything else of a preview's trips.
pub(super) fn without_place(context: &PageContext, trips: &[TouchedTrip]) -> Markup {
    let mut orders = trips.iter().flat_map(|trip| trip.without_place.iter().map(move |one| (trip, one)));
    let first: Vec<_> = orders.by_ref().take(MAX_ORDERS).collect();
    html! {
        @if !first.is_empty() {
            h2 { (context.t("Seats without a place", "没有对应座位的订单")) }
            div.scroll { table {
                thead { tr {
                    th scope="col" { (context.t("Seats", "座位")) } th scope="col" { (context.t("Order", "订单")) }
                    th scope="col" { (context.t("Rider", "乘客")) } th scope="col" { (context.t("Departure", "班次时刻")) }
                    th scope="col" { (context.t("Day", "日期")) } th scope="col" { (context.t("What follows", "影响")) }
                    (money_head(context.t("Refunded", "退款")))
                } }
                tbody { @for (trip, one) in &first { tr {
                    td { (one.seats.join(", ")) } td { (link_order(one.order_id)) }
                    td { (one.rider.as_deref().unwrap_or(context.t("a booking under way", "正在预订"))) }
                    (departure(trip))
                    td { @if one.is_paid { (context.t("refunded", "退款")) } @else { (context.t("closed", "关闭")) } }
                    td.number { (amount(one.money)) }
                } } }
            } }
            @if orders.next().is_some() {
                p.quiet { (context.t("Only the first orders are listed: ", "仅列出前若干订单：")) (MAX_ORDERS) }
            }
        }
    }
}
