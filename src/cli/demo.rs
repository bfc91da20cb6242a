//! Demo data, for `farebox dev` only: the timetable's next week, twenty riders with money, two
//! operators.

use crate::{
    accounts::Role,
    domain::{BoxError, Money, RiderId},
    payment::by_hand,
    saga::SagaContext,
    storage, trips,
};
use chrono::Utc;
use chrono_tz::Tz;
use uuid::Uuid;

/// Riders of the demo.
const RIDERS: usize = 20;
/// Days of trips.
const DAYS: u16 = 7;
/// The password of every account, as in the README.
const PASSWORD: &str = "farebox-demo";
/// Every rider's pay password.
const PAY_PASSWORD: &str = "123456";
/// The first balance of each wallet.
const BALANCE: &str = "1000.00";

/// Adds the missing demo data; a second run changes nothing.
///
/// # Errors
/// The database's, or the hasher's.
pub async fn seed(saga: &SagaContext, zone: Tz) -> Result<(), BoxError> {
    let today = Utc::now().with_timezone(&zone).date_naive();
    let mut tx = storage::begin(&saga.pool).await?;
    let trips = trips::generate(&mut tx, zone, today, DAYS).await?.trips;
    tx.commit().await?;
    let (password, pay) = (saga.passwords.hash(PASSWORD).await?, saga.passwords.hash(PAY_PASSWORD).await?);
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
    .fetch_all(&saga.pool)
    .await?;
    let balance: Money = BALANCE.parse()?;
    for rider in &added {
        let mut tx = storage::begin(&saga.pool).await?;
        let cap = saga.wallets.max_balance;
        let reference = format!("demo {rider}").parse()?;
        by_hand::top_up(&mut tx, RiderId(*rider), balance.min(cap), &reference, cap)
            .await
            .map_err(|e| format!("{e:?}"))?;
        tx.commit().await?;
    }
    tracing::info!(trips, accounts = added.len(), "demo data added");
    Ok(())
}
