//! Another bus or other prices for one trip: the form, the preview, and applying it.

use super::{network_imports::without_place, trips::given};
use crate::console::{
    chinese,
    components::{action_form, link_trip, money},
    failure::{Failure, PageResult},
    form::{ConfirmedForm, password_page},
    layout::{Nav, redirect_with_notice, with_nav},
    numbers::grouped,
    session::PageContext,
};
use crate::{
    domain::{FieldError, Id, Money, TripId},
    http::{
        App,
        extract::{Params, Path},
        problem::Problem,
    },
    ops::{
        networks::one_trip::{self, TripChangePreview},
        reads::Read,
    },
    storage,
    trips::network::{ChangeError, TripChange},
};
use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use std::{collections::BTreeMap, slice};
use uuid::Uuid;

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        Problem::from(error).into()
    }
}

/// What is to change, as forms send it; an empty field changes nothing.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    bus: String,
    #[serde(default)]
    price: String,
    #[serde(default)]
    prices: String,
    #[serde(default)]
    follow: String,
}

impl Wanted {
    fn is_empty(&self) -> bool {
        [&self.bus, &self.price, &self.prices, &self.follow].iter().all(|text| text.trim().is_empty())
    }

    fn change(&self) -> Result<TripChange, FieldError> {
        Ok(TripChange {
            bus_id: given("bus", &self.bus, "the number of a bus")?,
            price: amount("price", &self.price)?,
            prices: by_class(&self.prices)?,
            follow: (self.follow == "yes").then_some(true),
        })
    }
}

/// An amount of a field that is not empty.
fn amount(field: &'static str, text: &str) -> Result<Option<Money>, FieldError> {
    let text = Some(text.trim()).filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|rule: String| FieldError::new(field, rule))).transpose()
}

/// Prices like `business 9.00, standard 4.00`.
fn by_class(text: &str) -> Result<Option<BTreeMap<String, Money>>, FieldError> {
    let mut prices = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let rule = || FieldError::new("prices", "a class and an amount each, separated by commas");
        let (class, price) = part.rsplit_once(' ').ok_or_else(rule)?;
        let price = amount("prices", price)?.ok_or_else(rule)?;
        if prices.insert(class.trim().to_owned(), price).is_some() {
            return Err(FieldError::new("prices", format!("the class {} only once", class.trim())));
        }
    }
    Ok(Some(prices).filter(|prices| !prices.is_empty()))
}

fn title(context: &PageContext) -> &'static str {
    context.t("Another bus or price", "更换车辆或票价")
}

/// The form; with what is wanted, its preview.
pub(crate) async fn show(
    State(app): State<App>,
    context: PageContext,
    Path(Id(id)): Path<Id>,
    Params(wanted): Params<Wanted>,
) -> PageResult {
    if wanted.is_empty() {
        return Ok(with_nav(&context, Nav::Trips, title(&context), form(&context, id)));
    }
    if context.can_write()
        && let Some(elsewhere) = password_page(&app, &context.caller, &context.path).await?
    {
        return Ok(elsewhere);
    }
    let change = wanted.change()?;
    let mut tx = storage::begin(&app.saga.pool).await?;
    let preview = one_trip::preview(&mut tx, TripId(id), &change).await?;
    // The preview wrote nothing.
    tx.rollback().await?;
    // What is refused shows nobody.
    context.reads(&app, &Read::Manifest(TripId(id))).await?;
    let fields = html! {
        @for (name, value) in [("bus", &wanted.bus), ("price", &wanted.price), ("prices", &wanted.prices),
            ("follow", &wanted.follow), ("digest", &preview.digest)] {
            input type="hidden" name=(name) value=(value);
        }
    };
    let action = format!("/console/trips/{id}/change");
    let card = preview_card(&context, &preview);
    let body = action_form(&context, &action, context.t("Apply", "应用"), fields, Some(card), true);
    Ok(with_nav(&context, Nav::Trips, context.t("Preview of a change", "变更预览"), body))
}

