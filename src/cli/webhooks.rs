//! `farebox webhooks …`, with the same acts as `/v1/ops`.

use super::{
    job_args::Shown,
    jobs::{by, sentence},
    webhook_args::{Act, Deliveries, Redeliver, Webhooks},
};
use crate::{
    accounts::passwords::Passwords,
    domain::{BoxError, Error, Instant, WebhookName},
    ops::webhooks as acts,
    settings::Settings,
    storage,
    webhooks::{self, Addresses, Change, Endpoint, NewEndpoint},
};
use farebox_jobs::EventKind;
use serde::Serialize;
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

impl Webhooks {
    pub(crate) async fn run(self, pool: &PgPool, settings: &Settings) -> Result<(), BoxError> {
        match self {
            Self::List(shown) => {
                for endpoint in webhooks::list(pool).await? {
                    print(&shown, &endpoint, &line(&endpoint))?;
                }
                Ok(())
            }
            Self::Add(add) => {
                let kinds = if add.kinds.is_empty() { EventKind::ALL.to_vec() } else { add.kinds };
                let (name, url) = (name(&add.name)?, address(settings, add.url)?);
                let new = NewEndpoint { id: Uuid::now_v7(), name, url, kinds };
                let (by, mut tx) = (by(&add.why)?, storage::begin(pool).await?);
                let added = acts::add(&mut tx, &by, new).await;
                done(tx, added, &add.shown).await
            }
            Self::Change(change) => {
                let what = Change {
                    seen: None,
                    name: change.name.as_deref().map(name).transpose()?,
                    url: change.url.map(|url| address(settings, url)).transpose()?,
                    kinds: change.kinds,
                };
                let act = change.act;
                let (by, mut tx) = (by(&act.why)?, storage::begin(pool).await?);
                let changed = acts::change(&mut tx, &by, act.id.0, what).await;
                done(tx, changed, &act.shown).await
            }
            Self::Enable(act) => set_enabled(pool, &act, true).await,
            Self::Disable(act) => set_enabled(pool, &act, false).await,
            Self::Rotate(act) => {
                let (by, mut tx) = (by(&act.why)?, storage::begin(pool).await?);
                let rotated = acts::rotate(&mut tx, &by, act.id.0).await;
                done(tx, rotated, &act.shown).await
            }
            Self::Remove(act) => {
                let (by, mut tx) = (by(&act.why)?, storage::begin(pool).await?);
                let removed = acts::remove(&mut tx, &by, act.id.0).await;
                done(tx, removed, &act.shown).await
            }
            Self::Secret(act) => print_secret(pool, settings, &act).await,
            Self::Deliveries(which) => print_deliveries(pool, &which).await,
            Self::Redeliver(which) => redeliver(pool, settings, &which).await,
        }
    }
}

async fn set_enabled(pool: &PgPool, act: &Act, enabled: bool) -> Result<(), BoxError> {
    let (by, mut tx) = (by(&act.why)?, storage::begin(pool).await?);
    let changed = acts::set_enabled(&mut tx, &by, act.id.0, enabled).await;
    done(tx, changed, &act.shown).await
}

async fn print_secret(pool: &PgPool, settings: &Settings, act: &Act) -> Result<(), BoxError> {
    let passwords = Passwords::new(&settings.secrets.peppers(), settings.passwords)?;
    let (by, mut tx) = (by(&act.why)?, storage::begin(pool).await?);
    let secret = acts::secret(&mut tx, &by, &passwords, act.id.0).await.map_err(sentence)?;
    tx.commit().await?;
    print(&act.shown, &secret, &secret.secret)
}

async fn print_deliveries(pool: &PgPool, which: &Deliveries) -> Result<(), BoxError> {
    if !webhooks::has_been(pool, which.id.0).await? {
        return Err("there is no such webhook".into());
    }
    let page = webhooks::deliveries(pool, which.id.0, which.state, None, which.limit).await?;
    for one in page.items {
        let error = one.last_error.as_deref().map_or(String::new(), |error| format!(": {error}"));
        print(&which.shown, &one, &format!("{one}, {} attempts{error}", one.attempts))?;
    }
    Ok(())
}

async fn redeliver(pool: &PgPool, settings: &Settings, which: &Redeliver) -> Result<(), BoxError> {
    let act = &which.act;
    let event = which.event.as_deref().map(webhooks::event_id).transpose();
    let event = event.map_err(|refusal| sentence(refusal.into()))?;
    let (by, mut tx) = (by(&act.why)?, storage::begin(pool).await?);
    let (id, give_up) = (act.id.0, settings.webhooks.give_up());
    let again = match event {
        Some(event) => acts::again(&mut tx, &by, id, event, give_up).await,
        None => acts::again_all(&mut tx, &by, id, which.since.map(Instant::utc), give_up).await,
    };
    let again = again.map_err(sentence)?;
    tx.commit().await?;
    let more = if again.more { "; more have failed" } else { "" };
    print(&act.shown, &again, &format!("{} are sent again{more}", again.redelivered))
}

async fn done(
    tx: Transaction<'static, Postgres>,
    changed: Result<Endpoint, Error>,
    shown: &Shown,
) -> Result<(), BoxError> {
    let endpoint = changed.map_err(sentence)?;
    tx.commit().await?;
    print(shown, &endpoint, &line(&endpoint))
}

fn name(text: &str) -> Result<WebhookName, BoxError> {
    text.parse().map_err(|rule| format!("--name: {rule}").into())
}

fn address(settings: &Settings, url: String) -> Result<String, BoxError> {
    let addresses = Addresses::new(&settings.webhooks, settings.environment);
    addresses.read(&url).map_err(|rule| format!("--url: {rule}"))?;
    Ok(url)
}

fn line(endpoint: &Endpoint) -> String {
    let Endpoint { id, name, url, kinds, state, pending, failures, .. } = endpoint;
    format!("{id} {state} {name:?} {url} {}: {pending} wait, {failures} failures in a row", kinds.join(","))
}

fn print(shown: &Shown, thing: &impl Serialize, text: &str) -> Result<(), BoxError> {
    if shown.json {
        println!("{}", serde_json::to_string(thing)?);
    } else {
        println!("{text}");
    }
    Ok(())
}
