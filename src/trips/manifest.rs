//! The manifest of a trip: its passengers, as JSON and as CSV.
//!
//! The orders of a trip are found through its seats. The orders of a cancelled trip have lost their
//! seats: they were recorded when the trip was cancelled, and by the job of the cancellation.

use crate::domain::{
    OrderId, RiderId, TripId,
    csv::{BOM, cell},
};
use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

/// The columns of the CSV.
const COLUMNS: [&str; 12] = [
    "seat",
    "order_id",
    "rider_id",
    "user_name",
    "status",
    "paid",
    "nick_name",
    "phone",
    "email",
    "paid_at",
    "closed_reason",
    "payment",
];

/// The manifest of a trip.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Manifest {
    /// The trip.
    pub trip_id: TripId,
    /// When the trip was cancelled, if it was: `seats` has the passengers of that time.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub cancelled_at: Option<DateTime<Utc>>,
    /// Why it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled_reason: Option<String>,
    /// Each seat that an order holds, or held when the trip was cancelled, in the order of the bus.
    pub seats: Vec<Line>,
}

/// A seat and its passenger.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Line {
    /// Its label.
    pub seat: String,
    /// The order that holds it.
    pub order_id: OrderId,
    /// The order's rider.
    pub rider_id: RiderId,
    /// The rider's user name.
    pub user_name: String,
    /// The order's state.
    #[schemars(with = "crate::domain::OrderStatus")]
    pub status: String,
    /// Whether the order is paid and not refunded.
    pub paid: bool,
    /// The rider's nick name, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nick_name: Option<String>,
    /// The rider's phone number, if there is one; only for operators and admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The rider's e-mail address, if there is one; only for operators and admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// When it was paid, if it ever was.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub paid_at: Option<DateTime<Utc>>,
    /// Why the order was closed, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::domain::words::ClosedReason>")]
    pub closed_reason: Option<String>,
    /// The state of the payment: `debited` (being paid), `settled` (paid), `refunded` (given back);
    /// absent if nothing was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::domain::words::PaymentStateWord>")]
    pub payment: Option<String>,
}

struct Row {
    cancelled_at: Option<DateTime<Utc>>,
    reason: Option<String>,
    seat: Option<String>,
    order_id: Option<Uuid>,
    rider_id: Option<Uuid>,
    user_name: Option<String>,
    nick_name: Option<String>,
    phone: Option<String>,
    email: Option<String>,
    status: Option<String>,
    paid_at: Option<DateTime<Utc>>,
    closed_reason: Option<String>,
    payment: Option<String>,
}

impl Row {
    /// `None` for the row of a trip without orders.
    fn line(self, contacts: bool) -> Option<Line> {
        let status = self.status?;
        Some(Line {
            seat: self.seat?,
            order_id: OrderId(self.order_id?),
            rider_id: RiderId(self.rider_id?),
            user_name: self.user_name?,
            paid: status == "paid",
            status,
            nick_name: self.nick_name,
            phone: self.phone.filter(|_| contacts),
            email: self.email.filter(|_| contacts),
            paid_at: self.paid_at,
            closed_reason: self.closed_reason,
            payment: self.payment,
        })
    }
}

