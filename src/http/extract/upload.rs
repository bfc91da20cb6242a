//! A file as the body of an operator's request.

use super::{
    bytes_up_to,
    caller::{denied, identified, in_use},
};
use crate::{
    accounts::Caller,
    http::{App, problem::Problem},
    network::bounds::MAX_ZIP_BYTES,
};
use axum::extract::{FromRequest, Request};

/// A zip that an operator sent, whatever its content type says.
pub(crate) struct Upload {
    pub(crate) caller: Caller,
    pub(crate) zip: Vec<u8>,
}

impl FromRequest<App> for Upload {
    type Rejection = Problem;

    /// Who may not send it is refused before the body is read.
    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let caller = in_use(identified(request.headers(), request.extensions(), app)?, app).await?;
        if !caller.role.may_operate() {
            return Err(denied(&caller));
        }
        Ok(Self { caller, zip: bytes_up_to(request, app, MAX_ZIP_BYTES).await? })
    }
}