fn form(context: &PageContext, trip: Uuid) -> Markup {
    html! {
        p { (context.t("Trip", "班次")) " " (link_trip(trip)) }
        form.act.card action=(format!("/console/trips/{trip}/change")) {
            fieldset disabled[!context.can_write()] {
                legend.hidden { (title(context)) }
                label for="bus" { (context.t("Another bus", "更换为车辆")) }
                input #bus name="bus" type="number" min="1" autocomplete="off";
                label for="price" { (context.t("Price of what is not sold yet", "未售座位的票价")) }
                input #price name="price" type="text" inputmode="decimal" autocomplete="off";
                label for="prices" { (context.t("Prices of other classes, like business 9.00", "其他等级的票价，如 business 9.00")) }
                input #prices name="prices" type="text" autocomplete="off";
                label for="follow" {
                    input #follow name="follow" type="checkbox" value="yes";
                    " " (context.t("Take the bus and the fares of the departure again", "恢复班次时刻的车辆与票价"))
                }
                button.primary type="submit" { (context.t("Preview", "预览")) }
                @if !context.can_write() { p.quiet { (context.t("For operators only.", "仅限操作员。")) } }
            }
            p.quiet { (context.t("Nothing changes before the preview is applied.", "应用预览之前不会有任何变更。")) }
        }
    }
}

fn preview_card(context: &PageContext, preview: &TripChangePreview) -> Markup {
    let trip = &preview.trip;
    let orders =
        |many: i64| format!("{many} {}", context.t(if many == 1 { "order" } else { "orders" }, "个订单"));
    html! {
        (without_place(context, slice::from_ref(trip)))
        dl.facts {
            div { dt { (context.t("Trip", "班次")) } dd { (link_trip(trip.trip_id)) } }
            @if let Some(departure) = &trip.departure {
                div { dt { (context.t("Departure", "班次时刻")) } dd { (departure) @if let Some(day) = trip.day { " · " (day) } } }
            }
            div { dt { (context.t("What changes", "变更内容")) } dd {
                @if trip.what.is_empty() { (context.t("later imports change it again", "以后的导入将重新应用于该班次")) }
                @else { (chinese::changes(context.lang, &trip.what)) }
            } }
            div { dt { (context.t("Sold", "已售")) } dd { (trip.seats_sold) } }
            div { dt { (context.t("Held", "保留")) } dd { (trip.seats_held) } }
            div { dt { (context.t("Riders", "乘客")) } dd { (trip.riders) } }
            div { dt { (context.t("Paid", "已支付")) } dd { (money(trip.money)) } }
        }
        @if trip.kind == "changes" {
            p { (orders(preview.orders_moved)) " " (context.t(if preview.orders_moved == 1 { "stays" } else { "stay" }, "保留")) ", "
                (grouped(preview.orders_ended)) " " (context.t(if preview.orders_ended == 1 { "ends" } else { "end" }, "结束")) "; "
                (money(preview.refunded)) " " (context.t("is refunded", "将退款")) }
        }
    }
}

/// What was previewed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Apply {
    #[serde(default)]
    bus: String,
    #[serde(default)]
    price: String,
    #[serde(default)]
    prices: String,
    #[serde(default)]
    follow: String,
    digest: String,
}

pub(crate) async fn apply(
    State(app): State<App>,
    Path(Id(id)): Path<Id>,
    ConfirmedForm(form): ConfirmedForm<Apply>,
) -> PageResult {
    let (context, by, Apply { bus, price, prices, follow, digest }) = form.into_parts();
    let change = Wanted { bus, price, prices, follow }.change()?;
    let mut tx = storage::begin(&app.saga.pool).await?;
    let done = one_trip::apply(&mut tx, &by, TripId(id), &change, &digest).await?;
    tx.commit().await?;
    let notice = if done.is_running() {
        context.t(
            "The trip is changed ✓; workers move and refund the riders",
            "班次已变更 ✓；后台正在为乘客换座或退款",
        )
    } else {
        context.t("The trip is changed ✓", "班次已变更 ✓")
    };
    Ok(redirect_with_notice(&context, &format!("/console/trips/{id}"), notice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_of_classes_are_read_and_refused() {
        let read = |text| by_class(text).map(|prices| prices.map(|prices| prices.len()));
        assert_eq!(read(" , "), Ok(None));
        assert_eq!(read("business 9.00, second class 4.00"), Ok(Some(2)));
        for bad in ["business", "business 9.005", "business nine", "a 1.00, a 2.00"] {
            assert_eq!(read(bad).map_err(|error| error.pointer), Err("prices".into()), "{bad}");
        }
    }
}
