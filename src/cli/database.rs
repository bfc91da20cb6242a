//! The database that a command works on.

use crate::{
    app,
    domain::BoxError,
    embedded::{self, Server},
    settings::{self, Settings},
    storage::{
        self,
        roles::{self, RoleNames},
    },
};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The database of the embedded server.
const DATABASE: &str = "farebox";

/// The option of every command that needs a database.
#[derive(Args)]
pub(super) struct Data {
    /// The folder of the embedded database, used when DATABASE_URL is not set.
    #[arg(long, env = "FAREBOX_DATA", global = true)]
    pub(super) data: Option<PathBuf>,
}

/// The database of a command: `DATABASE_URL`, else the embedded server, which is held for as long
/// as this lives.
pub(super) struct Database {
    pub(super) url: SecretString,
    pub(super) folder: PathBuf,
    server: Option<Server>,
}

/// How a command opens its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// The embedded server's cluster must exist; nothing is made and nothing is installed.
    Existing,
    /// A missing cluster is made, and PostgreSQL installed for it if there is none.
    OrMake,
    /// As [`Self::OrMake`], and the embedded database is emptied.
    Fresh,
}

impl Database {
    pub(super) async fn open(data: &Data, settings: &Settings, how: Open) -> Result<Self, BoxError> {
        let folder = data.data.clone().unwrap_or_else(embedded::default_data_dir);
        if settings::database_url()?.is_some() {
            return Ok(Self { url: app::database_url(settings)?, folder, server: None });
        }
        if settings.environment.is_production() && data.data.is_none() {
            return Err("in production, set DATABASE_URL, or name the folder of a private server with \
                        --data: without them, the command would work on a database of its own"
                .into());
        }
        let options =
            embedded::Options { data: folder.clone(), durable: true, max_connections: 200, settings: &[] };
        let server = match how {
            Open::Existing => embedded::start_existing(&options).await?,
            Open::OrMake | Open::Fresh => embedded::start(&options).await?,
        };
        if how == Open::Fresh {
            embedded::drop_database(&server, DATABASE).await?;
        }
        if how != Open::Existing {
            embedded::ensure_database(&server, DATABASE).await?;
        }
        Ok(Self { url: server.url(DATABASE).into(), folder, server: Some(server) })
    }

    /// Whether Farebox started the server by itself, so that the data is its own.
    pub(super) fn is_embedded(&self) -> bool {
        self.server.is_some()
    }

    /// A pool for a command that needs a schema that this build runs on. Amounts are in the
    /// database's currency from then on.
    pub(super) async fn current(&self, settings: &Settings) -> Result<PgPool, BoxError> {
        let pool = self.pool(settings)?;
        storage::require_sessions(&pool).await?;
        storage::require_schema(&pool).await?;
        storage::currency::learn(&pool).await?;
        Ok(pool)
    }

    /// Pools for an API and for a worker. On the embedded server they connect as the roles of those,
    /// which are made; a database of one's own is used as its URL says.
    pub(super) async fn serving(&self, settings: &Settings, owner: PgPool) -> Result<[PgPool; 2], BoxError> {
        let Some(server) = &self.server else { return Ok([owner.clone(), owner]) };
        let names = RoleNames { owner: embedded::USER.to_owned(), ..RoleNames::default() };
        roles::establish(&owner, &names).await?;
        owner.close().await;
        let pool = |role: &str| storage::pool(&server.url_as(role, DATABASE), &settings.database, "farebox");
        Ok([pool(&names.api)?, pool(&names.worker)?])
    }

    pub(super) fn pool(&self, settings: &Settings) -> Result<PgPool, sqlx::Error> {
        storage::pool(self.url.expose_secret(), &settings.database, "farebox")
    }
}

/// Sets the secrets of a private server if none are set: made once and stored beside its data,
/// readable by their owner only. In production secrets are set, or refused.
pub(super) fn add_dev_secrets(settings: &mut Settings, folder: &Path) -> Result<(), BoxError> {
    if settings.secrets.are_unset() && !settings.environment.is_production() {
        (settings.secrets.token_key, settings.secrets.pepper) = dev_secrets(folder)?;
    }
    Ok(settings.require_secrets()?)
}

fn dev_secrets(folder: &Path) -> Result<(SecretString, SecretString), BoxError> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join("dev-secrets");
    let fresh = || uuid::Uuid::new_v4().simple().to_string();
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => writeln!(file, "{}{}\n{}{}", fresh(), fresh(), fresh(), fresh())?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    let text = std::fs::read_to_string(&path)?;
    let mut lines = text.lines().map(SecretString::from);
    lines.next().zip(lines.next()).ok_or_else(|| format!("{} is damaged: delete it", path.display()).into())
}
