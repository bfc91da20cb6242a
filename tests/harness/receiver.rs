//! A receiver of webhooks: a real HTTP server that can be slow, wrong, or dead.

use super::until;
use axum::body::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    header::HeaderValue,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// How the receiver answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answers {
    /// With this status.
    With(u16),
    /// With 503, and this `Retry-After`, seconds.
    Later(u32),
    /// With 204, after this time.
    Slowly(Duration),
    /// With 302, to this path.
    Elsewhere(&'static str),
    /// With 200, and a body that has no end.
    Endlessly,
    /// With 200, and a body whose second byte never comes.
    Haltingly,
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
    /// Whether its signature was right when it came; none while the receiver knows no secret.
    pub signed: Option<bool>,
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
    secret: Mutex<Option<String>>,
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
        let shared = Arc::new(Shared { hooks: Mutex::default(), secret: Mutex::default(), answers });
        let running = Some(run(listener, &shared));
        Self { address, shared, running }
    }

    pub fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    pub fn now_answers(&self, answers: Answers) {
        self.shared.answers.send_replace(answers);
    }

    /// Gives it the secret that all requests from now on are to be signed by.
    pub fn knows(&self, secret: &str) {
        *self.shared.secret.lock().unwrap() = Some(secret.to_owned());
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

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

async fn receive(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let mut response = Response::new(Empty::new().boxed_unsync());
    let (head, body) = request.into_parts();
    let Ok(bytes) = body.collect().await.map(|body| body.to_bytes()) else { return Ok(response) };
    let mut hook = Hook {
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
        bytes,
        status: None,
        signed: None,
    };
    // The library refuses a signature that is older than five minutes, so it is asked now.
    let secret = shared.secret.lock().unwrap().clone();
    hook.signed = secret.map(|secret| hook.is_signed_by(&secret));
    let nr = {
        let mut hooks = shared.hooks.lock().unwrap();
        hooks.push(hook);
        hooks.len() - 1
    };
    let mut answers = shared.answers.subscribe();
    let status = loop {
        let now = *answers.borrow_and_update();
        match now {
            Answers::With(status) => break status,
            Answers::Later(secs) => {
                response.headers_mut().insert("retry-after", HeaderValue::from(secs));
                break 503;
            }
            Answers::Slowly(time) => {
                tokio::time::sleep(time).await;
                break 204;
            }
            Answers::Elsewhere(path) => {
                response.headers_mut().insert("location", HeaderValue::from_static(path));
                break 302;
            }
            Answers::Endlessly => {
                let part = || Ok(Frame::data(Bytes::from_static(&[b'x'; 4_096])));
                *response.body_mut() = StreamBody::new(stream::repeat_with(part)).boxed_unsync();
                break 200;
            }
            Answers::Haltingly => {
                let first = stream::iter([Ok(Frame::data(Bytes::from_static(b"x")))]);
                *response.body_mut() = StreamBody::new(first.chain(stream::pending())).boxed_unsync();
                break 200;
            }
            Answers::Never => answers.changed().await.unwrap(),
        }
    };
    *response.status_mut() = status.try_into().unwrap();
    shared.hooks.lock().unwrap()[nr].status = Some(status);
    Ok(response)
}
