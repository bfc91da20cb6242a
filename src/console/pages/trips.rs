//! Trips: the day's list, the seat map with who has which seat, blocking, cancelling.

use super::orders;
use crate::console::{
    layout::{
        Answer, Nav, act_form, act_link, done, empty, further, link_order, link_trip, live, money, page,
        state, when,
    },
    session::{Deed, Visit},
};
use crate::{
    domain::{Day, FieldError, Id, Money, Page, Refusal, SeatSet, TripId, csv},
    http::{
        App,
        extract::{Params, Path},
        problem::Problem,
    },
    ops,
    orders::search::{at_stake, of_trip},
    storage,
    trips::{
        self, NotMade, Trip, TripDetail, TripQuery, cancel,
        manifest::{self, Line, Manifest},
        seats::SeatBlock,
    },
};
use axum::{extract::State, http::header, response::IntoResponse};
use chrono::{NaiveDate, Utc};
use chrono_tz::Tz;
use maud::{Markup, html};
use serde::Deserialize;
use std::str::FromStr;
use uuid::Uuid;

/// Seats that one form names at the most.
const MOST_SEATS: usize = 1_000;

/// Orders that the preview of a cancelling names at the most.
const MOST_ORDERS: u16 = 100;
/// Trips on a page.
const PAGE: u16 = 50;
/// Departures that could not be made, of those the first.
const MOST_NOT_MADE: u16 = 100;
/// Seats on a page of a manifest.
const LINES: usize = 200;

/// The list's address, as its form sends it: what is empty asks nothing.
#[derive(Deserialize)]
pub(crate) struct Query {
    #[serde(default)]
    day: String,
    #[serde(default)]
    direction: String,
    #[serde(default)]
    bus: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    after: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seats {
    #[serde(default)]
    seats: String,
}

pub(crate) async fn list(State(app): State<App>, visit: Visit, Params(query): Params<Query>) -> Answer {
    let zone = app.settings.trips.zone;
    let day = match query.day.trim() {
        "" => Utc::now().with_timezone(&zone).date_naive(),
        text => text.parse().map(Day::date).map_err(|rule| FieldError::new("day", rule))?,
    };
    let found = trips::search(&app.saga.pool, zone, day, &query.wanted()?, PAGE).await?;
    let not_made = trips::not_made(&app.saga.pool, None, MOST_NOT_MADE).await?;
    let body = html! {
        (filters(&visit, &query, zone, day))
        (missing(&visit, &not_made))
        (live("trips", &visit, table(&visit, &found.items)))
        (further(&visit, found.next, visit.say("Later", "更晚")))
    };
    Ok(page(&visit, Nav::Trips, visit.say("Trips", "班次"), body))
}

impl Query {
    fn wanted(&self) -> Result<TripQuery, FieldError> {
        Ok(TripQuery {
            direction: given("direction", &self.direction, "0 or 1")?,
            bus_id: given("bus", &self.bus, "the number of a bus")?,
            state: given("state", &self.state, "open, departed or cancelled")?,
            after: given("after", &self.after, "the id of a trip")?,
        })
    }

    /// The same list of another day, from its first page.
    fn of(&self, day: NaiveDate) -> String {
        let day = day.to_string();
        let all = [("day", &day), ("direction", &self.direction), ("bus", &self.bus), ("state", &self.state)];
        let some: Vec<_> = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        format!("/console/trips?{}", serde_urlencoded::to_string(some).unwrap_or_default())
    }
}

/// What a field says, if it says anything.
fn given<T: FromStr>(field: &'static str, text: &str, rule: &str) -> Result<Option<T>, FieldError> {
    Some(text.trim())
        .filter(|text| !text.is_empty())
        .map(|text| text.parse().map_err(|_| FieldError::new(field, rule)))
        .transpose()
}

fn filters(visit: &Visit, query: &Query, zone: Tz, day: NaiveDate) -> Markup {
    let other = |day: Option<NaiveDate>, words: &str| {
        html! { @if let Some(day) = day.filter(|day| Day::of(*day).is_some()) { a.button href=(query.of(day)) { (words) } } }
    };
    html! {
        form.card action="/console/trips" {
            div.filters {
                div { label for="day" { (visit.say("Day of departure", "发车日期")) " (" (zone) ")" } input #day name="day" type="date" value=(day); }
                div { label for="direction" { (visit.say("Direction", "方向")) } select #direction name="direction" {
                    option value="" { (visit.say("both", "双向")) }
                    @for one in ["0", "1"] { option value=(one) selected[query.direction == one] { (one) } }
                } }
                div { label for="bus" { (visit.say("Bus", "车辆")) } input #bus name="bus" type="number" min="1" value=(query.bus); }
                div { label for="state" { (visit.say("State", "状态")) } select #state name="state" {
                    option value="" { (visit.say("any", "任意")) }
                    @for one in trips::TripState::ALL { option value=(one.as_str()) selected[query.state == one.as_str()] { (state_words(visit, one)) } }
                } }
            }
            button.primary type="submit" { (visit.say("Show", "显示")) }
            div.acts { (other(day.pred_opt(), visit.say("The day before", "前一天"))) (other(day.succ_opt(), visit.say("The day after", "后一天"))) }
        }
    }
}

fn state_words(visit: &Visit, state: trips::TripState) -> &'static str {
    match state {
        trips::TripState::Open => visit.say("open", "未发车"),
        trips::TripState::Departed => visit.say("departed", "已发车"),
        trips::TripState::Cancelled => visit.say("cancelled", "已取消"),
    }
}

