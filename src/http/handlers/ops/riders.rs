//! What operators do about the accounts of riders.

use super::by;
use crate::http::{
    App,
    extract::{ConfirmedChange, Path, rider_id},
    problem::Problem,
};
use crate::{
    accounts::password_reset::ResetCode,
    ops::accounts::{self, Reset},
    storage,
};
use axum::{Json, extract::State, http::StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why an account gets a new password.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetRequest {
    #[schemars(with = "crate::domain::Reason")]
    reason: String,
}

/// Ignores an idempotency key: the response is a secret and is not stored. A client that did not get
/// it has another code made, which voids the first.
pub(crate) async fn reset_password(
    State(app): State<App>,
    Path(id): Path<String>,
    ConfirmedChange(change): ConfirmedChange<ResetRequest>,
) -> Result<(StatusCode, Json<ResetCode>), Problem> {
    let (rider, by) = (rider_id(&id)?, by(&change.caller, Some(&change.body.reason))?);
    let reset = Reset { secs: app.settings.accounts.reset_code_secs, second_factor: false };
    let mut tx = storage::begin(&change.saga.pool).await?;
    let code = accounts::reset_password(&mut tx, &by, rider, reset).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(code)))
}
