//! Forms: each comes from one of these pages; those of a session carry its token.

use super::{Web, frame::refused, refusals::out_of_date, session::Visitor};
use crate::{
    browser::{csrf::verify_csrf, origin::is_own_page},
    http::{
        extract::{
            bytes,
            strict::{self, Pairs},
        },
        middleware::client_address::Address,
        problem::Problem,
    },
    security::{self, Event},
};
use axum::{
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};

/// What the address of a form has at its end, behind the address of its page.
const ACTS: [&str; 7] =
    ["/pay", "/cancel", "/refund", "/evaluate", "/pay-password", "/sign-out", "/preferences"];
/// What a form may hold several times: the seats that were chosen.
const REPEATED: [&str; 1] = ["seats"];

/// A form and its sender.
pub(super) struct Form {
    pub(super) visitor: Visitor,
    fields: Pairs,
}

impl Form {
    /// The value of a field; empty if it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// The value of a field that may be left empty.
    pub(super) fn some(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.trim().is_empty())
    }

    /// All values of a field.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.clone()).collect()
    }
}

impl FromRequest<Web> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Response> {
        let app = &web.app;
        let path = page_of(request.uri().path()).to_owned();
        let visitor = Visitor::of(web, request.headers(), request.extensions(), path);
        let forged = {
            let proxies = app.settings.http.trusted_proxies;
            let address = Address::of(request.extensions(), request.headers(), proxies);
            let (visitor, headers) = (visitor.clone(), request.headers().clone());
            move || {
                let account = visitor.caller.map(|caller| security::account(caller.rider_id));
                Event::FormForged.record(account.as_deref(), Some(&security::network(address.0)));
                refused(web, &visitor, &headers, &out_of_date(&visitor))
            }
        };
        if !is_own_page(app, request.headers()) {
            return Err(forged());
        }
        let bytes = bytes(request, app).await.map_err(IntoResponse::into_response)?;
        let text = String::from_utf8_lossy(&bytes);
        let fields = strict::pairs_of_lines(&text)
            .and_then(|fields| strict::once(&fields, &REPEATED).map(|()| fields));
        let fields = fields.map_err(|error| Problem::field(&error).into_response())?;
        let form = Self { visitor, fields };
        match form.visitor.caller {
            Some(caller) if !verify_csrf(form.text("csrf"), app, caller.session_id) => Err(forged()),
            _ => Ok(form),
        }
    }
}

/// The page that a form with this address is on; the first one if it is on every page.
fn page_of(path: &str) -> &str {
    ACTS.iter().find_map(|act| path.strip_suffix(act)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::page_of;

    #[test]
    fn a_form_is_on_a_page() {
        for (form, page) in [
            ("/ride/orders/7/pay", "/ride/orders/7"),
            ("/ride/account/pay-password", "/ride/account"),
            ("/ride/sign-out", "/ride"),
            ("/ride/trips/7", "/ride/trips/7"),
            ("/ride/sign-in", "/ride/sign-in"),
        ] {
            assert_eq!(page_of(form), page);
        }
    }
}
