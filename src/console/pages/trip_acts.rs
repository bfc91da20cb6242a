//! What an operator does with a trip: blocking and releasing seats, cancelling it.

use super::{
    orders,
    seat_map::map,
    trip_words::{self, known},
};
use crate::console::{
    components::{action_form, action_link, money},
    failure::{Failure, PageResult},
    form::{OperatorForm, password_page},
    layout::{Nav, redirect_with_notice, with_nav},
    numbers::grouped,
    session::PageContext,
};
use crate::{
    domain::{FieldError, Id, MAX_RIDER_MESSAGE, Money, Refusal, RiderMessage, SeatSet, TripId},
    http::{
        App,
        extract::{Params, Path},
    },
    ops::{self, reads::Read},
    orders::search::{at_stake, of_trip},
    storage,
    trips::{JourneyContext, Trip, TripDetail, manifest, seats::SeatBlock},
};
use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;

/// Most seats of one form.
const MAX_SEATS: usize = 1_000;
/// Most orders in the preview of a cancellation.
const MAX_ORDERS: u16 = 100;
/// The acts, in the order of their buttons.
const ACTS: [&str; 3] = ["block", "release", "cancel"];

/// What the forms of the acts send.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sent {
    #[serde(default)]
    seats: String,
    /// The departure, as the page of a cancelling names it.
    #[serde(default)]
    departure: String,
    /// What riders read of a cancelling.
    #[serde(default)]
    message: String,
}

/// What the page of a cancelling is asked for.
#[derive(Deserialize)]
pub(crate) struct Query {
    /// What riders are to read.
    #[serde(default)]
    message: String,
}

/// The message to riders, if there is one.
fn message(text: &str) -> Result<Option<RiderMessage>, FieldError> {
    Some(text)
        .filter(|text| !text.trim().is_empty())
        .map(|text| RiderMessage::read("message", text))
        .transpose()
}

fn label(context: &PageContext, act: &str) -> Option<&'static str> {
    match act {
        "block" => Some(context.t("Block seats", "停售座位")),
        "release" => Some(context.t("Release seats", "恢复座位")),
        "cancel" => Some(context.t("Cancel the trip", "取消班次")),
        _ => None,
    }
}

/// Whether anything can still be done with a trip: it has not departed and is not cancelled.
fn is_open(trip: &Trip) -> bool {
    trip.status == "scheduled"
}

/// Whether an act would change anything: there is a seat to block, or one to release.
fn is_possible(act: &str, detail: &TripDetail) -> bool {
    let has = |state| detail.seats.iter().any(|seat| seat.state == state);
    match act {
        "block" => has("free"),
        "release" => has("blocked"),
        _ => true,
    }
}

/// Links to the acts that are possible.
pub(super) fn links(context: &PageContext, detail: &TripDetail) -> Markup {
    let trip = &detail.trip;
    html! { @if is_open(trip) {
        @for act in ACTS.into_iter().filter(|act| is_possible(act, detail)) {
            (action_link(context, &format!("/console/trips/{}/{act}", trip.id), label(context, act).unwrap_or_default()))
        }
        (action_link(context, &format!("/console/trips/{}/change", trip.id), context.t("Another bus or price", "更换车辆或票价")))
    } }
}

/// The departure as it is typed before it is cancelled. It says which of the day's buses is meant.
fn typed(context: &PageContext, journeys: &JourneyContext<'_>, trip: &Trip) -> String {
    format!("{} {}", trip_words::bus(context, trip), trip_words::clock(journeys, trip))
}

/// Whether two texts are the same but for blanks and capitals.
fn is_same(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<String>().to_lowercase();
    plain(one) == plain(other)
}

pub(crate) async fn confirm(
    State(app): State<App>,
    context: PageContext,
    Path((Id(id), act)): Path<(Id, String)>,
    Params(query): Params<Query>,
) -> PageResult {
    let label = label(&context, &act).ok_or(Refusal::NotFound("act"))?;
    // Cancelling refunds every order.
    if act == "cancel"
        && let Some(elsewhere) = password_page(&app, &context.caller, &context.path).await?
    {
        return Ok(elsewhere);
    }
    let detail = known(&app, id).await?;
    let names = trip_words::RouteNames::of(&app, &context, Some(&detail.trip)).await?;
    let journeys = names.journeys(&app);
    let name = trip_words::name(&context, &journeys, &detail.trip);
    if !is_open(&detail.trip) {
        return Ok(with_nav(&context, Nav::Trips, label, impossible(&context, &detail.trip, &name)));
    }
    let (message, fault) = match message(&query.message) {
        Ok(message) => (message, None),
        Err(error) => (None, Some(error.rule)),
    };
    context.reads(&app, &Read::Manifest(TripId(id))).await?;
    let manifest = manifest::of(&app.saga.pool, TripId(id), false).await?;
    let preview = html! {
        p { strong { (name) } }
        @if act == "cancel" {
            (ending(&app, &context, TripId(id)).await?)
            p.riders_read { (riders_read(&context, message.as_ref())) }
        } @else {
            p { (context.t("Seats that are held or sold stay their riders'; the others can be blocked.", "已占或已售座位不变，其余可停售。")) }
        }
        (map(&context, &detail, manifest.as_ref()))
    };
    let fields = html! { @if act == "cancel" {
        @if let Some(message) = &message { input type="hidden" name="message" value=(message.as_str()); }
        @let wanted = typed(&context, &journeys, &detail.trip);
        label for="departure" { (context.t("Type the departure:", "请输入班次：")) " " strong { (wanted) } }
        input #departure name="departure" type="text" required autocomplete="off";
    } @else {
        label for="seats" { (context.t("Seats, separated by commas", "座位，以逗号分隔")) }
        input #seats name="seats" type="text" required autocomplete="off";
    } };
    let (action, danger) = (format!("/console/trips/{id}/{act}"), act == "cancel");
    let body = html! {
        @if act == "cancel" { (message_form(&context, &query.message, fault.as_deref())) }
        (action_form(&context, &action, label, fields, Some(preview), danger))
    };
    Ok(with_nav(&context, Nav::Trips, &format!("{label}: {name}"), body))
}

