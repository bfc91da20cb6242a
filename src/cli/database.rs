//! The database that a command works on.

use crate::{
    domain::BoxError,
    embedded::{self, Server},
    settings::Settings,
    storage::{
        self,
        roles::{self, RoleNames},
    },
};
use clap::Args;
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
    pub(super) url: String,
    pub(super) folder: PathBuf,
    server: Option<Server>,
}

impl Database {
    pub(super) async fn open(data: &Data, fresh: bool) -> Result<Self, BoxError> {
        let folder = data.data.clone().unwrap_or_else(embedded::default_data_dir);
        if let Ok(url) = std::env::var("DATABASE_URL") {
            return Ok(Self { url, folder, server: None });
        }
        let options =
            embedded::Options { data: folder.clone(), durable: true, max_connections: 200, settings: &[] };
        let server = embedded::start(&options).await?;
        if fresh {
            embedded::drop_database(&server, DATABASE).await?;
        }
        embedded::ensure_database(&server, DATABASE).await?;
        Ok(Self { url: server.url(DATABASE), folder, server: Some(server) })
    }

    /// A pool for a command that needs this build's schema to be there.
    pub(super) async fn current(&self, settings: &Settings) -> Result<PgPool, BoxError> {
        let pool = self.pool(settings)?;
        storage::require_current(&pool).await?;
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
        storage::pool(&self.url, &settings.database, "farebox")
    }
}

/// The secrets of `farebox dev`, made once and stored beside its data, readable by their owner
/// only.
pub(super) fn dev_secrets(folder: &Path) -> Result<(String, String), BoxError> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join("dev-secrets");
    let fresh = || uuid::Uuid::new_v4().simple().to_string();
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => writeln!(file, "{}{}\n{}{}", fresh(), fresh(), fresh(), fresh())?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    let text = std::fs::read_to_string(&path)?;
    let mut lines = text.lines().map(str::to_owned);
    lines.next().zip(lines.next()).ok_or_else(|| format!("{} is damaged: delete it", path.display()).into())
}
