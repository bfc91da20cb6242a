//! The list of orders, with its filters.

use super::trip_words::{RouteNames, departures_of};
use crate::console::{
    components::{amount, empty, link_order, link_rider, link_trip, money_head, next_page_link, state, when},
    failure::PageResult,
    filters::{Field, Given, Kind, answered, form},
    layout::{Nav, with_nav},
    session::PageContext,
};
use crate::{
    domain::{Localized, OrderId, OrderStatus, RiderId, TripId, fault_of_label, wall},
    http::App,
    ops::order_list::{self, OrderFilter, OrderPage, WALKED},
    orders::search::{Found, of_seat},
    storage::Freshness,
    trips::times,
};
use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use maud::{Markup, html};
use sqlx::PgPool;
use std::collections::HashMap;
use uuid::Uuid;

/// Orders on a page.
const PAGE: u16 = 50;
/// The states to filter by, with their Chinese words.
const STATES: [(OrderStatus, &str); 6] = [
    (OrderStatus::Unpaid, "未支付"),
    (OrderStatus::Paying, "支付中"),
    (OrderStatus::Paid, "已支付"),
    (OrderStatus::Refunding, "退款中"),
    (OrderStatus::Refunded, "已退款"),
    (OrderStatus::Closed, "已关闭"),
];

pub(crate) async fn list(State(app): State<App>, context: PageContext, mut given: Given) -> PageResult {
    let zone = app.itineraries.zone(&app.saga.pool, app.settings.trips.zone).await?;
    let (mut filter, departs) = read(&mut given, zone);
    if given.fault().is_some() {
        return Ok(refused(&context, &given, zone));
    }
    if let Some(day) = departs {
        let names = RouteNames::of(&app, &context, None).await?;
        filter.departs = Some(times::on_day(&app.saga.pool, &names.journeys(&app), day).await?);
    }
    let filter = &filter;
    if let Some((trip, seat)) = only_seat(filter)
        && let Some(order) = of_seat(&app.saga.pool, trip, seat).await?
    {
        return Ok(Redirect::to(&format!("/console/orders/{order}")).into_response());
    }
    let list = |pool: PgPool| async move { order_list::list(&pool, filter, PAGE).await };
    let found = match app.reads.read(Freshness::Current, list).await {
        Ok(found) => found,
        Err(error) => {
            given.refuse_stopped(error)?;
            return Ok(refused(&context, &given, zone));
        }
    };
    let trips: Vec<Uuid> = found.items.iter().map(|found| found.order.trip_id.0).collect();
    let departures = departures_of(&app, &context, &trips).await?;
    let body = html! {
        (filters(&context, &given, zone))
        @if found.items.is_empty() && found.next.is_none() { (empty(&context, "No order fits.", "没有符合条件的订单。")) }
        @else if !found.items.is_empty() { (table_with(&context, &found.items, Some(&departures))) }
        (next(&context, &found))
    };
    Ok(with_nav(&context, Nav::Orders, context.t("Orders", "订单"), body))
}

/// The form, with what is wrong.
fn refused(context: &PageContext, given: &Given, zone: Tz) -> Response {
    let form = filters(context, given, zone);
    answered(given, with_nav(context, Nav::Orders, context.t("Orders", "订单"), form))
}

/// Trip and seat, if nothing else is asked for: one order has the seat now.
fn only_seat(filter: &OrderFilter) -> Option<(TripId, &str)> {
    let OrderFilter { state, departs, booked, from, to, owed, rider, trip, seat, after } = filter;
    let alone = state.is_none() && departs.is_none() && booked.is_none() && from.is_none() && to.is_none();
    if !alone || *owed || rider.is_some() || after.is_some() {
        return None;
    }
    (*trip).zip(seat.as_deref())
}

