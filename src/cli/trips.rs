//! `farebox trips …`: makes trips; shows and cancels one, with the same act as `/v1/ops` and the console.

use super::{
    database::{Database, Open},
    jobs::{by, sentence},
    shell,
    trip_args::{CancelTrip, MakeTrips, OneTrip, TripAct, Trips},
};
use crate::{
    app,
    domain::{BoxError, Currency, Money, TripId},
    ops::{self, Attribution},
    orders::search::at_stake,
    storage,
    trips::{self, Viewer, cancel, cancel::Progress},
};
use serde_json::json;
use sqlx::PgPool;

impl Trips {
    pub(crate) async fn run(self) -> Result<(), BoxError> {
        let settings = app::settings(&[])?;
        let data = self.act.as_ref().map_or(&self.make.data, TripAct::data);
        let pool = Database::open(data, &settings, Open::Existing).await?.current(&settings).await?;
        match self.act {
            None => make(&pool, settings.trips.zone, &self.make).await,
            Some(TripAct::Show(one)) => show(&pool, &one).await,
            Some(TripAct::Cancel(CancelTrip { one, why })) => {
                let (by, mut tx) = (by(&why)?, storage::begin(&pool).await?);
                let cancelled =
                    ops::trips::cancel(&mut tx, &by, TripId(one.id.0), one.message.as_ref()).await;
                let progress = cancelled.map_err(sentence)?;
                tx.commit().await?;
                one.print(&progress);
                Ok(())
            }
        }
    }
}

/// Makes the trips of the coming days, and prints how many and which departures could not be made.
async fn make(pool: &PgPool, otherwise: chrono_tz::Tz, args: &MakeTrips) -> Result<(), BoxError> {
    let zone = trips::zone_of_days(pool, otherwise).await?;
    let today = chrono::Utc::now().with_timezone(&zone).date_naive();
    let mut tx = storage::begin(pool).await?;
    let by = Attribution::new(shell::user(), None);
    let made = ops::trips::generate(&mut tx, &by, zone, today, args.days).await.map_err(sentence)?;
    tx.commit().await?;
    println!("{} trips made", made.trips);
    for skipped in &made.skipped {
        println!("not made: departure {} on {}: {}", skipped.timetable_id, skipped.day, skipped.error);
    }
    Ok(())
}

async fn show(pool: &PgPool, one: &OneTrip) -> Result<(), BoxError> {
    let id = TripId(one.id.0);
    let mut conn = pool.acquire().await?;
    if let Some(progress) = cancel::progress(&mut conn, id).await? {
        one.print(&progress);
        return Ok(());
    }
    let trip = trips::detail(&mut conn, id, Viewer::Staff).await?.ok_or("there is no such trip")?.trip;
    drop(conn);
    let ends = at_stake(pool, id).await?;
    let (paid, read) = (Money::from_database(ends.paid), ops::trips::riders_read(one.message.as_ref()).en);
    if one.shown.json {
        let ends = json!({ "orders": ends.orders, "riders": ends.riders, "paid": paid });
        println!("{}", json!({ "trip": trip, "ends": ends, "riders_read": read }));
        return Ok(());
    }
    println!("{id} {}, bus {}, direction {}", trip.status, trip.bus_id, trip.direction);
    println!("departs:        {}", trip.departs_at);
    println!("free seats:     {} of {}", trip.free_seats, trip.capacity);
    println!("orders:         {}, of riders: {}", ends.orders, ends.riders);
    println!("paid:           {paid} {}", Currency::installed());
    println!("{read}");
    Ok(())
}

impl OneTrip {
    fn print(&self, progress: &Progress) {
        if self.shown.json {
            println!("{}", json!(progress));
            return;
        }
        let ended = progress.orders - progress.left;
        println!("{} cancelled: {ended} of {} orders ended", progress.trip_id, progress.orders);
        match &progress.message {
            Some(message) => println!("riders read:    {message}"),
            None => println!("riders read:    no message"),
        }
    }
}