/// The departures of the coming days that could not be made, and why.
fn missing(visit: &Visit, departures: &Page<NotMade>) -> Markup {
    html! { @if !departures.items.is_empty() { div.card {
        h2 { (visit.say("Departures that could not be made", "未能生成的班次")) }
        ul { @for one in &departures.items { li {
            (one.service_date) " · " (visit.say("departure", "时刻")) " " (one.timetable_id) ": " (one.error) " · " (when(visit, one.at))
        } } }
        @if departures.next.is_some() { p { (visit.say("There are more: ", "还有更多：")) code { "GET /v1/ops/departures-not-made" } } }
    } } }
}

fn table(visit: &Visit, trips: &[Trip]) -> Markup {
    html! {
        @if trips.is_empty() { (empty(visit, "No trip of this day fits.", "当日没有符合条件的班次。")) }
        @else { div.scroll { table {
            thead { tr { th scope="col" { (visit.say("Trip", "班次")) } th scope="col" { (visit.say("Leaves", "发车")) } th scope="col" { (visit.say("Bus", "车辆")) }
                th scope="col" { (visit.say("Direction", "方向")) } th scope="col" { (visit.say("Price", "票价")) } th scope="col" { (visit.say("Free", "余座")) } th scope="col" { (visit.say("State", "状态")) } } }
            tbody { @for trip in trips { tr {
                td { (link_trip(trip.id)) } td { (when(visit, trip.departs_at)) } td.number { (trip.bus_id) } td.number { (trip.direction) }
                td.number { (money(trip.price)) } td.number { (trip.free_seats) " / " (trip.capacity) } td { (trip_state(visit, trip.status)) }
            } } }
        } } }
    }
}

fn trip_state(visit: &Visit, status: &str) -> Markup {
    let (kind, mark, en, zh) = match status {
        "scheduled" => ("good", "○", "scheduled", "未发车"),
        "in_transit" => ("run", "▶", "in transit", "行驶中"),
        "arrived" => ("off", "✓", "arrived", "已到达"),
        other => return state(visit, other),
    };
    html! { span class=(format!("badge {kind}")) { span aria-hidden="true" { (mark) } " " (visit.say(en, zh)) } }
}

async fn known(app: &App, id: Uuid) -> Result<TripDetail, crate::console::layout::Failure> {
    Ok(trips::detail(&app.saga.pool, TripId(id), None).await?.ok_or(Refusal::NotFound("trip"))?)
}

pub(crate) async fn show(State(app): State<App>, visit: Visit, Path(Id(id)): Path<Id>) -> Answer {
    let detail = known(&app, id).await?;
    let manifest = manifest::of(&app.saga.pool, TripId(id), false).await?;
    let mut conn = app.saga.pool.acquire().await?;
    let cancelling = cancel::progress(&mut conn, TripId(id)).await?;
    drop(conn);
    let trip = &detail.trip;
    let body = html! {
        (live("trip", &visit, html! {
            @if let Some(progress) = &cancelling { div.card.verdict.(if progress.finished_at.is_some() { "good" } else { "wait" }) {
                strong { (visit.say("Cancelled", "已取消")) } " — " (progress.reason)
                progress aria-label=(visit.say("Orders ended", "已处理订单")) max=(progress.orders.max(1)) value=(progress.orders - progress.left) {}
                div { (progress.orders - progress.left) " / " (progress.orders) " " (visit.say("orders ended: refunded or closed", "个订单已退款或关闭")) }
            } }
            div.card { dl.facts {
                dt { (visit.say("Leaves", "发车")) } dd { (when(&visit, trip.departs_at)) }
                dt { (visit.say("Bus", "车辆")) } dd { (trip.bus_id) " · " (detail.bus.driver_name) }
                dt { (visit.say("Price", "票价")) } dd { (money(trip.price)) }
                dt { (visit.say("Free seats", "余座")) } dd { (trip.free_seats) " / " (trip.capacity) }
            } }
            h2 { (visit.say("Seats", "座位")) }
            (map(&visit, &detail, manifest.as_ref()))
        }))
        div.acts { a.button href=(format!("/console/trips/{id}/manifest")) { (visit.say("Who rides", "乘客名单")) }
            @for act in ["block", "release", "cancel"] {
            (act_link(&visit, &format!("/console/trips/{id}/{act}"), label(&visit, act).unwrap_or_default()))
        } }
    };
    Ok(page(&visit, Nav::Trips, &format!("{} {id}", visit.say("Trip", "班次")), body))
}