/// The manifest of a trip, if the trip exists; with phone numbers and e-mail addresses if
/// `contacts`. Seats of running bookings are not in it, nor orders that had lost their seats before
/// the trip was cancelled.
///
/// # Errors
/// The database's.
pub async fn of(pool: &PgPool, trip: TripId, contacts: bool) -> Result<Option<Manifest>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"with had as (
               select order_id as id from seat where trip_id = $1 and order_id is not null
               union
               select unnest(order_ids) from trip_cancellation where trip_id = $1
               union
               select order_id from trip_cancellation_order where trip_id = $1
           )
           select t.cancelled_at, c.reason as "reason?", l.label as "seat?", l.id as "order_id?", l.rider_id as "rider_id?",
                  l.user_name as "user_name?", l.nick_name as "nick_name?", l.phone as "phone?", l.email as "email?",
                  l.status as "status?", l.paid_at as "paid_at?", l.closed_reason as "closed_reason?",
                  l.payment as "payment?"
           from trip t
           left join trip_cancellation c on c.trip_id = t.id
           left join (
               select u.seat, coalesce(u.label, u.seat::text) as label, o.id, o.rider_id, r.user_name, r.nick_name, r.phone, r.email, o.status, o.paid_at,
                      o.closed_reason,
                      (select p.state from payment p where p.order_id = o.id and p.state <> 'reversed') as payment
               from had join orders o on o.id = had.id join rider r on r.id = o.rider_id
               cross join lateral unnest(o.seats, o.labels) as u (seat, label)
           ) as l on true
           where t.id = $1 order by l.seat, l.id"#,
        trip.0
    )
    .fetch_all(pool)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let (cancelled_at, cancelled_reason) = (first.cancelled_at, first.reason.clone());
    let seats = rows.into_iter().filter_map(|row| row.line(contacts)).collect();
    Ok(Some(Manifest { trip_id: trip, cancelled_at, cancelled_reason, seats }))
}

impl Manifest {
    /// The name of the file that the CSV is saved as.
    pub fn file_name(&self) -> String {
        format!("manifest-{}.csv", self.trip_id)
    }

    /// The lines as CSV (RFC 4180) with a header. The columns are the same for every role. Texts of
    /// riders are escaped as [cells](cell).
    ///
    /// # Errors
    /// None that memory allows.
    pub fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        self.write(Vec::new())
    }

    /// The same for spreadsheets: with a byte order mark, so that they read it as UTF-8.
    ///
    /// # Errors
    /// None that memory allows.
    pub fn csv_for_spreadsheets(&self) -> Result<Vec<u8>, csv::Error> {
        self.write(BOM.to_vec())
    }

    fn write(&self, begun: Vec<u8>) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(begun);
        writer.write_record(COLUMNS)?;
        for line in &self.seats {
            let text = |text: &Option<String>| cell(text.as_deref().unwrap_or_default()).into_owned();
            let plain = |word: &Option<String>| word.clone().unwrap_or_default();
            let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
            writer.write_record([
                line.seat.clone(),
                line.order_id.to_string(),
                line.rider_id.to_string(),
                cell(&line.user_name).into_owned(),
                line.status.clone(),
                line.paid.to_string(),
                text(&line.nick_name),
                text(&line.phone),
                text(&line.email),
                line.paid_at.map(at).unwrap_or_default(),
                plain(&line.closed_reason),
                plain(&line.payment),
            ])?;
        }
        writer.into_inner().map_err(|error| error.into_error().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_quotes_what_would_break_it_and_marks_what_is_no_text() {
        let nil = Uuid::nil();
        let line = Line {
            seat: "1".to_owned(),
            order_id: OrderId(nil),
            rider_id: RiderId(nil),
            user_name: "a, \"b\"\nc".to_owned(),
            status: "paid".to_owned(),
            paid: true,
            nick_name: Some("=1+1".to_owned()),
            phone: Some("+8613800138000".to_owned()),
            email: None,
            paid_at: None,
            closed_reason: None,
            payment: Some("settled".to_owned()),
        };
        let manifest =
            Manifest { trip_id: TripId(nil), cancelled_at: None, cancelled_reason: None, seats: vec![line] };
        let text = String::from_utf8(manifest.csv().expect("memory")).expect("text");
        let expected = format!(
            "seat,order_id,rider_id,user_name,status,paid,nick_name,phone,email,paid_at,closed_reason,payment\r\n\
             1,{nil},{nil},\"a, \"\"b\"\"\nc\",paid,true,'=1+1,'+8613800138000,,,,settled\r\n"
        );
        assert_eq!(text, expected);
        let for_people = String::from_utf8(manifest.csv_for_spreadsheets().expect("memory")).expect("text");
        assert_eq!(for_people, format!("\u{feff}{expected}"));
    }
}
