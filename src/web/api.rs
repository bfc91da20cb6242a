//! The API as a page calls it: in this process, behind the same limits, with the session's token and
//! the client's address.

use super::Web;
use crate::{
    accounts::token_keys::Use,
    browser::language::Lang,
    http::{
        App,
        acknowledged::Acknowledged,
        middleware::{client_address::Peer, context::with_language},
    },
};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header},
    response::Response,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tower::ServiceExt;

/// The largest answer that a page is made of, bytes: a list of trips, or the map of the largest bus.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// The headers of the browser's request that the API needs: where the client is, and by which way.
const PASSED_ON: [HeaderName; 4] = [
    header::HOST,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    // Refused in production.
    HeaderName::from_static("farebox-fault"),
];

/// The API for one request of a browser.
#[derive(Clone)]
pub(super) struct Api {
    app: App,
    routes: Router,
    headers: HeaderMap,
    peer: Option<Peer>,
    lang: Lang,
    token: Option<String>,
}

/// What the API answered with success.
pub(super) struct Answer {
    pub(super) body: Value,
    /// The change that the answer acknowledges, for the log.
    pub(super) acknowledged: Option<Acknowledged>,
}

impl Answer {
    /// The response of the page, which acknowledges the same change.
    pub(super) fn acknowledged_by(&self, mut response: Response) -> Response {
        if let Some(change) = &self.acknowledged {
            response.extensions_mut().insert(change.clone());
        }
        response
    }
}

/// What the API refused, or could not do.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    /// The problem (RFC 9457).
    pub(super) problem: Map<String, Value>,
}

impl Refused {
    /// A member of the problem that is text.
    pub(super) fn text(&self, name: &str) -> &str {
        self.problem.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The problem's code.
    pub(super) fn code(&self) -> &str {
        self.text("code")
    }

    /// Whether the session has ended.
    pub(super) fn is_signed_out(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED && self.code() == SIGNED_OUT
    }

    /// An answer that is no JSON, or not the expected one.
    fn broken() -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, problem: Map::new() }
    }
}

/// The code of a token that is missing or has ended.
const SIGNED_OUT: &str = "003002";

impl Api {
    pub(super) fn new(
        web: &Web,
        headers: &HeaderMap,
        extensions: &Extensions,
        lang: Lang,
        token: Option<String>,
    ) -> Self {
        let names = PASSED_ON;
        let passed = names.iter().flat_map(|name| headers.get_all(name).iter().map(move |v| (name, v)));
        let headers = passed.map(|(name, value)| (name.clone(), value.clone())).collect();
        let (app, routes) = (web.app.clone(), web.api.clone());
        Self { app, routes, headers, peer: extensions.get().copied(), lang, token }
    }

    /// The same with the token of a session that has just begun.
    pub(super) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Reads what is at this address.
    pub(super) async fn read<T: DeserializeOwned>(&self, address: &str) -> Result<T, Refused> {
        let answer = self.send(Method::GET, address, None, None).await?;
        serde_json::from_value(answer.body).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "a page cannot read the API's answer");
            Refused::broken()
        })
    }

    /// Sends a change, under the key of its form.
    pub(super) async fn post(&self, address: &str, key: &str, body: &Value) -> Result<Answer, Refused> {
        self.send(Method::POST, address, Some(key), Some(body)).await
    }

    /// The idempotency key of what a form sends. A browser that goes back shows a page with its old form:
    /// with another choice, or a corrected password, the form asks for another change, and needs no script
    /// for another key. The same form sent twice is one change still. A password is not guessed from the
    /// key, which is a digest under the process's secret.
    fn key_of(&self, key: &str, address: &str, body: &str) -> String {
        // The API says what is wrong with a form without a key.
        if key.is_empty() {
            return String::new();
        }
        let parts = [address, key, body].join("\0");
        URL_SAFE_NO_PAD.encode(self.app.sessions.keys().digest(Use::Requests, &[parts.as_bytes()]))
    }

    /// Sends a request. Safe to drop where the API's own handlers are: a saga runs to its end.
    pub(super) async fn send(
        &self,
        method: Method,
        address: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer, Refused> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let key = key.map(|key| self.key_of(key, address, &body));
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = address.parse().map_err(|_| Refused::broken())?;
        *request.headers_mut() = self.headers.clone();
        let language = HeaderValue::from_static(self.lang.code());
        request.headers_mut().insert(header::ACCEPT_LANGUAGE, language);
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut set = |name: HeaderName, value: Option<String>| {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                request.headers_mut().insert(name, value);
            }
        };
        set(header::AUTHORIZATION, self.token.as_ref().map(|token| format!("Bearer {token}")));
        set(HeaderName::from_static("idempotency-key"), key);
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        let serving = self.routes.clone().oneshot(request);
        let Ok(response) = with_language(self.lang == Lang::Chinese, serving).await;
        let status = response.status();
        let acknowledged = response.extensions().get::<Acknowledged>().cloned();
        let body = to_bytes(response.into_body(), MAX_ANSWER_BYTES).await.map_err(|_| Refused::broken())?;
        let body: Value = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).map_err(|_| Refused::broken())?
        };
        match body {
            body if status.is_success() => Ok(Answer { body, acknowledged }),
            Value::Object(problem) => Err(Refused { status, problem }),
            _ => Err(Refused::broken()),
        }
    }
}
