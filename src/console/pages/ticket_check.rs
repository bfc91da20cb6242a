//! Checking a ticket at the door of the bus: its code, scanned or typed, against the trip's manifest.

use super::trip_words::departures_of;
use crate::console::{
    components::{link_order, link_trip, state},
    session::PageContext,
};
use crate::{
    browser::ticket_code::{MAX_TEXT_BYTES, TicketCode},
    domain::{OrderId, OrderStatus},
    http::App,
    orders::{OrderView, search::of_ids},
    trips::manifest::{Line, Manifest},
};
use maud::{Markup, html};

/// The form, and what is found of the code that it sent.
pub(super) async fn at_the_door(
    app: &App,
    context: &PageContext,
    manifest: &Manifest,
    code: Option<&str>,
) -> Result<Markup, sqlx::Error> {
    let found = match code.map(str::trim).filter(|code| !code.is_empty()) {
        Some(code) => found(app, context, manifest, code).await?,
        None => html! {},
    };
    Ok(html! {
        form.card action=(format!("/console/trips/{}/manifest", manifest.trip_id)) {
            label for="ticket" { (context.t("Code of a ticket: scan it, or type the order's number", "车票二维码：扫描，或输入订单号")) }
            input #ticket name="ticket" type="text" maxlength=(MAX_TEXT_BYTES) autocomplete="off" required;
            button type="submit" { (context.t("Check the ticket", "检票")) }
        }
        (found)
    })
}

async fn found(
    app: &App,
    context: &PageContext,
    manifest: &Manifest,
    code: &str,
) -> Result<Markup, sqlx::Error> {
    let (order, is_genuine) = match TicketCode::read(app.sessions.keys(), code) {
        TicketCode::Genuine(order) => (order, true),
        TicketCode::Typed(order) => (order, false),
        TicketCode::Unknown => {
            return Ok(not_valid(
                context,
                context.t("This is no code of a ticket.", "这不是车票二维码。"),
                html! {},
            ));
        }
    };
    let Some(found) = of_ids(&app.saga.pool, &[order.0]).await?.into_iter().next() else {
        return Ok(not_valid(context, context.t("There is no such order.", "没有此订单。"), html! {}));
    };
    let order = found.order;
    if order.trip_id != manifest.trip_id {
        let departs = departures_of(app, context, &[order.trip_id.0]).await?.into_values().next();
        let why = context.t("The ticket is for another trip.", "这是另一班次的车票。");
        return Ok(not_valid(
            context,
            why,
            html! { p { @if let Some(departs) = departs { (departs) " · " } (link_trip(order.trip_id)) } },
        ));
    }
    if let Some(why) = refused(context, manifest, &order) {
        return Ok(not_valid(
            context,
            why,
            html! { p { (state(context, order.status.as_str())) " · " (link_order(order.id)) } },
        ));
    }
    Ok(valid(context, manifest, &order, is_genuine))
}

/// Why nobody may ride with this order of the trip.
fn refused(context: &PageContext, manifest: &Manifest, order: &OrderView) -> Option<&'static str> {
    match order.status {
        OrderStatus::Paid if manifest.cancelled_at.is_some() => {
            Some(context.t("The trip is cancelled.", "班次已取消。"))
        }
        OrderStatus::Paid => None,
        OrderStatus::Unpaid | OrderStatus::Paying => {
            Some(context.t("The order is not paid.", "订单未支付。"))
        }
        OrderStatus::Refunding => Some(context.t("The order is being refunded.", "订单正在退款。")),
        OrderStatus::Refunded => Some(context.t("The order is refunded.", "订单已退款。")),
        OrderStatus::Closed => Some(context.t("The order is closed.", "订单已关闭。")),
    }
}

fn not_valid(context: &PageContext, why: &str, more: Markup) -> Markup {
    html! { div.card.verdict.bad role="status" {
        strong { (context.t("✗ Not valid", "✗ 无效")) } p { (why) } (more)
    } }
}

fn valid(context: &PageContext, manifest: &Manifest, order: &OrderView, is_genuine: bool) -> Markup {
    let line = |order: OrderId| manifest.seats.iter().find(move |line| line.order_id == order);
    html! { div.card.verdict.(if is_genuine { "good" } else { "wait" }) role="status" {
        strong {
            @if is_genuine { (context.t("✓ Valid", "✓ 有效")) }
            @else { (context.t("○ Paid, but no code was scanned: compare the name", "○ 已支付，但未扫码：请核对姓名")) }
        }
        p { (context.t("Seats", "座位")) " " (order.seats.join(", ")) @if let Some(line) = line(order.id) { " · " (name(line)) } }
        p { (link_order(order.id)) }
    } }
}

/// Who rides, as the driver calls them.
fn name(line: &Line) -> Markup {
    html! { (line.user_name) @if let Some(nick) = &line.nick_name { " (" (nick) ")" } }
}
