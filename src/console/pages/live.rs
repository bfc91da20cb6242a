//! Live parts of pages, marked by [`components::live`](crate::console::components::live).
//!
//! The browser opens the page's address with `live=1` as a stream of server-sent events. The page
//! is then rendered again about once a second, by the same handler with the same cookie, and each
//! marked part is sent when it has changed. A revoked session therefore ends its streams.

use crate::console::{
    components::{LIVE_BEGIN, LIVE_END},
    form::REPEATED,
    parameters::{parameters, refuses_itself},
    session::{SelfUpdate, session_of},
};
use crate::{
    domain::RiderId,
    http::{
        App,
        events::{busy, takes_events},
        extract::strict,
        middleware::stale_plan,
        problem::Problem,
    },
};
use axum::{
    body::{Body, to_bytes},
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, request::Parts},
    middleware::Next,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt, stream};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Most streams of one process; the browser of a refused one retries later.
const MAX_STREAMS: usize = 50;
/// Most streams of one account, so that many open tabs do not use up those of the process.
const MAX_STREAMS_PER_ACCOUNT: usize = 10;
/// How long a browser waits before it opens another stream.
const RECONNECT_AFTER: Duration = Duration::from_secs(3);
/// The time between two renderings of a page.
const PERIOD: Duration = Duration::from_millis(1_000);
/// The pause after a rendering is at least this many times as long as the rendering.
const PAUSE_FACTOR: u32 = 9;
/// The longest a stream lasts; then the browser opens another.
const MAX_STREAM_AGE: Duration = Duration::from_secs(900);
/// The interval of heartbeats while nothing changes. They reveal a client that has left, so that
/// its page is no longer rendered.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The longest a rendering may take.
const RENDER_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest page that is searched for live parts, bytes.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// The permits for streams of this process.
#[derive(Clone)]
pub(crate) struct Streams {
    permits: Arc<Semaphore>,
    by_account: Arc<Mutex<HashMap<RiderId, usize>>>,
    stopping: CancellationToken,
    app: App,
}

impl Streams {
    pub(crate) fn new(app: &App) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(MAX_STREAMS)),
            by_account: Arc::default(),
            stopping: app.stopping.clone(),
            app: app.clone(),
        }
    }

    fn by_account(&self) -> MutexGuard<'_, HashMap<RiderId, usize>> {
        self.by_account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A permit for a stream of this account, if one is free.
    fn acquire(&self, account: RiderId) -> Option<StreamPermit> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let mut all = self.by_account();
        let open = all.entry(account).or_insert(0);
        if *open >= MAX_STREAMS_PER_ACCOUNT {
            return None;
        }
        *open += 1;
        drop(all);
        Some(StreamPermit { streams: self.clone(), account, _permit: permit })
    }
}

/// The permit of one stream, released when it is dropped: one of the process and one of its
/// account.
struct StreamPermit {
    streams: Streams,
    account: RiderId,
    _permit: OwnedSemaphorePermit,
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut all = self.streams.by_account();
        if let Some(open) = all.get_mut(&self.account) {
            *open -= 1;
            if *open == 0 {
                all.remove(&self.account);
            }
        }
    }
}

/// One open stream. Safe to drop: it only reads, and dropping it releases its permit.
struct Open {
    page: Parts,
    next: Next,
    shown: HashMap<String, String>,
    begun: Instant,
    pause: Duration,
    stopping: CancellationToken,
    over: bool,
    _permit: StreamPermit,
}

