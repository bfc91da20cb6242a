//! A receiver of webhooks: a real HTTP server that can be slow, wrong, or dead.

use super::until;
use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, body::Incoming, header::HeaderValue, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// How the receiver answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answers {
    /// With this status.
    With(u16),
    /// With 204, after this time.
    Slowly(Duration),
    /// With 302, to this path.
    Elsewhere(&'static str),
    /// It reads the request, and answers when its mood changes.
    Never,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Hook {
    pub path: String,
    pub headers: hyper::HeaderMap,
    pub bytes: Bytes,
    pub body: Value,
    /// The status that it was answered with; none if the receiver was killed before.
    pub status: Option<u16>,
    pub at: Instant,
}

impl Hook {
    pub fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }

    pub fn kind(&self) -> &str {
        self.body["type"].as_str().unwrap()
    }

    /// Whether the convention's own library accepts it by this secret.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let library = standardwebhooks::Webhook::new(secret).unwrap();
        library.verify(&self.bytes, &self.headers).is_ok()
    }
}

struct Shared {
    hooks: Mutex<Vec<Hook>>,
    answers: watch::Sender<Answers>,
}

pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Option<JoinSet<()>>,
}

impl Receiver {
    /// One that answers 204.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answers, _) = watch::channel(Answers::With(204));
        let shared = Arc::new(Shared { hooks: Mutex::default(), answers });
        let running = Some(run(listener, &shared));
        Self { address, shared, running }
    }

    pub fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    pub fn now_answers(&self, answers: Answers) {
        self.shared.answers.send_replace(answers);
    }

    /// Ends it with its connections, as a kill would.
    pub async fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.shutdown().await;
        }
    }

    /// Starts it again, at its address.
    pub async fn restart(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.running = Some(run(listener, &self.shared));
    }

    /// All requests so far.
    pub fn hooks(&self) -> Vec<Hook> {
        self.shared.hooks.lock().unwrap().clone()
    }

    /// The ids that were answered with 2xx, and how often each.
    pub fn taken(&self) -> BTreeMap<String, usize> {
        let mut taken = BTreeMap::new();
        for hook in self.shared.hooks.lock().unwrap().iter() {
            if hook.status.is_some_and(|status| (200..300).contains(&status)) {
                *taken.entry(hook.id().to_owned()).or_insert(0) += 1;
            }
        }
        taken
    }

    /// Waits until this many requests have come.
    pub async fn has(&self, many: usize) -> Vec<Hook> {
        until("the receiver has its requests", || async { self.shared.hooks.lock().unwrap().len() >= many })
            .await;
        self.hooks()
    }

    /// Waits until this many events were taken.
    pub async fn has_taken(&self, many: usize) {
        until("the receiver has taken its events", || async { self.taken().len() >= many }).await;
    }
}

fn run(listener: TcpListener, shared: &Arc<Shared>) -> JoinSet<()> {
    let (mut running, shared) = (JoinSet::new(), Arc::clone(shared));
    running.spawn(async move {
        // Dropped with this task, so that no connection outlives the receiver.
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let shared = Arc::clone(&shared);
            connections.spawn(async move {
                let service = service_fn(move |request| receive(Arc::clone(&shared), request));
                drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            });
            while connections.try_join_next().is_some() {}
        }
    });
    running
}

async fn receive(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(bytes) = body.collect().await.map(|body| body.to_bytes()) else { return Ok(Response::default()) };
    let hook = Hook {
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
        bytes,
        status: None,
        at: Instant::now(),
    };
    let nr = {
        let mut hooks = shared.hooks.lock().unwrap();
        hooks.push(hook);
        hooks.len() - 1
    };
    let mut answers = shared.answers.subscribe();
    let mut response = Response::new(Full::default());
    let status = loop {
        let now = *answers.borrow_and_update();
        match now {
            Answers::With(status) => break status,
            Answers::Slowly(time) => {
                tokio::time::sleep(time).await;
                break 204;
            }
            Answers::Elsewhere(path) => {
                response.headers_mut().insert("location", HeaderValue::from_static(path));
                break 302;
            }
            Answers::Never => answers.changed().await.unwrap(),
        }
    };
    *response.status_mut() = status.try_into().unwrap();
    shared.hooks.lock().unwrap()[nr].status = Some(status);
    Ok(response)
}
