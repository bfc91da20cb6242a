//! Heads that a proxy may read otherwise are refused: bare line feeds, no host, two hosts.

use super::PRODUCTION;
use crate::harness::{Database, Process, Wire};

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_may_be_read_in_two_ways_is_refused() {
    let db = Database::fresh().await;
    let api = Process::api(&db.url, &PRODUCTION);
    let worker = Process::worker(
        &db.url,
        &[&PRODUCTION[..], &[("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0")]].concat(),
        &[],
    );
    let body = "POST /v1/sessions HTTP/1.1\r\nhost: farebox\r\ncontent-length: 4\r\n\r\n{\n\n}";
    for base in [api.base(), worker.metrics()] {
        for (text, statuses) in [
            ("GET /health/live HTTP/1.1\r\nhost: farebox\r\n\r\n".to_owned(), vec![200]),
            ("GET /health/live HTTP/1.1\nhost: farebox\n\n".to_owned(), vec![400]),
            ("GET /health/live HTTP/1.1\r\nhost: farebox\n\r\n".to_owned(), vec![400]),
            ("GET /health/live HTTP/1.1\r\nhost: farebox\r\nx: 1\nx-other: 2\r\n\r\n".to_owned(), vec![400]),
            ("GET /health/live HTTP/1.1\r\n\r\n".to_owned(), vec![400]),
            ("GET /health/live HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(), vec![400]),
            ("GET /health/live HTTP/1.0\r\n\r\n".to_owned(), vec![200]),
            // Line feeds in a body are its own, and the head after it is checked again.
            (format!("{body}GET /health/live HTTP/1.1\nhost: farebox\r\n\r\n"), vec![422, 400]),
        ] {
            let mut wire = Wire::to(&base).await;
            wire.send(&text).await;
            for status in statuses {
                let reply = wire.reply().await.unwrap_or_else(|| panic!("{text:?} is not answered"));
                let route_is_there = base == api.base() || status != 422;
                assert!(
                    reply.status == status || !route_is_there && reply.status == 404,
                    "{text:?} {reply:?}"
                );
            }
        }
    }
}
