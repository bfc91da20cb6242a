//! What is written down of a span, until it is exported.

use super::context::{SpanContext, SpanId};
use std::{borrow::Cow, time::Duration};
use tokio::time::Instant;

/// Most attributes of a span; further ones are left out.
const MAX_ATTRIBUTES: usize = 24;
/// Longest text of an attribute, characters.
const MAX_CHARS: usize = 256;
/// Most texts of one attribute: an order has fewer seats.
const MAX_TEXTS: usize = 64;

/// The side of a span, as OpenTelemetry has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work within the process.
    Internal,
    /// A request that is answered.
    Server,
    /// A request to another system: the database.
    Client,
    /// Enqueueing a job.
    Producer,
    /// An attempt at a job.
    Consumer,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// Several texts.
    Texts(Vec<String>),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl Value {
    fn bounded(self) -> Self {
        let cut = |text: &str| text.chars().take(MAX_CHARS).collect::<String>();
        match self {
            Self::Text(text) if text.len() > MAX_CHARS => Self::Text(cut(&text).into()),
            Self::Texts(texts) => Self::Texts(texts.iter().take(MAX_TEXTS).map(|text| cut(text)).collect()),
            other => other,
        }
    }
}

/// A span, while it is open and until it is exported.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) context: SpanContext,
    pub(super) parent: Option<SpanId>,
    pub(super) name: Cow<'static, str>,
    pub(super) kind: Kind,
    /// Since the Unix epoch, by the machine's clock.
    pub(super) began_at: Duration,
    began: Instant,
    /// How long the span was open; none while it is.
    pub(super) took: Duration,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) links: Vec<SpanContext>,
    pub(super) failed: bool,
}

impl Record {
    pub(super) fn new(
        context: SpanContext,
        parent: Option<SpanId>,
        name: Cow<'static, str>,
        kind: Kind,
    ) -> Self {
        Self {
            context,
            parent,
            name,
            kind,
            began_at: since_epoch(),
            began: Instant::now(),
            took: Duration::ZERO,
            attributes: Vec::new(),
            links: Vec::new(),
            failed: false,
        }
    }

    /// Sets an attribute, or replaces its value.
    pub(super) fn set(&mut self, key: &'static str, value: Value) {
        if let Some((_, old)) = self.attributes.iter_mut().find(|(known, _)| *known == key) {
            *old = value.bounded();
        } else if self.attributes.len() < MAX_ATTRIBUTES {
            self.attributes.push((key, value.bounded()));
        }
    }

    pub(super) fn end(mut self) -> Self {
        self.took = self.began.elapsed();
        self
    }
}

#[expect(clippy::disallowed_methods, reason = "a span has the time of its machine, and decides nothing")]
fn since_epoch() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::context::TraceId, *};

    #[test]
    fn attributes_are_bounded() {
        let context = SpanContext::new(TraceId::random(), true);
        let mut record = Record::new(context, None, "a".into(), Kind::Internal);
        record.set("text", "x".repeat(MAX_CHARS + 1).into());
        record.set("text", "é".repeat(MAX_CHARS + 1).into());
        record.set("texts", vec!["y".repeat(MAX_CHARS + 1); MAX_TEXTS + 1].into());
        assert_eq!(record.attributes[0], ("text", "é".repeat(MAX_CHARS).into()));
        assert_eq!(record.attributes[1], ("texts", vec!["y".repeat(MAX_CHARS); MAX_TEXTS].into()));
        for key in (0..MAX_ATTRIBUTES + 5).map(|nr| &*format!("key {nr}").leak()) {
            record.set(key, 1_i64.into());
        }
        assert_eq!(record.attributes.len(), MAX_ATTRIBUTES);
    }
}
