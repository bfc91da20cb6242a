//! Spans as the messages of OTLP.

use super::{
    context::SpanContext,
    record::{Kind, Record, Value},
};
use axum::body::Bytes;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span, status},
};
use prost::Message;
use std::time::Duration;
use uuid::Uuid;

/// The flags of a span whose parent, or link, is known to be of another process or not. Farebox says
/// nothing about that, so only the trace flags are set: sampled.
const SAMPLED: u32 = 1;

/// What the spans of this process have in common.
pub(super) fn resource(service: &str) -> Resource {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    let texts = [
        ("service.name", service.to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", Uuid::new_v4().to_string()),
        ("host.name", host),
    ];
    Resource {
        attributes: texts.into_iter().map(|(key, text)| attribute(key, Value::from(text))).collect(),
        ..Resource::default()
    }
}

/// One request with all of these spans.
pub(super) fn encode(resource: &Resource, records: Vec<Record>) -> Bytes {
    let scope = InstrumentationScope { name: "farebox".to_owned(), ..InstrumentationScope::default() };
    let spans = ScopeSpans {
        scope: Some(scope),
        spans: records.into_iter().map(span).collect(),
        ..ScopeSpans::default()
    };
    let resource_spans = ResourceSpans {
        resource: Some(resource.clone()),
        scope_spans: vec![spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec().into()
}

/// How many spans the collector rejected, by its answer.
pub(super) fn rejected(answer: Bytes) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
    let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
    u64::try_from(rejected).unwrap_or(0)
}

fn span(record: Record) -> Span {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Span {
        trace_id: record.context.trace_id.bytes().to_vec(),
        span_id: record.context.span_id.bytes().to_vec(),
        parent_span_id: record.parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
        flags: SAMPLED,
        name: record.name.into_owned(),
        kind: kind(record.kind).into(),
        start_time_unix_nano: nanos(record.began_at),
        end_time_unix_nano: nanos(record.began_at + record.took),
        attributes: record.attributes.into_iter().map(|(key, value)| attribute(key, value)).collect(),
        links: record.links.into_iter().map(link).collect(),
        status: record.failed.then(|| Status { code: status::StatusCode::Error.into(), ..Status::default() }),
        ..Span::default()
    }
}

fn kind(kind: Kind) -> span::SpanKind {
    match kind {
        Kind::Internal => span::SpanKind::Internal,
        Kind::Server => span::SpanKind::Server,
        Kind::Client => span::SpanKind::Client,
        Kind::Producer => span::SpanKind::Producer,
        Kind::Consumer => span::SpanKind::Consumer,
    }
}

fn link(to: SpanContext) -> span::Link {
    span::Link {
        trace_id: to.trace_id.bytes().to_vec(),
        span_id: to.span_id.bytes().to_vec(),
        flags: SAMPLED,
        ..span::Link::default()
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any_value(value)), ..KeyValue::default() }
}

fn any_value(value: Value) -> AnyValue {
    let value = match value {
        Value::Text(text) => any_value::Value::StringValue(text.into_owned()),
        Value::Int(number) => any_value::Value::IntValue(number),
        Value::Float(number) => any_value::Value::DoubleValue(number),
        Value::Texts(texts) => any_value::Value::ArrayValue(ArrayValue {
            values: texts.into_iter().map(|text| any_value(Value::from(text))).collect(),
        }),
    };
    AnyValue { value: Some(value) }
}
