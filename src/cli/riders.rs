//! `farebox riders`: what is held of a person, exported or erased.

use super::{
    args::{AboutRider, Riders},
    database::{Database, Open},
    jobs, shell,
};
use crate::{
    app,
    domain::BoxError,
    ops::{self, Attribution, people},
    security, storage,
};
use secrecy::ExposeSecret;

impl Riders {
    pub(super) async fn run(self) -> Result<(), BoxError> {
        let (Self::Export(AboutRider { data, user, reason })
        | Self::Forget(AboutRider { data, user, reason })) = &self;
        let settings = app::settings(&[])?;
        security::set_key(security::digest_key(settings.secrets.token_key.expose_secret().as_bytes()));
        let database = Database::open(data, &settings, Open::Existing).await?;
        let pool = database.current(&settings).await?;
        let reason = ops::checked(reason).map_err(|error| format!("--reason: {}", error.rule))?;
        let by = Attribution::new(shell::user(), Some(reason));
        let rider = people::account_of(&pool, user).await.map_err(jobs::sentence)?;
        let mut tx = storage::begin(&pool).await?;
        match self {
            Self::Export(_) => {
                let held = people::export(&mut tx, &by, rider).await.map_err(jobs::sentence)?;
                tx.commit().await?;
                println!("{held:#}");
            }
            Self::Forget(_) => {
                people::forget(&mut tx, &by, rider).await.map_err(jobs::sentence)?;
                tx.commit().await?;
                println!("{rider} forgotten");
            }
        }
        Ok(())
    }
}