/// What riders read of the cancelling.
fn riders_read(context: &PageContext, message: Option<&RiderMessage>) -> String {
    let words = ops::trips::riders_read(message);
    context.t(&words.en, &words.zh).to_owned()
}

/// The form for the message to riders. It leads to the same page, with the message in the preview. It names
/// no address, since a refused form comes back into the first one that has its address.
fn message_form(context: &PageContext, text: &str, fault: Option<&str>) -> Markup {
    html! { form.act.card { fieldset disabled[!context.can_write()] {
        legend.hidden { (context.t("Message to riders", "给乘客的消息")) }
        label for="message" { (context.t("Message to riders (optional, never the reason)", "给乘客的消息（可选，不含原因）")) }
        input #message name="message" type="text" maxlength=(MAX_RIDER_MESSAGE) autocomplete="off" value=(text) aria-invalid=[fault.map(|_| "true")];
        @if let Some(rule) = fault { p.fault role="alert" { (rule) } }
        button type="submit" { (context.t("Preview", "预览")) }
    } } }
}

/// The page of an act that is not offered, for those who come by its address.
fn impossible(context: &PageContext, trip: &Trip, name: &str) -> Markup {
    html! { div.card {
        p { strong { (name) } " · " (trip_words::trip_state(context, trip.status)) }
        p { (context.t("Nothing can be changed any more: the trip is cancelled or has departed.", "班次已取消或已发车，无法再更改。")) }
        p { a href=(format!("/console/trips/{}", trip.id)) { (context.t("To the trip", "返回班次")) } }
    } }
}

/// What a cancelling ends: orders, riders and money.
async fn ending(app: &App, context: &PageContext, trip: TripId) -> Result<Markup, Failure> {
    let stake = at_stake(&app.saga.pool, trip).await?;
    let orders = of_trip(&app.saga.pool, trip, MAX_ORDERS).await?;
    let count = |many: i64, one: &str, more: &str| {
        format!("{} {}", grouped(many), if many == 1 { one } else { more })
    };
    Ok(html! {
        p { strong {
            (context.t(
                &format!("{} of {} {}:", count(stake.orders, "order", "orders"), count(stake.riders, "rider", "riders"), if stake.orders == 1 { "ends" } else { "end" }),
                &format!("{} 位乘客的 {} 个订单将终止：", grouped(stake.riders), grouped(stake.orders)),
            )) " "
            (money(Money::from_database(stake.paid))) " " (context.t("is given back, unpaid orders are closed, every seat is blocked.", "将退回，未支付订单关闭，所有座位停售。"))
        } }
        p { a href=(format!("/console/trips/{trip}/manifest")) { (context.t("Riders and their phone numbers", "乘客及电话")) } }
        @if !orders.is_empty() {
            (orders::table(context, &orders))
            @if stake.orders > i64::from(MAX_ORDERS) { p.quiet { (context.t("The newest are shown: ", "仅显示最新的：")) (MAX_ORDERS) } }
        }
    })
}

pub(crate) async fn act(
    State(app): State<App>,
    Path((Id(id), act)): Path<(Id, String)>,
    form: OperatorForm<Sent>,
) -> PageResult {
    let (context, by, form) = form.into_parts();
    let label = label(&context, &act).ok_or(Refusal::NotFound("act"))?;
    let to = format!("/console/trips/{id}");
    if act != "cancel" {
        let labels: Vec<String> =
            form.seats.split([',', ' ']).filter(|seat| !seat.is_empty()).map(str::to_owned).collect();
        let keep = if act == "block" { SeatBlock::Block } else { SeatBlock::Release };
        let seats = SeatSet::parse(&labels, MAX_SEATS)?;
        let mut tx = storage::begin(&app.saga.pool).await?;
        ops::trips::set_blocked(&mut tx, &by, TripId(id), &seats, keep).await?;
        tx.commit().await?;
        return Ok(redirect_with_notice(&context, &to, &format!("{label} ✓")));
    }
    if let Some(elsewhere) = password_page(&app, &context.caller, &format!("{to}/cancel")).await? {
        return Ok(elsewhere);
    }
    let trip = known(&app, id).await?.trip;
    if trip.status == "cancelled" {
        let words = context
            .t("The trip was cancelled before. Nothing was changed.", "班次此前已取消，没有任何更改。");
        return Ok(redirect_with_notice(&context, &to, words));
    }
    let names = trip_words::RouteNames::of(&app, &context, Some(&trip)).await?;
    let wanted = typed(&context, &names.journeys(&app), &trip);
    if !is_same(&form.departure, &wanted) {
        let (en, zh) = (format!("type: {wanted}"), format!("请输入：{wanted}"));
        return Err(FieldError::new("departure", context.t(&en, &zh)).into());
    }
    let message = message(&form.message)?;
    let mut tx = storage::begin(&app.saga.pool).await?;
    ops::trips::cancel(&mut tx, &by, TripId(id), message.as_ref()).await?;
    tx.commit().await?;
    Ok(redirect_with_notice(&context, &to, &format!("{label} ✓")))
}