/// The filter but for the day of departure, and that day; what breaks a rule is refused in `given`.
fn read(given: &mut Given, zone: Tz) -> (OrderFilter, Option<NaiveDate>) {
    let state = given.choice("state", &STATES.map(|(state, _)| state.as_str()));
    let (departs, booked) = (given.day("departs"), given.day("booked"));
    let bounds = |day: Option<NaiveDate>| day.and_then(|day| day_in(zone, day));
    let (from, to) = (given.amount("from"), given.amount("to"));
    if let (Some(least), Some(most)) = (from, to)
        && least > most
    {
        given.refuse(
            "to",
            Localized::new(
                format!("at least {least}, as the amount from"),
                format!("不小于起始金额 {least}"),
            ),
        );
    }
    let seat = given.some("seat");
    if let Some(fault) = seat.as_deref().and_then(fault_of_label) {
        let zh = "座位号，不含空格与逗号，如 12A";
        given.refuse("seat", Localized::new(format!("the label of a seat, like 12A: {fault}"), zh));
    }
    let filter = OrderFilter {
        state: state.and_then(|state| state.parse().ok()),
        departs: None,
        booked: bounds(booked),
        from,
        to,
        owed: given.choice("owed", &["yes"]).is_some(),
        rider: given.id("rider").map(RiderId),
        trip: given.id("trip").map(TripId),
        seat,
        after: given.id("after").map(OrderId),
    };
    (filter, departs)
}

/// When a day begins in the zone, and when the next one does.
fn day_in(zone: Tz, day: NaiveDate) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    wall::instant(zone, day, 0).zip(wall::instant(zone, day.succ_opt()?, 0))
}

fn filters(context: &PageContext, given: &Given, zone: Tz) -> Markup {
    let states = STATES.map(|(state, zh)| (state.as_str(), context.t(state.as_str(), zh)));
    let owed = [("yes", context.t("something is owed", "有待退款项或座位"))];
    let day = |en, zh| format!("{} ({zone})", context.t(en, zh));
    let fields = [
        Field::new("state", context.t("State", "状态"), Kind::Choice(states.to_vec())),
        Field::new(
            "departs",
            context.t("Day of departure (by the first stop's clock)", "发车日期（按首站当地时间）"),
            Kind::Day,
        ),
        Field::new("booked", day("Day of booking", "预订日期"), Kind::Day),
        Field::new("from", context.t("Amount from", "金额不小于"), Kind::Text("")),
        Field::new("to", context.t("Amount to", "金额不大于"), Kind::Text("")),
        Field::new("owed", context.t("Owed", "待退"), Kind::Choice(owed.to_vec())),
        Field::new("rider", context.t("Rider id", "乘客编号"), Kind::Text("")),
        Field::new("trip", context.t("Trip id", "班次编号"), Kind::Text("")),
        Field::new("seat", context.t("Seat", "座位"), Kind::Text("12A")),
    ];
    form(context, "/console/orders", &fields, given, context.t("Find", "查找"))
}

/// The way to older orders, also where a page looked at many and found few.
fn next(context: &PageContext, found: &OrderPage) -> Markup {
    let older = context.t("Older", "更早");
    html! {
        @if found.is_cut {
            p.quiet role="status" { (context.t(
                &format!("The {WALKED} orders up to here were searched."),
                &format!("已查找至此的 {WALKED} 份订单。"),
            )) }
            (next_page_link(context, found.next, context.t("Search older ones", "继续查找更早的")))
        } @else { (next_page_link(context, found.next, older)) }
    }
}

/// A table of orders.
pub(crate) fn table(context: &PageContext, orders: &[Found]) -> Markup {
    table_with(context, orders, None)
}

/// The same, with the departures of their trips if they are given.
fn table_with(context: &PageContext, orders: &[Found], departures: Option<&HashMap<Uuid, Markup>>) -> Markup {
    html! {
        @if orders.is_empty() { (empty(context, "No order.", "没有订单。")) }
        @else { div.scroll { table {
            thead { tr { th scope="col" { (context.t("Order", "订单")) } th scope="col" { (context.t("State", "状态")) } th scope="col" { (context.t("Seats", "座位")) }
                (money_head(context.t("Amount", "金额"))) th scope="col" { (context.t("Rider", "乘客")) } th scope="col" { (context.t("Trip", "班次")) }
                @if departures.is_some() { th scope="col" { (context.t("Leaves", "发车")) } }
                th scope="col" { (context.t("Booked", "预订于")) } } }
            tbody { @for Found { order, rider_id } in orders { tr {
                td { (link_order(order.id)) } td { (state(context, order.status.as_str())) } td { (order.seats.join(", ")) }
                td.number { (amount(order.amount)) } td { (link_rider(rider_id)) } td { (link_trip(order.trip_id)) }
                @if let Some(departures) = departures { td { @if let Some(departs) = departures.get(&order.trip_id.0) { (departs) } } }
                td { (when(context, order.created_at)) }
            } } }
        } } }
    }
}
