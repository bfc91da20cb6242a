//! Live parts of pages. A page marks them ([`frame::live`](crate::console::layout::live)); the browser opens the same address with
//! `live=1` as a stream of server-sent events, and here the page is rendered again every second or so, by the same
//! handler with the same cookie. What a marked part says is sent when it has changed. So every page is live in the same
//! way, and a session that is revoked ends its streams.

use crate::console::{
    REPEATED,
    layout::{LIVE_BEGIN, LIVE_END},
    parameters,
    session::{SESSION, cookie},
};
use crate::{
    accounts::Sessions,
    domain::RiderId,
    http::{
        App,
        extract::strict,
        handlers::live::{busy, takes_events},
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

/// Streams at once in one process; the browser of whoever comes after them asks again in a while.
const MOST: usize = 50;
/// Of them one account has so many at the most: pages left open in many tabs leave room for the others.
const MOST_OF_ACCOUNT: usize = 10;
/// After how long a browser whose stream has ended opens another.
const COME_BACK: Duration = Duration::from_secs(3);
/// Between two renderings of a page.
const PERIOD: Duration = Duration::from_millis(1_000);
/// A rendering that took long is followed by a pause of so many times as long.
const REST: u32 = 9;
/// The longest a stream lasts; the browser opens another.
const LONGEST: Duration = Duration::from_secs(900);
/// What is written while nothing changes, so that a reader who has left is noticed, and his page rendered no more.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The longest a rendering may take.
const SLOWEST: Duration = Duration::from_secs(10);
/// The largest page that is looked through, bytes.
const LARGEST: usize = 4 * 1024 * 1024;

/// The places for streams of this process.
#[derive(Clone)]
pub(crate) struct Streams {
    places: Arc<Semaphore>,
    by_account: Arc<Mutex<HashMap<RiderId, usize>>>,
    stopping: CancellationToken,
    sessions: Sessions,
}

impl Streams {
    pub(crate) fn new(app: &App) -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST)),
            by_account: Arc::default(),
            stopping: app.stopping.clone(),
            sessions: app.sessions.clone(),
        }
    }

    fn by_account(&self) -> MutexGuard<'_, HashMap<RiderId, usize>> {
        self.by_account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a stream of this account, if there is one.
    fn place(&self, account: RiderId) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let mut all = self.by_account();
        let open = all.entry(account).or_insert(0);
        if *open >= MOST_OF_ACCOUNT {
            return None;
        }
        *open += 1;
        drop(all);
        Some(Place { streams: self.clone(), account, _permit: permit })
    }
}

/// One stream's place among all, and among those of its account; both are free once it is dropped.
struct Place {
    streams: Streams,
    account: RiderId,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
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

/// One open stream. Safe to drop: it only reads, and its place goes with it.
struct Open {
    page: Parts,
    next: Next,
    shown: HashMap<String, String>,
    begun: Instant,
    pause: Duration,
    stopping: CancellationToken,
    over: bool,
    _place: Place,
}

/// Makes a stream of a request for one; passes on every other whose parameters are the page's.
pub(crate) async fn keep(State(streams): State<Streams>, request: Request, next: Next) -> Response {
    if let Some(query) = request.uri().query() {
        let page = matches!(*request.method(), Method::GET | Method::HEAD);
        let route = request.extensions().get::<MatchedPath>().filter(|_| page).map(MatchedPath::as_str);
        let mut known = route.map(parameters).unwrap_or_default();
        known.extend(page.then_some("live"));
        if let Err(error) = strict::check_query(query, &known, &REPEATED) {
            return Problem::field(&error).into_response();
        }
    }
    let Some(uri) = without_live(request.uri()).filter(|_| request.method() == Method::GET) else {
        return next.run(request).await;
    };
    // Without a session there is no page with a live part: no place is taken for it.
    let Some(caller) = cookie(request.headers(), SESSION).and_then(|token| streams.sessions.read(token))
    else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let Some(place) = streams.place(caller.rider_id) else { return later(request.headers()) };
    let asks_for_events = takes_events(request.headers());
    let (mut page, _) = request.into_parts();
    page.uri = uri;
    let mut open = Open {
        page,
        next,
        shown: HashMap::new(),
        begun: Instant::now(),
        pause: Duration::ZERO,
        stopping: streams.stopping.clone(),
        over: false,
        _place: place,
    };
    // The first rendering is the answer's: who may not see the page gets no stream.
    let first = match open.look().await {
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
            match open.look().await {
                Ok(changed) => changes = changed,
                Err(_) => {
                    open.over = true;
                    return Some((Ok(Event::default().event("over").data("over")), (open, Vec::new())));
                }
            }
        }
    });
    let begin = stream::iter([Ok(Event::default().retry(COME_BACK))]);
    let sse = Sse::new(begin.chain(events)).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    ([("x-accel-buffering", "no")], sse).into_response()
}

/// The answer to whom there is no place for: a browser's `EventSource` would give up for good at any other than a stream.
fn later(headers: &HeaderMap) -> Response {
    if takes_events(headers) { busy() } else { StatusCode::SERVICE_UNAVAILABLE.into_response() }
}

impl Open {
    /// Until it is time to look again; not if the stream is to end.
    async fn wait(&self) -> bool {
        let wait = PERIOD.max(self.pause * REST);
        if self.over || self.begun.elapsed() > LONGEST {
            return false;
        }
        tokio::select! {
            () = sleep(wait) => true,
            () = self.stopping.cancelled() => false,
        }
    }

    /// Renders the page; the parts that are not what they were.
    async fn look(&mut self) -> Result<Vec<(String, String)>, Box<Response>> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.page.uri.clone();
        *request.headers_mut() = self.page.headers.clone();
        *request.extensions_mut() = self.page.extensions.clone();
        let began = Instant::now();
        let response = timeout(SLOWEST, stale_plan::serve(request, self.next.clone())).await;
        let response = response.map_err(|_| Box::new(StatusCode::SERVICE_UNAVAILABLE.into_response()))?;
        if response.status() != StatusCode::OK {
            return Err(Box::new(response));
        }
        let body = to_bytes(response.into_body(), LARGEST).await;
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

/// The marked parts of a page: their ids and what is in them.
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
