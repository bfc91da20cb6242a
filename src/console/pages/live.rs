//! Live parts of pages, marked by [`components::live`](crate::console::components::live).
//!
//! The browser opens the page's address with `live=1` as a stream of server-sent events. The page
//! is then rendered again about once a second, by the same handler with the same cookie, and each
//! marked part is sent when it has changed. A revoked session therefore ends its streams.
//!
//! After each rendering that succeeded comes a `beat` with the pause until the next one, after each
//! that failed a `failing` with the reason. A pause longer than [`MAX_SILENCE`] has an `alive` in
//! between. A browser that hears nothing for 4.5 s shows its page as stale.

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
        problem::{DatabaseOutage, Problem},
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
/// The pause after a rendering is this many times as long as the rendering, within bounds: a stream
/// uses at most a tenth of a connection.
const PAUSE_FACTOR: u32 = 9;
/// The longest pause after a rendering.
const MAX_PAUSE: Duration = Duration::from_secs(20);
/// The longest time without work of a stream: a longer pause is interrupted by a probe.
const MAX_SILENCE: Duration = Duration::from_millis(1_500);
/// The longest a stream lasts; then the browser opens another.
const MAX_STREAM_AGE: Duration = Duration::from_secs(900);
/// The interval of heartbeats while nothing changes. They reveal a client that has left, so that
/// its page is no longer rendered.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The longest a rendering may take. After [`MAX_SILENCE`] and a rendering, a browser has waited for
/// 4 s, which is less than its 4.5 s.
const RENDER_TIMEOUT: Duration = Duration::from_millis(2_500);
/// How long the database may take for a statement that does no work.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
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

/// What a stream sends of one rendering.
enum Message {
    /// A part that changed: its id and content.
    Part(String, String),
    /// The rendering succeeded, and its parts were sent.
    Beat,
    /// The database and the session are there; nothing was rendered.
    Alive,
    /// Why there is no rendering: `database`, `busy` or `server`.
    Failing(&'static str),
    /// The stream ends: `session` if that has ended, `page` if the page has.
    Over(&'static str),
}

/// What a stream does after a wait.
enum Turn {
    Render,
    Probe,
    End,
}

/// One open stream. Safe to drop: it only reads, and dropping it releases its permit.
struct Open {
    page: Parts,
    next: Next,
    shown: HashMap<String, String>,
    begun: Instant,
    /// The pause after the last rendering.
    pause: Duration,
    /// When the next rendering is due.
    due: Instant,
    over: bool,
    streams: Streams,
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
    let now = Instant::now();
    let mut open = Open {
        page,
        next,
        shown: HashMap::new(),
        begun: now,
        pause: PERIOD,
        due: now,
        over: false,
        streams,
        _permit: permit,
    };
    // The first rendering is part of the response: without access to the page there is no stream.
    let first = match open.render().await {
        Ok(changes) => changes,
        Err(response) if asks_for_events && response.status().is_server_error() => {
            open.over = true;
            vec![Message::Failing(reason(&response))]
        }
        Err(response) => return *response,
    };
    let events = stream::unfold((open, first), |(mut open, mut messages)| async move {
        let message = match messages.pop() {
            Some(message) => message,
            None => {
                messages = open.next_messages().await?;
                messages.pop()?
            }
        };
        let event = message.into_event(open.pause);
        Some((event, (open, messages)))
    });
    let begin = stream::iter([Ok(Event::default().retry(RECONNECT_AFTER))]);
    let sse = Sse::new(begin.chain(events)).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    ([("x-accel-buffering", "no")], sse).into_response()
}

impl Message {
    fn into_event(self, pause: Duration) -> Result<Event, axum::Error> {
        let event = Event::default();
        Ok(match self {
            Self::Part(id, html) => {
                return event.event("part").json_data(serde_json::json!({ "id": id, "html": html }));
            }
            Self::Beat => event.event("beat").data(pause.as_millis().to_string()),
            Self::Alive => event.event("alive").data("alive"),
            Self::Failing(reason) => event.event("failing").data(reason),
            Self::Over(reason) => event.event("over").data(reason),
        })
    }
}

/// Why a rendering failed with a 5xx.
fn reason(response: &Response) -> &'static str {
    if response.extensions().get::<DatabaseOutage>().is_some() {
        return "database";
    }
    if response.status() == StatusCode::SERVICE_UNAVAILABLE { "busy" } else { "server" }
}

/// The response when no permit is free. An `EventSource` gives up for good at anything but a
/// stream.
fn too_many_streams(headers: &HeaderMap) -> Response {
    if takes_events(headers) { busy() } else { StatusCode::SERVICE_UNAVAILABLE.into_response() }
}

impl Open {
    /// What to send next, the last message first; none at the end of the stream.
    async fn next_messages(&mut self) -> Option<Vec<Message>> {
        match self.wait().await {
            Turn::End => None,
            Turn::Render => Some(match self.render().await {
                Ok(changes) => changes,
                Err(response) if response.status().is_server_error() => {
                    vec![Message::Failing(reason(&response))]
                }
                Err(response) => {
                    self.over = true;
                    let status = response.status();
                    let session = status.is_redirection() || status == StatusCode::UNAUTHORIZED;
                    vec![Message::Over(if session { "session" } else { "page" })]
                }
            }),
            Turn::Probe if session_of(&self.page.headers, &self.streams.app).is_none() => {
                self.over = true;
                Some(vec![Message::Over("session")])
            }
            Turn::Probe if self.database_responds().await => Some(vec![Message::Alive]),
            Turn::Probe => Some(vec![Message::Failing("database")]),
        }
    }

