//! A form that sends a file.

use super::{
    failure::Failure,
    form::{is_forged, require_own_page},
    multipart::{RULE, boundary, parts},
    session::{PageContext, page_context},
};
use crate::browser::csrf::verify_csrf;
use crate::{
    domain::FieldError,
    http::{
        App,
        extract::{bytes_up_to, denied},
        problem::Problem,
    },
    network::bounds::MAX_ZIP_BYTES,
};
use axum::{
    extract::{FromRequest, Request},
    http::header,
    response::{IntoResponse, Response},
};

/// Most bytes of such a form beside its file.
const MAX_FORM_BYTES: usize = 16 * 1024;

/// A file that an operator sent with a form of the console.
pub(crate) struct UploadForm {
    pub(crate) context: PageContext,
    pub(crate) file: Vec<u8>,
}

impl FromRequest<App> for UploadForm {
    type Rejection = Response;

    /// Who may not send it is refused before the body is read.
    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let refuse = |problem: Problem| Failure::from(problem).into_response();
        let headers = request.headers().clone();
        require_own_page(&request, app)?;
        let context = page_context(&headers, "/console".to_owned(), app, true).await?;
        if !context.can_write() {
            return Err(refuse(denied(&context.caller)));
        }
        let field = |name: &str, rule: &str| refuse(Problem::field(&FieldError::new(name, rule)));
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = kind.and_then(boundary).ok_or_else(|| field("form", RULE))?;
        let forged = is_forged(&request, app);
        let body = bytes_up_to(request, app, MAX_ZIP_BYTES + MAX_FORM_BYTES).await.map_err(refuse)?;
        let parts = parts(&body, boundary).ok_or_else(|| field("form", RULE))?;
        let one = |wanted: &str| match &parts.iter().filter(|(name, _)| name == wanted).collect::<Vec<_>>()[..]
        {
            [(_, content)] => Ok(*content),
            _ => Err(field(wanted, "this field is required, once")),
        };
        if let Some((name, _)) = parts.iter().find(|(name, _)| !["csrf", "file"].contains(&name.as_str())) {
            return Err(field(name, "this field is not taken"));
        }
        let csrf = std::str::from_utf8(one("csrf")?).unwrap_or_default();
        if !verify_csrf(csrf, app, context.caller.session_id) {
            return Err(forged(&context));
        }
        let file = one("file")?;
        if file.len() > MAX_ZIP_BYTES {
            return Err(field("file", &format!("at most {MAX_ZIP_BYTES} bytes")));
        }
        Ok(Self { file: file.to_vec(), context })
    }
}
