//! Forms: each comes from one of these pages; those of a session carry its token.

use super::{
    Web,
    frame::refused,
    refusals::out_of_date,
    session::{Visitor, inside, page_of},
    views::Account,
};
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
    http::HeaderMap,
    response::{IntoResponse, Response},
};

/// What a form may hold several times: the seats that were chosen.
const REPEATED: [&str; 1] = ["seats"];
/// Most seats of a form that is out of date that stay in an address: more than an order may have.
const MAX_KEPT_SEATS: usize = 50;

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

    /// The address that leads on from a form that is out of date, with what was chosen.
    fn leads_on(&self) -> String {
        let (path, mut seats) = (&self.visitor.path, self.all("seats"));
        seats.truncate(MAX_KEPT_SEATS);
        match self.text("next") {
            _ if !seats.is_empty() => {
                let seats = serde_urlencoded::to_string([("seats", seats.join(","))]).unwrap_or_default();
                format!("{path}?{seats}")
            }
            "" => path.clone(),
            next => inside(next).to_owned(),
        }
    }

    /// The answer to a form that no page of this session made.
    async fn forged(self, web: &Web, headers: &HeaderMap, address: Address) -> Response {
        let caller = self.visitor.caller;
        let account = caller.map(|caller| security::account(caller.rider_id));
        Event::FormForged.record(account.as_deref(), Some(&security::network(address.0)));
        let visitor = Visitor { path: self.leads_on(), ..self.visitor };
        let now = match caller {
            Some(_) => visitor.api.read::<Account>("/v1/riders/me").await.ok(),
            None => None,
        };
        refused(web, &visitor, headers, &out_of_date(&visitor, now.map(|account| account.user_name)))
    }
}

impl FromRequest<Web> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Response> {
        let app = &web.app;
        let path = page_of(request.uri().path()).to_owned();
        let visitor = Visitor::of(web, request.headers(), request.extensions(), path);
        let headers = request.headers().clone();
        let address = Address::of(request.extensions(), &headers, app.settings.http.trusted_proxies);
        if !is_own_page(app, &headers) {
            return Err(Self { visitor, fields: Pairs::new() }.forged(web, &headers, address).await);
        }
        let bytes = bytes(request, app).await.map_err(IntoResponse::into_response)?;
        let text = String::from_utf8_lossy(&bytes);
        let fields = strict::pairs_of_lines(&text)
            .and_then(|fields| strict::once(&fields, &REPEATED).map(|()| fields));
        let fields = fields.map_err(|error| Problem::field(&error).into_response())?;
        let form = Self { visitor, fields };
        match form.visitor.caller {
            Some(caller) if !verify_csrf(form.text("csrf"), app, caller.session_id) => {
                Err(form.forged(web, &headers, address).await)
            }
            _ => Ok(form),
        }
    }
}