/// Which page of a manifest.
#[derive(Deserialize)]
pub(crate) struct Lines {
    /// So many lines come before it.
    after: Option<usize>,
}

async fn who_rides(app: &App, visit: &Visit, id: Uuid) -> Result<Manifest, crate::console::layout::Failure> {
    let manifest = manifest::of(&app.saga.pool, TripId(id), visit.may_act()).await?;
    Ok(manifest.ok_or(Refusal::NotFound("trip"))?)
}

pub(crate) async fn manifest(
    State(app): State<App>,
    visit: Visit,
    Path(Id(id)): Path<Id>,
    Params(lines): Params<Lines>,
) -> Answer {
    let manifest = who_rides(&app, &visit, id).await?;
    let after = lines.after.unwrap_or_default().min(manifest.seats.len());
    let shown = &manifest.seats[after..manifest.seats.len().min(after + LINES)];
    let next = Some(after + LINES).filter(|next| *next < manifest.seats.len());
    let body = html! {
        @if let Some(at) = manifest.cancelled_at { div.card.verdict.wait {
            strong { (visit.say("Cancelled", "已取消")) } " " (when(&visit, at))
            @if let Some(reason) = &manifest.cancelled_reason { " — " (reason) }
            p { (visit.say("Who had which seat then, and what became of the order.", "取消时的座位归属及订单去向。")) }
        } }
        p { (visit.say("Trip", "班次")) " " (link_trip(TripId(id))) " · " (manifest.seats.len()) " " (visit.say("seats", "个座位")) }
        @if !visit.may_act() { p.quiet { (visit.say("Phone numbers and e-mail addresses are for operators only.", "电话和邮箱仅限操作员查看。")) } }
        (live("manifest", &visit, manifest_table(&visit, shown)))
        (further(&visit, next, visit.say("More seats", "更多座位")))
        div.acts { a.button href=(format!("/console/trips/{id}/manifest.csv")) download { (visit.say("For a spreadsheet (CSV)", "下载表格（CSV）")) } }
    };
    Ok(page(&visit, Nav::Trips, visit.say("Who rides", "乘客名单"), body))
}

fn manifest_table(visit: &Visit, lines: &[Line]) -> Markup {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    html! {
        @if lines.is_empty() { (empty(visit, "Nobody has a seat.", "没有乘客。")) }
        @else { div.scroll { table {
            thead { tr { th scope="col" { (visit.say("Seat", "座位")) } th scope="col" { (visit.say("Rider", "乘客")) } th scope="col" { (visit.say("Nick name", "昵称")) }
                @if visit.may_act() { th scope="col" { (visit.say("Phone", "电话")) } th scope="col" { (visit.say("E-mail", "邮箱")) } }
                th scope="col" { (visit.say("Order", "订单")) } th scope="col" { (visit.say("State", "状态")) } th scope="col" { (visit.say("Paid", "支付时间")) } th scope="col" { (visit.say("Money", "款项")) } } }
            tbody { @for line in lines { tr {
                td.number { (line.seat) } td { a href=(format!("/console/riders/{}", line.rider_id)) { (line.user_name) } } td { (text(&line.nick_name)) }
                @if visit.may_act() { td { (text(&line.phone)) } td { (text(&line.email)) } }
                td { (link_order(line.order_id)) } td { (state(visit, &line.status)) }
                td { @match line.paid_at { Some(at) => (when(visit, at)), None => (visit.say("never", "未支付")) } }
                td { (money_words(visit, line)) }
            } } }
        } } }
    }
}

/// Where the money of an order is.
fn money_words(visit: &Visit, line: &Line) -> &'static str {
    match line.payment.as_deref() {
        Some("debited") => visit.say("being paid", "支付中"),
        Some("settled") if line.status == "refunding" => visit.say("on its way back", "退款中"),
        Some("settled") => visit.say("paid", "已支付"),
        Some("refunded") => visit.say("given back", "已退款"),
        _ => visit.say("none", "无"),
    }
}

