//! The console without a browser: pages and forms over HTTP.

use crate::harness::{PASSWORD, World};

/// A session in a browser that has one cookie.
pub struct ConsoleSession {
    pub http: reqwest::Client,
    pub base: String,
    pub cookie: String,
}

impl ConsoleSession {
    pub async fn enter(world: &World, name: &str) -> Self {
        Self::enter_at(&world.api.base(), name).await
    }

    pub async fn enter_at(base: &str, name: &str) -> Self {
        let session = Self::stranger_at(base);
        let form = format!("user_name={name}&password={}&next=%2Fconsole", PASSWORD.replace(' ', "+"));
        let answer = session.send("POST", "/console/sign-in", Some(form)).await;
        assert_eq!(answer.status().as_u16(), 303, "{name} gets in");
        let cookies = answer.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
        let cookie = cookies.filter_map(|cookie| cookie.split(';').next()).next().unwrap().to_owned();
        Self { cookie, ..session }
    }

    pub fn stranger(world: &World) -> Self {
        Self::stranger_at(&world.api.base())
    }

    fn stranger_at(base: &str) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, base: base.to_owned(), cookie: String::new() }
    }

    pub async fn send(&self, method: &str, path: &str, form: Option<String>) -> reqwest::Response {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.base));
        let request = request.header("cookie", &self.cookie);
        let request = match form {
            Some(form) => request.header("content-type", "application/x-www-form-urlencoded").body(form),
            None => request,
        };
        request.send().await.unwrap()
    }

    pub async fn page(&self, path: &str) -> String {
        let answer = self.send("GET", path, None).await;
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    pub async fn status(&self, method: &str, path: &str, form: Option<&str>) -> u16 {
        self.send(method, path, form.map(str::to_owned)).await.status().as_u16()
    }

    /// A form's hidden field.
    pub async fn hidden(&self, path: &str, name: &str) -> String {
        let page = self.page(path).await;
        let at = page
            .split(&format!("name=\"{name}\" value=\""))
            .nth(1)
            .unwrap_or_else(|| panic!("{name} in {page}"));
        at.split('"').next().unwrap().to_owned()
    }
}
