//! Forms: each comes from one of these pages; those of a session carry its token.

use super::{Web, session::Visitor};
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
        let path = request.uri().path().to_owned();
        let visitor = Visitor::of(web, request.headers(), request.extensions(), path);
        let forged = {
            let proxies = app.settings.http.trusted_proxies;
            let address = Address::of(request.extensions(), request.headers(), proxies);
            let account = visitor.caller.map(|caller| security::account(caller.rider_id));
            move || {
                Event::FormForged.record(account.as_deref(), Some(&security::network(address.0)));
                Problem::denied().into_response()
            }
        };
        if !is_own_page(app, request.headers()) {
            return Err(forged());
        }
        let bytes = bytes(request, app).await.map_err(IntoResponse::into_response)?;
        let text = String::from_utf8_lossy(&bytes);
        let fields =
            strict::pairs(&text).and_then(|fields| strict::once(&fields, &REPEATED).map(|()| fields));
        let fields = fields.map_err(|error| Problem::field(&error).into_response())?;
        let form = Self { visitor, fields };
        match form.visitor.caller {
            Some(caller) if !verify_csrf(form.text("csrf"), app, caller.session_id) => Err(forged()),
            _ => Ok(form),
        }
    }
}
