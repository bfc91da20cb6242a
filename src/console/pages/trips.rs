//! Trips: the list of a day, the seat map with its riders, the manifest, blocking, cancelling.

use super::{
    seat_map::{map, prices},
    ticket_check, trip_acts,
    trip_words::{self, known},
};
use crate::console::{
    components::{
        copied, empty, link_order, link_trip, live, money_head, next_page_link, program_text, state, when,
    },
    failure::{Failure, PageResult},
    layout::{Nav, with_nav},
    numbers::grouped,
    session::PageContext,
    time::day_words,
};
use crate::{
    domain::{Day, FieldError, Id, Page, Refusal, TripId, csv},
    http::{
        App,
        extract::{Params, Path},
        problem::Problem,
    },
    ops::reads::Read,
    storage::Freshness,
    trips::{
        self, JourneyContext, NotMade, Trip, TripQuery, cancel,
        manifest::{self, Line, Manifest},
    },
};
use axum::{extract::State, http::header, response::IntoResponse};
use chrono::{NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use maud::{Markup, html};
use serde::Deserialize;
use sqlx::PgPool;
use std::{ops::RangeInclusive, str::FromStr};
use uuid::Uuid;

/// The days that are one click away, from today.
const DAYS: RangeInclusive<i64> = -1..=6;
/// Trips on a page.
const PAGE: u16 = 50;
/// Most departures in the list of those that could not be made.
const MAX_NOT_MADE: u16 = 100;
/// Seats on a page of a manifest.
const MANIFEST_PAGE: usize = 200;

/// The filters of the list as its form sends them; an empty one does not filter.
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

pub(crate) async fn list(
    State(app): State<App>,
    context: PageContext,
    Params(query): Params<Query>,
) -> PageResult {
    let zone = app.itineraries.zone(&app.saga.pool, app.settings.trips.zone).await?;
    let day = match query.day.trim() {
        "" => Utc::now().with_timezone(&zone).date_naive(),
        text => text.parse().map(Day::date).map_err(|rule| FieldError::new("day", rule))?,
    };
    let wanted = &query.wanted()?;
    let search = |pool: PgPool| async move { trips::search(&pool, zone, day, wanted, PAGE).await };
    let found = app.reads.read(Freshness::Current, search).await?;
    let names = trip_words::RouteNames::of(&app, &context, found.items.first()).await?;
    let not_made = trips::not_made(&app.saga.pool, None, MAX_NOT_MADE).await?;
    let body = html! {
        (filters(&context, &query, zone, day, &names.directions(&app, &context)))
        (presets(&context, &query, zone, day))
        (missing(&context, &not_made))
        (live("trips", &context, table(&context, &found.items, &names.journeys(&app))))
        (next_page_link(&context, found.next, context.t("Later", "更晚")))
    };
    Ok(with_nav(&context, Nav::Trips, context.t("Trips", "班次"), body))
}

impl Query {
    fn wanted(&self) -> Result<TripQuery, FieldError> {
        // Of one route, the value names the route before the number; codes have no blanks.
        let (route, number) =
            self.direction.trim().rsplit_once(' ').map_or((None, &*self.direction), |(r, n)| (Some(r), n));
        Ok(TripQuery {
            route: route.map(str::to_owned),
            direction: given("direction", number, "the number of a direction")?,
            bus_id: given("bus", &self.bus, "the number of a bus")?,
            state: given("state", &self.state, "open, departed or cancelled")?,
            after: given("after", &self.after, "the id of a trip")?,
        })
    }

    /// The address of the first page of another day.
    fn of(&self, day: NaiveDate) -> String {
        let day = day.to_string();
        let all = [("day", &day), ("direction", &self.direction), ("bus", &self.bus), ("state", &self.state)];
        let some: Vec<_> = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        format!("/console/trips?{}", serde_urlencoded::to_string(some).unwrap_or_default())
    }
}

/// Parses a field that is not empty.
pub(super) fn given<T: FromStr>(
    field: &'static str,
    text: &str,
    rule: &str,
) -> Result<Option<T>, FieldError> {
    Some(text.trim())
        .filter(|text| !text.is_empty())
        .map(|text| text.parse().map_err(|_| FieldError::new(field, rule)))
        .transpose()
}

fn filters(
    context: &PageContext,
    query: &Query,
    zone: Tz,
    day: NaiveDate,
    directions: &[(String, String)],
) -> Markup {
    let chosen = query.direction.trim();
    // An address of before may name a direction that the list does not have.
    let is_listed = chosen.is_empty() || directions.iter().any(|(value, _)| value == chosen);
    let unlisted =
        || chosen.parse().map_or_else(|_| chosen.to_owned(), |n| trip_words::number_words(context, n));
    html! {
        form.card action="/console/trips" {
            div.filters {
                div { label for="day" { (context.t("Day of departure", "发车日期")) " (" (zone) ")" } input #day name="day" type="date" value=(day); }
                div { label for="direction" { (context.t("Direction", "方向")) } select #direction name="direction" {
                    option value="" { (context.t("all", "全部")) }
                    @if !is_listed { option value=(chosen) selected { (unlisted()) } }
                    @for (value, words) in directions { option value=(value) selected[chosen == value] { (words) } }
                } }
                div { label for="bus" { (context.t("Bus", "车辆")) } input #bus name="bus" type="number" min="1" value=(query.bus); }
                div { label for="state" { (context.t("State", "状态")) } select #state name="state" {
                    option value="" { (context.t("any", "任意")) }
                    @for one in trips::TripState::ALL { option value=(one.as_str()) selected[query.state == one.as_str()] { (trip_words::state_words(context, one)) } }
                } }
            }
            button.primary type="submit" { (context.t("Show", "显示")) }
        }
    }
}

/// Links to the days that are looked at most, by the network's calendar, and to those beside the shown one.
fn presets(context: &PageContext, query: &Query, zone: Tz, shown: NaiveDate) -> Markup {
    let today = Utc::now().with_timezone(&zone).date_naive();
    let words = |ahead: i64, day: NaiveDate| match ahead {
        -1 => context.t("Yesterday", "昨天").to_owned(),
        0 => context.t("Today", "今天").to_owned(),
        1 => context.t("Tomorrow", "明天").to_owned(),
        _ => day_words(context, day),
    };
    let near = DAYS.filter_map(|ahead| Some((today.checked_add_signed(TimeDelta::days(ahead))?, ahead)));
    let beside = [
        (shown.pred_opt(), context.t("The day before", "前一天")),
        (shown.succ_opt(), context.t("The day after", "后一天")),
    ];
    html! {
        div.acts role="group" aria-label=(context.t("Day", "日期")) {
            @for (day, ahead) in near { a.button href=(query.of(day)) aria-current=[(day == shown).then_some("date")] { (words(ahead, day)) } }
        }
        div.acts { @for (day, words) in beside { @if let Some(day) = day.filter(|day| Day::of(*day).is_some()) {
            a.button href=(query.of(day)) { (words) }
        } } }
    }
}

/// The departures of the coming days that could not be made, and why.
fn missing(context: &PageContext, departures: &Page<NotMade>) -> Markup {
    html! { @if !departures.items.is_empty() { div.card {
        h2 { (context.t("Departures that could not be made", "未能生成的班次")) }
        ul { @for one in &departures.items { li {
            (one.service_date) " · " (context.t("departure", "时刻")) " " (one.timetable_id) ": " (program_text(&one.error)) " · " (when(context, one.at))
        } } }
        @if departures.next.is_some() { p { (context.t("There are more: ", "还有更多：")) code { "GET /v1/ops/departures-not-made" } } }
    } } }
}

fn route(context: &PageContext, journeys: &JourneyContext<'_>, trip: &Trip) -> String {
    trip_words::route_words(context, journeys, trip.route.code.as_deref(), trip.direction)
}

fn table(context: &PageContext, trips: &[Trip], journeys: &JourneyContext<'_>) -> Markup {
    html! {
        @if trips.is_empty() { (empty(context, "No trip of this day fits.", "当日没有符合条件的班次。")) }
        @else { div.scroll { table {
            thead { tr { th scope="col" { (context.t("Trip", "班次")) } th scope="col" { (context.t("Leaves", "发车")) } th scope="col" { (context.t("Bus", "车辆")) }
                th scope="col" { (context.t("Route", "线路")) } (money_head(context.t("Price", "票价"))) th scope="col" { (context.t("Free", "余座")) } th scope="col" { (context.t("State", "状态")) } } }
            tbody { @for trip in trips { tr {
                td { (link_trip(trip.id)) } td { (trip_words::departs(context, journeys, trip)) } td.number { (trip.bus_id) } td { (route(context, journeys, trip)) }
                td.number { (prices(trip)) } td.number { (trip.free_seats) " / " (trip.capacity) } td { (trip_words::trip_state(context, trip.status)) }
            } } }
        } } }
    }
}

pub(crate) async fn show(State(app): State<App>, context: PageContext, Path(Id(id)): Path<Id>) -> PageResult {
    let detail = known(&app, id).await?;
    let names = trip_words::RouteNames::of(&app, &context, Some(&detail.trip)).await?;
    context.reads(&app, &Read::Manifest(TripId(id))).await?;
    let manifest = manifest::of(&app.saga.pool, TripId(id), false).await?;
    let mut conn = app.saga.pool.acquire().await?;
    let cancelling = cancel::progress(&mut conn, TripId(id)).await?;
    drop(conn);
    let trip = &detail.trip;
    let body = html! {
        (live("trip", &context, html! {
            @if let Some(progress) = &cancelling { div.card.verdict.(if progress.finished_at.is_some() { "good" } else { "wait" }) {
                strong { (context.t("Cancelled", "已取消")) } " — " (progress.reason)
                p { @match &progress.message {
                    Some(message) => { (context.t("Riders read: ", "乘客看到：")) (message) },
                    None => (context.t("Riders read no message.", "乘客没有看到消息。")),
                } }
                progress aria-label=(context.t("Orders ended", "已处理订单")) max=(progress.orders.max(1)) value=(progress.orders - progress.left) {}
                div { (grouped(progress.orders - progress.left)) " / " (grouped(progress.orders)) " " (context.t("orders ended: refunded or closed", "个订单已退款或关闭")) }
            } }
            div.card { dl.facts {
                dt { (context.t("Id", "编号")) } dd { (copied(&context, id)) }
                dt { (context.t("Route", "线路")) } dd { (route(&context, &names.journeys(&app), trip)) }
                dt { (context.t("Leaves", "发车")) } dd { (trip_words::departs(&context, &names.journeys(&app), trip)) @if let Some(stop) = names.journeys(&app).of_trip(trip).from { " · " (stop.name) } }
                dt { (context.t("Bus", "车辆")) } dd { (trip.bus_id) " · " (detail.bus.driver_name.as_deref().unwrap_or_default()) }
                dt { (context.t("Price", "票价")) } dd { (prices(trip)) }
                dt { (context.t("Free seats", "余座")) } dd { (trip.free_seats) " / " (trip.capacity) }
            } }
            h2 { (context.t("Seats", "座位")) }
            (map(&context, &detail, manifest.as_ref()))
        }))
        div.acts { a.button href=(format!("/console/trips/{id}/manifest")) {
                @if cancelling.is_some() { (context.t("Riders to call", "需要联系的乘客")) } @else { (context.t("Who rides", "乘客名单")) } }
            (trip_acts::links(&context, &detail))
        }
    };
    Ok(with_nav(&context, Nav::Trips, &trip_words::name(&context, &names.journeys(&app), trip), body))
}

/// The page of a manifest.
#[derive(Deserialize)]
pub(crate) struct Lines {
    /// The number of lines before it.
    after: Option<usize>,
    /// The code of a ticket to check.
    ticket: Option<String>,
}

async fn who_rides(app: &App, context: &PageContext, id: Uuid) -> Result<Manifest, Failure> {
    let contacts = context.can_write();
    let of = |pool: PgPool| async move { manifest::of(&pool, TripId(id), contacts).await };
    let manifest = app.reads.read(Freshness::Current, of).await?;
    let manifest = manifest.ok_or(Refusal::NotFound("trip"))?;
    context.reads(app, &Read::Manifest(TripId(id))).await?;
    Ok(manifest)
}

pub(crate) async fn manifest(
    State(app): State<App>,
    context: PageContext,
    Path(Id(id)): Path<Id>,
    Params(lines): Params<Lines>,
) -> PageResult {
    let manifest = who_rides(&app, &context, id).await?;
    let after = lines.after.unwrap_or_default().min(manifest.seats.len());
    let shown = &manifest.seats[after..manifest.seats.len().min(after + MANIFEST_PAGE)];
    let next = Some(after + MANIFEST_PAGE).filter(|next| *next < manifest.seats.len());
    let door = ticket_check::at_the_door(&app, &context, &manifest, lines.ticket.as_deref()).await?;
    let body = html! {
        @if let Some(at) = manifest.cancelled_at { div.card.verdict.wait {
            strong { (context.t("Cancelled", "已取消")) } " " (when(&context, at))
            @if let Some(reason) = &manifest.cancelled_reason { " — " (reason) }
            p { (context.t("Who had which seat then, and what became of the order.", "取消时的座位归属及订单去向。")) }
        } }
        p { (context.t("Trip", "班次")) " " (link_trip(TripId(id))) " · " (grouped(manifest.seats.len())) " " (context.t("seats", "个座位")) }
        @if !context.can_write() { p.quiet { (context.t("Phone numbers and e-mail addresses are for operators only.", "电话和邮箱仅限操作员查看。")) } }
        (door)
        (live("manifest", &context, manifest_table(&context, shown)))
        (next_page_link(&context, next, context.t("More seats", "更多座位")))
        div.acts { a.button href=(format!("/console/trips/{id}/manifest.csv")) download { (context.t("For a spreadsheet (CSV)", "下载表格（CSV）")) } }
    };
    Ok(with_nav(&context, Nav::Trips, context.t("Who rides", "乘客名单"), body))
}

fn manifest_table(context: &PageContext, lines: &[Line]) -> Markup {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    html! {
        @if lines.is_empty() { (empty(context, "Nobody has a seat.", "没有乘客。")) }
        @else { div.scroll { table {
            thead { tr { th scope="col" { (context.t("Seat", "座位")) } th scope="col" { (context.t("Rider", "乘客")) } th scope="col" { (context.t("Nick name", "昵称")) }
                @if context.can_write() { th scope="col" { (context.t("Phone", "电话")) } th scope="col" { (context.t("E-mail", "邮箱")) } }
                th scope="col" { (context.t("Order", "订单")) } th scope="col" { (context.t("State", "状态")) } th scope="col" { (context.t("Paid", "支付时间")) } th scope="col" { (context.t("Money", "款项")) } } }
            tbody { @for line in lines { tr {
                td.number { (line.seat) } td { a href=(format!("/console/riders/{}", line.rider_id)) { (line.user_name) } } td { (text(&line.nick_name)) }
                @if context.can_write() { td { (text(&line.phone)) } td { (text(&line.email)) } }
                td { (link_order(line.order_id)) } td { (state(context, &line.status)) }
                td { @match line.paid_at { Some(at) => (when(context, at)), None => (context.t("never", "未支付")) } }
                td { (money_words(context, line)) }
            } } }
        } } }
    }
}

/// The words for where the money of an order is.
fn money_words(context: &PageContext, line: &Line) -> &'static str {
    match line.payment.as_deref() {
        Some("debited") => context.t("being paid", "支付中"),
        Some("settled") if line.status == "refunding" => context.t("on its way back", "退款中"),
        Some("settled") => context.t("paid", "已支付"),
        Some("refunded") => context.t("given back", "已退款"),
        _ => context.t("none", "无"),
    }
}

/// The manifest for a spreadsheet.
pub(crate) async fn manifest_csv(
    State(app): State<App>,
    context: PageContext,
    Path(Id(id)): Path<Id>,
) -> PageResult {
    let manifest = who_rides(&app, &context, id).await?;
    let text = manifest.csv_for_spreadsheets().map_err(|_| Problem::broken())?;
    let saved = format!("attachment; filename=\"{}\"", manifest.file_name());
    let headers = [(header::CONTENT_TYPE, csv::MEDIA_TYPE.to_owned()), (header::CONTENT_DISPOSITION, saved)];
    Ok((headers, text).into_response())
}
