//! `farebox verify`.

use super::{
    args::Verify,
    database::{Database, Open},
    verdicts::print_verdicts,
};
use crate::{
    app,
    domain::BoxError,
    ops::{setup, verifier},
    storage::Reads,
    verify::Scope,
};
use std::process::ExitCode;

/// Prints every invariant's verdict; exit code 1 on a breach.
pub(super) async fn verify(args: Verify) -> Result<ExitCode, BoxError> {
    let settings = app::settings(&[])?;
    let database = Database::open(&args.data, &settings, Open::Existing).await?;
    let pool = database.current(&settings).await?;
    if settings.environment.is_production() && setup::is_empty_database(&pool).await? {
        return Err(
            "nothing to verify: the database holds no account; does DATABASE_URL name the right one?".into(),
        );
    }
    let scope =
        args.recent.map_or(Scope::Whole, |hours| Scope::Recent(chrono::Duration::hours(hours.into())));
    let replica = app::replica(&settings, &pool, "farebox").await?;
    let reads = Reads::new(pool, replica);
    let verdicts = verifier::check_where_fresh(&reads, scope, settings.verify.overdue_bound()).await?;
    let holds = verdicts.iter().all(|verdict| verdict.holds);
    if args.json {
        println!("{}", serde_json::json!({ "holds": holds, "invariants": verdicts }));
    } else {
        print_verdicts(&verdicts);
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