/// Answers a request for a stream; passes on any other request whose parameters the page takes.
pub(crate) async fn streams(State(streams): State<Streams>, request: Request, next: Next) -> Response {
    if let Some(query) = request.uri().query() {
        let page = matches!(*request.method(), Method::GET | Method::HEAD);
        let route = request.extensions().get::<MatchedPath>().filter(|_| page).map(MatchedPath::as_str);
        let mut known = route.map(parameters).unwrap_or_default();
        known.extend(page.then_some("live"));
        let refuses_itself = route.is_some_and(refuses_itself) && without_live(request.uri()).is_none();
        if !refuses_itself && let Err(error) = strict::check_query(query, &known, &REPEATED) {
            return Problem::field(&error).into_response();
        }
    }
    let Some(uri) = without_live(request.uri()).filter(|_| request.method() == Method::GET) else {
        return next.run(request).await;
    };
    // Without a session there is no page with a live part, so no permit is used.
    let Some(caller) = session_of(request.headers(), &streams.app) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let Some(permit) = streams.acquire(caller.rider_id) else { return too_many_streams(request.headers()) };
    let asks_for_events = takes_events(request.headers());
    let (mut page, _) = request.into_parts();
    page.uri = uri;
    page.extensions.insert(SelfUpdate);
    let mut open = Open {
        page,
        next,
        shown: HashMap::new(),
        begun: Instant::now(),
        pause: Duration::ZERO,
        stopping: streams.stopping.clone(),
        over: false,
        _permit: permit,
    };
    // The first rendering is part of the response: without access to the page there is no stream.
    let first = match open.render().await {
        Ok(changes) => changes,
        Err(response) if asks_for_events && response.status().is_server_error() => return busy(),
        Err(response) => return *response,
    };
    let events = stream::unfold((open, first), |(mut open, mut changes)| async move {
        loop {
            if let Some((id, html)) = changes.pop() {
                let data = serde_json::json!({ "id": id, "html": html });
                return Some((Event::default().event("part").json_data(data), (open, changes)));
            }
            if !open.wait().await {
                return None;
            }
            match open.render().await {
                Ok(changed) => changes = changed,
                Err(_) => {
                    open.over = true;
                    return Some((Ok(Event::default().event("over").data("over")), (open, Vec::new())));
                }
            }
        }
    });
    let begin = stream::iter([Ok(Event::default().retry(RECONNECT_AFTER))]);
    let sse = Sse::new(begin.chain(events)).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    ([("x-accel-buffering", "no")], sse).into_response()
}

/// The response when no permit is free. An `EventSource` gives up for good at anything but a
/// stream.
fn too_many_streams(headers: &HeaderMap) -> Response {
    if takes_events(headers) { busy() } else { StatusCode::SERVICE_UNAVAILABLE.into_response() }
}

impl Open {
    /// Waits until the next rendering; false if the stream must end.
    async fn wait(&self) -> bool {
        let wait = PERIOD.max(self.pause * PAUSE_FACTOR);
        if self.over || self.begun.elapsed() > MAX_STREAM_AGE {
            return false;
        }
        tokio::select! {
            () = sleep(wait) => true,
            () = self.stopping.cancelled() => false,
        }
    }

    /// Renders the page, and returns the parts that changed.
    async fn render(&mut self) -> Result<Vec<(String, String)>, Box<Response>> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.page.uri.clone();
        *request.headers_mut() = self.page.headers.clone();
        *request.extensions_mut() = self.page.extensions.clone();
        let began = Instant::now();
        let response = timeout(RENDER_TIMEOUT, stale_plan::serve(request, self.next.clone())).await;
        let response = response.map_err(|_| Box::new(StatusCode::SERVICE_UNAVAILABLE.into_response()))?;
        if response.status() != StatusCode::OK {
            return Err(Box::new(response));
        }
        let body = to_bytes(response.into_body(), MAX_PAGE_BYTES).await;
        let page = body.map_err(|_| Box::new(StatusCode::INTERNAL_SERVER_ERROR.into_response()))?;
        self.pause = began.elapsed();
        let page = String::from_utf8_lossy(&page);
        let changed = parts(&page).filter(|(id, html)| self.shown.get(*id).is_none_or(|shown| shown != html));
        let changed: Vec<(String, String)> =
            changed.map(|(id, html)| (id.to_owned(), html.to_owned())).collect();
        self.shown.extend(changed.iter().cloned());
        Ok(changed)
    }
}

/// The marked parts of a page: ids and content.
fn parts(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split(LIVE_BEGIN).skip(1).filter_map(|rest| {
        let (id, rest) = rest.split_once("-->")?;
        Some((id, rest.split_once(LIVE_END)?.0))
    })
}

/// The page's address, if this is the address of its stream.
fn without_live(uri: &Uri) -> Option<Uri> {
    let query = uri.query()?;
    let rest: Vec<&str> = query.split('&').filter(|pair| *pair != "live=1").collect();
    if rest.len() == query.split('&').count() {
        return None;
    }
    let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    format!("{}{query}", uri.path()).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_its_pages_address() {
        let of = |text: &'static str| without_live(&Uri::from_static(text)).map(|uri| uri.to_string());
        assert_eq!(of("/console?live=1").as_deref(), Some("/console"));
        assert_eq!(
            of("/console/jobs?tag=a&live=1&state=dead").as_deref(),
            Some("/console/jobs?tag=a&state=dead")
        );
        assert_eq!(of("/console/jobs?tag=live"), None);
    }

    #[test]
    fn marked_parts_are_found() {
        let page = format!("x{LIVE_BEGIN}a-->1<b>2</b>{LIVE_END}y{LIVE_BEGIN}b-->3{LIVE_END}z");
        assert_eq!(parts(&page).collect::<Vec<_>>(), [("a", "1<b>2</b>"), ("b", "3")]);
    }
}
