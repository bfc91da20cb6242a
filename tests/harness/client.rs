//! A client of the API.

use super::{PASSWORD, PAY_PASSWORD, World, described, new_rider};
use farebox::{
    accounts::{self, Role},
    domain::RiderId,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
    pub id: RiderId,
    fault: Option<String>,
    key: Option<String>,
    languages: Option<String>,
    traceparent: Option<String>,
    /// Whether this build describes the answers.
    is_described: bool,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Answer {
    /// The body, if the status is this one.
    #[track_caller]
    pub fn expect(&self, status: u16) -> &Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        &self.body
    }

    /// The body of a problem with this status and code.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> &Value {
        let body = self.expect(status);
        assert_eq!(body["code"], code, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text);
        assert_eq!(body["trace_id"].as_str().map(str::len), Some(32), "{}", self.text);
        body
    }
}

impl Client {
    /// Nobody yet.
    pub fn stranger(base: &str) -> Self {
        let http = reqwest::Client::new();
        let id = RiderId(uuid::Uuid::nil());
        Self {
            http,
            base: base.to_owned(),
            token: String::new(),
            id,
            fault: None,
            key: None,
            languages: None,
            traceparent: None,
            is_described: true,
        }
    }

    pub async fn sign_in(base: &str, user_name: &str) -> Self {
        Self::with_password(base, user_name, PASSWORD).await
    }

    /// A further operator of this world, signed in.
    pub async fn operator(world: &World, name: &str) -> Self {
        accounts::register(&world.pool, &world.saga.passwords, &new_rider(name), Role::Operator)
            .await
            .unwrap();
        Self::sign_in(&world.api.base(), name).await
    }

    pub async fn with_password(base: &str, user_name: &str, password: &str) -> Self {
        let stranger = Self::stranger(base);
        let answer =
            stranger.post("/v1/sessions", &json!({ "user_name": user_name, "password": password })).await;
        let body = answer.expect(201);
        let id = RiderId(body["rider"]["id"].as_str().unwrap().parse().unwrap());
        Self { token: body["token"].as_str().unwrap().to_owned(), id, ..stranger }
    }

    /// The same rider at another API process.
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), http: reqwest::Client::new(), ..self.clone() }
    }

    /// The same rider and the same connections, but to this address from now on.
    pub fn toward(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// The same address, with another token, or with none.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// What goes into the header.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The same rider, with this fault armed.
    pub fn fault(&self, fault: &str) -> Self {
        Self { fault: Some(fault.to_owned()), ..self.clone() }
    }

    /// The same, of an API of another release: this build does not describe its answers.
    pub fn of_another_release(&self) -> Self {
        Self { is_described: false, ..self.clone() }
    }

    /// The same rider, with this idempotency key.
    pub fn key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    /// The same rider, who reads these languages.
    pub fn reading(&self, languages: &str) -> Self {
        Self { languages: Some(languages.to_owned()), ..self.clone() }
    }

    /// The same rider, within this span of its own.
    pub fn traceparent(&self, traceparent: &str) -> Self {
        Self { traceparent: Some(traceparent.to_owned()), ..self.clone() }
    }

    /// The header that says who this is.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await.unwrap()
    }

    /// As [`Self::get`], asking for this kind of body.
    pub async fn get_as(&self, path: &str, kind: &str) -> Answer {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        let response = request.header("accept", kind).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, body: Value::Null, text: response.text().await.unwrap() }
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await.unwrap()
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, Some(body.to_string())).await.unwrap()
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, Some(body.to_string())).await.unwrap()
    }

    /// Any method.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.send(method.parse().unwrap(), path, body.map(ToString::to_string)).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body.to_string())).await.unwrap()
    }

    pub async fn post_text(&self, path: &str, body: &str) -> Answer {
        self.send(Method::POST, path, Some(body.to_owned())).await.unwrap()
    }

    /// As [`Self::post`], for a server that may die meanwhile.
    pub async fn try_post(&self, path: &str, body: &Value) -> Result<Answer, reqwest::Error> {
        self.send(Method::POST, path, Some(body.to_string())).await
    }

    pub async fn book(&self, trip: &str, seats: &[&str]) -> Answer {
        self.post("/v1/orders", &json!({ "trip_id": trip, "seats": seats })).await
    }

    /// Books and expects to get the seats; the order's id.
    pub async fn booked(&self, trip: &str, seats: &[&str]) -> String {
        self.book(trip, seats).await.expect(201)["id"].as_str().unwrap().to_owned()
    }

    pub async fn pay(&self, order: &str) -> Answer {
        self.pay_with(order, PAY_PASSWORD).await
    }

    pub async fn pay_with(&self, order: &str, pay_password: &str) -> Answer {
        self.post(&format!("/v1/orders/{order}/pay"), &json!({ "pay_password": pay_password })).await
    }

    pub async fn cancel(&self, order: &str) -> Answer {
        self.post(&format!("/v1/orders/{order}/cancel"), &json!({})).await
    }

    pub async fn refund(&self, order: &str) -> Answer {
        self.post(&format!("/v1/orders/{order}/refund"), &json!({})).await
    }

    pub async fn balance(&self) -> String {
        self.get("/v1/wallet").await.expect(200)["balance"].as_str().unwrap().to_owned()
    }

    async fn send(&self, method: Method, path: &str, body: Option<String>) -> Result<Answer, reqwest::Error> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(fault) = &self.fault {
            request = request.header("farebox-fault", fault);
        }
        if let Some(key) = &self.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(languages) = &self.languages {
            request = request.header("accept-language", languages);
        }
        if let Some(traceparent) = &self.traceparent {
            request = request.header("traceparent", traceparent);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let answer = Answer { status, headers, body, text };
        if self.is_described {
            described::check(&method, path, &answer);
        }
        Ok(answer)
    }
}
