//! The names that the API is called by, and what it shows of itself.

use crate::harness::{PRODUCTION, World, until};

async fn status(base: &str, path: &str, host: Option<&str>) -> (u16, reqwest::header::HeaderMap, String) {
    let mut request = reqwest::Client::new().get(format!("{base}{path}"));
    if let Some(host) = host {
        request = request.header("host", host);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_the_apis_is_misdirected() {
    let listed = [("FAREBOX__HTTP__HOSTS", "rides.example,www.rides.example")];
    for mode in [&[][..], &PRODUCTION[..]] {
        let env: Vec<_> = mode.iter().chain(&listed).copied().collect();
        let world = World::with(&env).await;
        let base = world.api.base();
        for host in
            ["evil.example", "evil.example:8087", "rides.example.evil.example", "127.0.0.1.evil.example"]
        {
            for path in ["/v1/trips", "/console", "/docs", "/metrics"] {
                let (status, headers, body) = status(&base, path, Some(host)).await;
                assert_eq!(status, 421, "{path} at {host}: {body}");
                assert_eq!(headers["content-type"], "application/problem+json");
                let body: serde_json::Value = serde_json::from_str(&body).unwrap();
                assert_eq!((&body["code"], &body["field"]), (&"005003".into(), &"Host".into()));
            }
            assert_eq!(status(&base, "/health/ready", Some(host)).await.0, 200, "a probe may use any name");
        }
        for host in ["rides.example", "WWW.rides.example:443", "localhost:8087", "api:8087", "[::1]"] {
            assert_eq!(status(&base, "/v1/trips", Some(host)).await.0, 200, "{host}");
        }
        assert_eq!(status(&base, "/v1/trips", None).await.0, 200, "by its address");
        let metrics = status(&base, "/metrics", None).await.2;
        assert!(metrics.contains("farebox_http_refused_total{why=\"host\"} 16"), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_only_addresses_and_local_names_are_served() {
    let world = World::new().await;
    let base = world.api.base();
    assert_eq!(status(&base, "/v1/trips", Some("rides.example")).await.0, 421);
    assert_eq!(status(&base, "/v1/trips", None).await.0, 200);
    let any = World::with(&[("FAREBOX__HTTP__HOSTS", "*"), ("FAREBOX__HTTP__HSTS_SECS", "31536000")]).await;
    let (code, headers, _) = status(&any.api.base(), "/v1/trips", Some("rides.example")).await;
    assert_eq!((code, &headers["strict-transport-security"]), (200, &"max-age=31536000".parse().unwrap()));
    assert!(!status(&base, "/v1/trips", None).await.1.contains_key("strict-transport-security"));
}

#[tokio::test(flavor = "multi_thread")]
async fn production_makes_browsers_use_https_only() {
    let world = World::with(&PRODUCTION).await;
    for path in ["/v1/trips", "/console/sign-in", "/v1/nothing"] {
        let headers = status(&world.api.base(), path, None).await.1;
        assert_eq!(headers["strict-transport-security"], "max-age=31536000", "{path}");
    }
    let off = [PRODUCTION[0], PRODUCTION[1], ("FAREBOX__HTTP__HSTS_SECS", "0")];
    let off = World::with(&off).await;
    let headers = status(&off.api.base(), "/v1/trips", None).await.1;
    assert!(!headers.contains_key("strict-transport-security"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_does_not_exist() {
    let off = [("FAREBOX__HTTP__DOCS", "false"), ("FAREBOX__HTTP__METRICS", "false")];
    let world = World::with(&off).await;
    for path in ["/docs", "/openapi.json", "/metrics"] {
        assert_eq!(status(&world.api.base(), path, None).await.0, 404, "{path}");
    }
    let elsewhere = World::with(&[("FAREBOX__HTTP__METRICS_LISTEN", "127.0.0.1:0")]).await;
    assert_eq!(status(&elsewhere.api.base(), "/metrics", None).await.0, 404);
    let metrics = elsewhere.api.metrics();
    until("metrics are shown there", async || {
        let (code, _, text) = status(&metrics, "/metrics", None).await;
        code == 200 && text.contains("farebox_http")
    })
    .await;
    assert_eq!(status(&metrics, "/v1/trips", None).await.0, 404, "and nothing else");
}