    /// Waits until the next turn.
    async fn wait(&self) -> Turn {
        if self.over || self.begun.elapsed() > MAX_STREAM_AGE {
            return Turn::End;
        }
        let left = self.due.saturating_duration_since(Instant::now());
        tokio::select! {
            () = sleep(left.min(MAX_SILENCE)) => {}
            () = self.streams.stopping.cancelled() => return Turn::End,
        }
        if left > MAX_SILENCE { Turn::Probe } else { Turn::Render }
    }

    async fn database_responds(&self) -> bool {
        self.streams.app.probe.responds(PROBE_TIMEOUT).await
    }

    /// Renders the page, and returns what to send, the last message first.
    async fn render(&mut self) -> Result<Vec<Message>, Box<Response>> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.page.uri.clone();
        *request.headers_mut() = self.page.headers.clone();
        *request.extensions_mut() = self.page.extensions.clone();
        let began = Instant::now();
        let response = timeout(RENDER_TIMEOUT, stale_plan::serve(request, self.next.clone())).await;
        self.pause = (began.elapsed() * PAUSE_FACTOR).clamp(PERIOD, MAX_PAUSE);
        let Ok(response) = response else {
            // A page that is too slow rests for long, a database that comes back is noticed soon.
            let database = !self.database_responds().await;
            self.due = Instant::now() + if database { PERIOD } else { self.pause };
            let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
            if database {
                response.extensions_mut().insert(DatabaseOutage);
            }
            return Err(Box::new(response));
        };
        self.due = Instant::now() + self.pause;
        if response.status() != StatusCode::OK {
            self.due = Instant::now() + PERIOD;
            return Err(Box::new(response));
        }
        let body = to_bytes(response.into_body(), MAX_PAGE_BYTES).await;
        let page = body.map_err(|_| Box::new(StatusCode::INTERNAL_SERVER_ERROR.into_response()))?;
        let page = String::from_utf8_lossy(&page);
        let changed = parts(&page).filter(|(id, html)| self.shown.get(*id).is_none_or(|shown| shown != html));
        let changed: Vec<(String, String)> =
            changed.map(|(id, html)| (id.to_owned(), html.to_owned())).collect();
        self.shown.extend(changed.iter().cloned());
        let parts = changed.into_iter().map(|(id, html)| Message::Part(id, html));
        Ok(std::iter::once(Message::Beat).chain(parts).collect())
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