/// The manifest for a spreadsheet.
pub(crate) async fn manifest_csv(State(app): State<App>, visit: Visit, Path(Id(id)): Path<Id>) -> Answer {
    let manifest = who_rides(&app, &visit, id).await?;
    let text = manifest.csv_for_spreadsheets().map_err(|_| Problem::broken())?;
    let saved = format!("attachment; filename=\"{}\"", manifest.file_name());
    let headers = [(header::CONTENT_TYPE, csv::MEDIA_TYPE.to_owned()), (header::CONTENT_DISPOSITION, saved)];
    Ok((headers, text).into_response())
}

fn map(visit: &Visit, detail: &TripDetail, manifest: Option<&Manifest>) -> Markup {
    let owner = |seat: i32| {
        let label = seat.to_string();
        manifest.and_then(|all| all.seats.iter().find(|line| line.seat == label))
    };
    html! { ol.seats { @for seat in &detail.seats { li class=(seat.state) {
        strong { (seat.seat) } " "
        (match seat.state {
            "free" => visit.say("free", "空"),
            "held" => visit.say("held", "占"),
            "sold" => visit.say("sold", "售"),
            "blocked" => visit.say("blocked", "停"),
            other => other,
        })
        @if let Some(line) = owner(seat.seat) { div { (link_order(line.order_id)) } div.quiet { (line.user_name) } }
    } } } }
}

fn label(visit: &Visit, act: &str) -> Option<&'static str> {
    match act {
        "block" => Some(visit.say("Block seats", "停售座位")),
        "release" => Some(visit.say("Release seats", "恢复座位")),
        "cancel" => Some(visit.say("Cancel the trip", "取消班次")),
        _ => None,
    }
}

pub(crate) async fn ask(
    State(app): State<App>,
    visit: Visit,
    Path((Id(id), act)): Path<(Id, String)>,
) -> Answer {
    let label = label(&visit, &act).ok_or(Refusal::NotFound("act"))?;
    let detail = known(&app, id).await?;
    let manifest = manifest::of(&app.saga.pool, TripId(id), false).await?;
    let stake = at_stake(&app.saga.pool, TripId(id)).await?;
    let ending = of_trip(&app.saga.pool, TripId(id), MOST_ORDERS).await?;
    let preview = html! {
        @if act == "cancel" {
            p { strong { (stake.orders) " " (visit.say("orders of", "个订单，涉及")) " " (stake.riders) " " (visit.say("riders end:", "位乘客：")) " "
                (money(Money::from_database(stake.paid))) " " (visit.say("is given back, unpaid orders are closed, every seat is blocked.", "将退回，未支付订单关闭，所有座位停售。")) } }
        } @else {
            p { (visit.say("Seats that are held or sold stay their riders'; the others can be blocked.", "已占或已售座位不变，其余可停售。")) }
        }
        @if act == "cancel" && !ending.is_empty() {
            (orders::table(&visit, &ending))
            @if stake.orders > i64::from(MOST_ORDERS) { p.quiet { (visit.say("The newest are shown: ", "仅显示最新的：")) (MOST_ORDERS) } }
        }
        (map(&visit, &detail, manifest.as_ref()))
    };
    let fields = html! { @if act != "cancel" {
        label for="seats" { (visit.say("Seats, separated by commas", "座位，以逗号分隔")) }
        input #seats name="seats" type="text" required autocomplete="off";
    } };
    let form = act_form(
        &visit,
        &format!("/console/trips/{id}/{act}"),
        label,
        fields,
        Some(preview),
        act == "cancel",
    );
    Ok(page(&visit, Nav::Trips, label, form))
}

pub(crate) async fn act(
    State(app): State<App>,
    Path((Id(id), act)): Path<(Id, String)>,
    deed: Deed<Seats>,
) -> Answer {
    let (visit, by, form) = deed.signed();
    let label = label(&visit, &act).ok_or(Refusal::NotFound("act"))?;
    let labels: Vec<String> =
        form.seats.split([',', ' ']).filter(|seat| !seat.is_empty()).map(str::to_owned).collect();
    let mut tx = storage::begin(&app.saga.pool).await?;
    match act.as_str() {
        "cancel" => drop(ops::trips::cancel(&mut tx, &by, TripId(id)).await?),
        _ => {
            let keep = if act == "block" { SeatBlock::Block } else { SeatBlock::Release };
            let seats = SeatSet::parse(&labels, MOST_SEATS)?;
            ops::trips::set_blocked(&mut tx, &by, TripId(id), &seats, keep).await?;
        }
    }
    tx.commit().await?;
    Ok(done(&format!("/console/trips/{id}"), &format!("{label} ✓")))
}
