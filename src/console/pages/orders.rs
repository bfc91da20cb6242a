//! Finding an order: by its id, its rider, or its seat.

use crate::console::{
    components::{
        amount, empty, link_order, link_rider, link_trip, money_head, older_page_link, state, when,
    },
    failure::PageResult,
    layout::{Nav, with_nav},
    session::PageContext,
};
use crate::{
    domain::{FieldError, Id, OrderId, TripId, fault_of_label},
    http::{App, extract::Params},
    orders::search::{Found, newest, of_seat},
    storage::Freshness,
};
use axum::{
    extract::State,
    response::{IntoResponse, Redirect},
};
use maud::{Markup, html};
use serde::Deserialize;
use sqlx::PgPool;

/// Orders on a page.
const PAGE: u16 = 50;

#[derive(Deserialize)]
pub(crate) struct Query {
    #[serde(default)]
    rider: String,
    #[serde(default)]
    trip: String,
    #[serde(default)]
    seat: String,
    #[serde(default)]
    after: String,
}

pub(crate) async fn list(
    State(app): State<App>,
    context: PageContext,
    Params(query): Params<Query>,
) -> PageResult {
    let id = |field: &'static str, text: &str| match text.trim() {
        "" => Ok(None),
        text => text.parse().map(|Id(id)| Some(id)).map_err(|_| FieldError::new(field, "an id")),
    };
    let (rider, trip, after) =
        (id("rider", &query.rider)?, id("trip", &query.trip)?, id("after", &query.after)?);
    if let (Some(trip), seat) = (trip, query.seat.trim()) {
        if let Some(fault) = fault_of_label(seat) {
            return Err(FieldError::new("seat", format!("the label of a seat: {fault}")).into());
        }
        if let Some(order) = of_seat(&app.saga.pool, TripId(trip), seat).await? {
            return Ok(Redirect::to(&format!("/console/orders/{order}")).into_response());
        }
        let nothing = empty(&context, "No order has this seat now.", "此座位目前没有订单。");
        return Ok(with_nav(&context, Nav::Orders, context.t("Orders", "订单"), nothing));
    }
    let newest = |pool: PgPool| async move { newest(&pool, rider, after.map(OrderId), PAGE).await };
    let found = app.reads.read(Freshness::Current, newest).await?;
    let body = html! {
        form.card action="/console/orders" { div.filters {
            @for (name, value, en, zh) in [("rider", &query.rider, "Rider id", "乘客编号"), ("trip", &query.trip, "Trip id", "班次编号"), ("seat", &query.seat, "Seat of that trip", "该班次座位")] {
                div { label for=(name) { (context.t(en, zh)) } input id=(name) name=(name) type="text" value=(value) autocomplete="off"; }
            } }
            button.primary type="submit" { (context.t("Find", "查找")) }
            p.quiet { (context.t("By its id: the search box.", "按编号：使用搜索框。")) }
        }
        (table(&context, &found.items))
        (older_page_link(&context, found.next))
    };
    Ok(with_nav(&context, Nav::Orders, context.t("Orders", "订单"), body))
}

/// A table of orders.
pub(crate) fn table(context: &PageContext, orders: &[Found]) -> Markup {
    html! {
        @if orders.is_empty() { (empty(context, "No order.", "没有订单。")) }
        @else { div.scroll { table {
            thead { tr { th scope="col" { (context.t("Order", "订单")) } th scope="col" { (context.t("State", "状态")) } th scope="col" { (context.t("Seats", "座位")) }
                (money_head(context.t("Amount", "金额"))) th scope="col" { (context.t("Rider", "乘客")) } th scope="col" { (context.t("Trip", "班次")) } th scope="col" { (context.t("Booked", "预订于")) } } }
            tbody { @for Found { order, rider_id } in orders { tr {
                td { (link_order(order.id)) } td { (state(context, order.status.as_str())) } td { (order.seats.join(", ")) }
                td.number { (amount(order.amount)) } td { (link_rider(rider_id)) } td { (link_trip(order.trip_id)) } td { (when(context, order.created_at)) }
            } } }
        } } }
    }
}
