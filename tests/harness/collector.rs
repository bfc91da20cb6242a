//! A collector of traces, as Farebox sends them: a real HTTP server that reads OTLP's protobuf.

use super::until;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value},
    trace::v1::{self as otlp, span::SpanKind, status::StatusCode as SpanStatus},
};
use prost::Message;
use serde_json::{Map, Value, json};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// How the collector answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    /// It takes the spans.
    Takes,
    /// It takes them, and says that it rejected this many.
    Rejects(i64),
    /// It answers with this status.
    Refuses(u16),
    /// It reads the request, and answers when its mood changes.
    Hangs,
}

/// A span, with ids as text.
#[derive(Clone, Debug)]
pub struct Received {
    pub service: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    pub kind: SpanKind,
    pub attributes: Value,
    /// The spans of other traces that it links to: trace and span.
    pub links: Vec<(String, String)>,
    pub failed: bool,
    pub began: u64,
    pub ended: u64,
}

struct Shared {
    spans: Mutex<Vec<Received>>,
    headers: Mutex<Vec<HeaderMap>>,
    mood: watch::Sender<Mood>,
}

pub struct Collector {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: JoinSet<()>,
}

impl Collector {
    /// One that takes all spans.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, _) = watch::channel(Mood::Takes);
        let shared = Arc::new(Shared { spans: Mutex::default(), headers: Mutex::default(), mood });
        let router = Router::new().route("/v1/traces", post(receive)).with_state(Arc::clone(&shared));
        let mut running = JoinSet::new();
        running.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared, running }
    }

    /// The address for `otel.endpoint`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A further address, with TLS, by this certificate and its key.
    pub async fn url_over_tls(&mut self, cert: &str, key: &str) -> String {
        let certs = CertificateDer::pem_file_iter(cert).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let tls = TlsAcceptor::from(Arc::new(config.with_single_cert(certs, key).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (own, target) = (listener.local_addr().unwrap(), self.address);
        self.running.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that trusts another authority ends the handshake.
                let Ok(mut outside) = tls.accept(stream).await else { continue };
                let mut inside = TcpStream::connect(target).await.unwrap();
                tokio::spawn(async move { drop(copy_bidirectional(&mut outside, &mut inside).await) });
            }
        });
        format!("https://{own}")
    }

    pub fn is_now(&self, mood: Mood) {
        self.shared.mood.send_replace(mood);
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Received> {
        self.shared.spans.lock().unwrap().clone()
    }

    /// How many requests were made to it.
    pub fn requests(&self) -> usize {
        self.shared.headers.lock().unwrap().len()
    }

    /// The headers of its last request.
    pub fn headers(&self) -> HeaderMap {
        self.shared.headers.lock().unwrap().last().cloned().unwrap_or_default()
    }

    /// The spans of one trace, once the request's own is there: it ends last but for what it raised.
    pub async fn trace(&self, trace: &str) -> Vec<Received> {
        let of_trace = || self.spans().into_iter().filter(|span| span.trace == trace).collect::<Vec<_>>();
        let is_whole = || of_trace().iter().any(|span| span.kind == SpanKind::Server);
        until("the collector has the trace", || async { is_whole() }).await;
        of_trace()
    }

    /// The spans that link to this trace, once there are `many`; in the order of their beginning.
    pub async fn linked(&self, trace: &str, many: usize) -> Vec<Received> {
        let links = |span: &Received| span.links.iter().any(|(to, _)| to == trace);
        let found = || self.spans().into_iter().filter(links).collect::<Vec<_>>();
        until("the attempts are exported", || async { found().len() >= many }).await;
        let mut found = found();
        found.sort_by_key(|span| span.began);
        found
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    shared.headers.lock().unwrap().push(headers);
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut moods = shared.mood.subscribe();
    let mood = *moods.wait_for(|mood| *mood != Mood::Hangs).await.unwrap();
    if let Mood::Refuses(status) = mood {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    shared.spans.lock().unwrap().extend(request.resource_spans.into_iter().flat_map(read));
    let rejected = if let Mood::Rejects(rejected) = mood { rejected } else { 0 };
    answer(rejected).into_response()
}

fn answer(rejected: i64) -> Vec<u8> {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    let partial = ExportTracePartialSuccess { rejected_spans: rejected, error_message: String::new() };
    ExportTraceServiceResponse { partial_success: (rejected > 0).then_some(partial) }.encode_to_vec()
}

fn read(spans: otlp::ResourceSpans) -> Vec<Received> {
    let resource = attributes(spans.resource.unwrap().attributes);
    let service = resource["service.name"].as_str().unwrap().to_owned();
    let spans = spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans.map(|span| received(&service, span)).collect()
}

fn received(service: &str, span: otlp::Span) -> Received {
    assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
    Received {
        service: service.to_owned(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        kind: span.kind(),
        name: span.name,
        attributes: attributes(span.attributes),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        failed: span.status.is_some_and(|status| status.code() == SpanStatus::Error),
        began: span.start_time_unix_nano,
        ended: span.end_time_unix_nano,
    }
}

fn attributes(pairs: Vec<KeyValue>) -> Value {
    let pair = |pair: KeyValue| (pair.key, value(pair.value.unwrap().value.unwrap()));
    pairs.into_iter().map(pair).collect::<Map<_, _>>().into()
}

fn value(of: any_value::Value) -> Value {
    match of {
        any_value::Value::StringValue(text) => json!(text),
        any_value::Value::IntValue(number) => json!(number),
        any_value::Value::DoubleValue(number) => json!(number),
        any_value::Value::ArrayValue(many) => {
            many.values.into_iter().map(|one| value(one.value.unwrap())).collect::<Vec<_>>().into()
        }
        other => panic!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How many spans of this outcome a process has counted.
pub async fn counted_spans(base: &str, outcome: &str) -> u64 {
    let page = reqwest::get(format!("{base}/metrics")).await.unwrap().text().await.unwrap();
    let series = format!("farebox_trace_spans_total{{outcome=\"{outcome}\"}}");
    page.lines().find_map(|line| line.strip_prefix(&series)?.trim().parse().ok()).unwrap_or(0)
}
