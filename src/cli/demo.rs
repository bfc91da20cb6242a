//! Demo data, for `farebox dev` only: the demo's network and its next week, twenty riders with
//! money, two operators. It goes into Farebox's own database, or into an empty one on request.

use super::shell;
use crate::{
    accounts::Role,
    domain::{BoxError, Money, RiderId},
    network,
    ops::{Attribution, setup},
    payment::by_hand,
    saga::SagaContext,
    storage, trips,
};
use chrono::Utc;
use chrono_tz::Tz;
use uuid::Uuid;

/// Riders of the demo.
const RIDERS: usize = 20;
/// The demo's network.
const NETWORK: network::Embedded = &[
    ("network.toml", include_str!("../../config/demo-network/network.toml")),
    ("models.toml", include_str!("../../config/demo-network/models.toml")),
    ("stops.csv", include_str!("../../config/demo-network/stops.csv")),
    ("drivers.csv", include_str!("../../config/demo-network/drivers.csv")),
    ("buses.csv", include_str!("../../config/demo-network/buses.csv")),
    ("routes.csv", include_str!("../../config/demo-network/routes.csv")),
    ("directions.csv", include_str!("../../config/demo-network/directions.csv")),
    ("direction_stops.csv", include_str!("../../config/demo-network/direction_stops.csv")),
    ("calendars.csv", include_str!("../../config/demo-network/calendars.csv")),
    ("calendar_dates.csv", include_str!("../../config/demo-network/calendar_dates.csv")),
    ("departures.csv", include_str!("../../config/demo-network/departures.csv")),
    ("fares.csv", include_str!("../../config/demo-network/fares.csv")),
];
/// Days of trips.
const DAYS: u16 = 7;
/// The password of every account, as in the README.
const PASSWORD: &str = "farebox-demo";
/// Every rider's pay password.
const PAY_PASSWORD: &str = "123456";
/// The first balance of each wallet.
const BALANCE: &str = "1000";

/// Into which database demo data is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Farebox's own: what is missing is added, and a second run changes nothing.
    Missing,
    /// An empty one.
    IntoEmpty,
}

/// Adds demo data, with a row in the audit log if anything was added. All of it is one transaction,
/// so it may be dropped at any time.
///
/// # Errors
/// A database that is not empty and was to be; the database's, or the hasher's.
pub async fn seed(saga: &SagaContext, zone: Tz, wanted: Wanted) -> Result<(), BoxError> {
    let today = Utc::now().with_timezone(&zone).date_naive();
    let (password, pay) = (saga.passwords.hash(PASSWORD).await?, saga.passwords.hash(PAY_PASSWORD).await?);
    let mut tx = storage::begin(&saga.pool).await?;
    if wanted == Wanted::IntoEmpty {
        // Nobody registers between the look and the commit.
        sqlx::query("lock table rider in share row exclusive mode").execute(&mut *tx).await?;
        if !setup::is_empty(&mut tx).await? {
            return Err("--demo-data: the database is not empty, so nothing was added".into());
        }
    }
    if !trips::has_timetable(&mut tx).await? {
        let network = network::read_embedded(NETWORK).map_err(|faults| faults.to_string())?.network;
        let preview = trips::network::preview(&mut tx, &network).await?;
        let author =
            trips::network::Author { operator: None, actor: Some("farebox"), reason: "the demo network" };
        trips::network::import(&mut tx, &author, &network, &preview.digest).await?;
    }
    let trips = trips::generate(&mut tx, zone, today, DAYS).await?.trips;
    let riders = (1..=RIDERS).map(|n| (format!("rider{n}"), Role::Rider));
    let accounts = riders.chain([("ops".to_owned(), Role::Operator), ("viewer".to_owned(), Role::Viewer)]);
    let (names, roles): (Vec<_>, Vec<_>) =
        accounts.map(|(name, role)| (name, role.as_str().to_owned())).unzip();
    let ids: Vec<Uuid> = names.iter().map(|_| Uuid::now_v7()).collect();
    let added = sqlx::query_scalar!(
        r#"with added as (
               insert into rider (id, user_name, role, password_hash)
               select id, name, role, $4 from unnest($1::uuid[], $2::text[], $3::text[]) as r(id, name, role)
               on conflict (lower(user_name collate "C")) do nothing
               returning id
           ), purse as (
               insert into wallet (rider_id) select id from added
           ), secret as (
               insert into pay_password (rider_id, hash) select id, $5 from added
           )
           select id from added"#,
        &ids,
        &names,
        &roles,
        password,
        pay
    )
    .fetch_all(&mut *tx)
    .await?;
    let balance: Money = BALANCE.parse()?;
    for rider in &added {
        let cap = saga.wallets.max_balance.money();
        let reference = format!("demo {rider}").parse()?;
        by_hand::top_up(&mut tx, RiderId(*rider), balance.min(cap), &reference, cap)
            .await
            .map_err(|e| format!("{e:?}"))?;
    }
    if trips > 0 || !added.is_empty() {
        let by = Attribution::new(shell::user(), None);
        setup::record_demo_data(&mut tx, &by, trips, added.len()).await?;
    }
    tx.commit().await?;
    tracing::info!(trips, accounts = added.len(), "demo data added");
    Ok(())
}
