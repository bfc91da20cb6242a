//! The trace context: which trace and which span, as W3C's Trace Context writes them.

use rand::random;
use std::{
    fmt,
    num::{NonZero, NonZeroU64, NonZeroU128},
};
use uuid::Uuid;

/// Digits of a trace id.
const TRACE_DIGITS: usize = 32;
/// Digits of a span id.
const SPAN_DIGITS: usize = 16;
/// Length of a `traceparent` of version 00, characters.
const LENGTH: usize = 55;
/// The version that no sender may use.
const FORBIDDEN_VERSION: u8 = 0xff;
/// The bit of the flags that says that the sender records its spans.
const SAMPLED: u8 = 0b1;

/// The id of a trace: random, and never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(NonZeroU128);

/// The id of a span: random, and never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(NonZeroU64);

/// Which span of which trace, and whether it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Whether the span is recorded.
    pub sampled: bool,
}

impl TraceId {
    /// A new one.
    pub fn random() -> Self {
        Self(random())
    }

    /// As bytes, the most significant first.
    pub fn bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0.get()).simple().fmt(f)
    }
}

impl SpanId {
    /// A new one.
    pub fn random() -> Self {
        Self(random())
    }

    /// As bytes, the most significant first.
    pub fn bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }
}

impl SpanContext {
    /// A new span of this trace.
    pub fn new(trace_id: TraceId, sampled: bool) -> Self {
        Self { trace_id, span_id: SpanId::random(), sampled }
    }

    /// Reads a `traceparent`. `None` if it is not one: W3C's rule is then to go on as if it were
    /// absent. Of a version above 00, what is known of 00 is read, and the rest is ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let version = hex(text, 0, 2)?;
        let ends = match text.as_bytes().get(LENGTH) {
            None => text.len() == LENGTH,
            Some(byte) => version > 0 && *byte == b'-',
        };
        let dashes = [2, 2 + 1 + TRACE_DIGITS, LENGTH - 3].map(|at| text.as_bytes().get(at) == Some(&b'-'));
        if version == u128::from(FORBIDDEN_VERSION) || !ends || dashes.contains(&false) {
            return None;
        }
        let trace_id = TraceId(NonZero::new(hex(text, 3, TRACE_DIGITS)?)?);
        let span_id = u64::try_from(hex(text, LENGTH - 3 - SPAN_DIGITS, SPAN_DIGITS)?).ok()?;
        let flags = u8::try_from(hex(text, LENGTH - 2, 2)?).ok()?;
        Some(Self { trace_id, span_id: SpanId(NonZero::new(span_id)?), sampled: flags & SAMPLED != 0 })
    }
}

/// The number that these digits are, which are lower case.
fn hex(text: &str, from: usize, digits: usize) -> Option<u128> {
    let part = text.get(from..from + digits)?;
    let plain = part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if plain { u128::from_str_radix(part, 16).ok() } else { None }
}

impl fmt::Display for SpanContext {
    /// As a `traceparent`, and a `traceresponse`, of version 00.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{:016x}-{:02x}", self.trace_id, self.span_id.0, u8::from(self.sampled) * SAMPLED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_reads_and_writes_back() {
        let parent = SpanContext::parse(PARENT).expect("a traceparent");
        assert_eq!(parent.to_string(), PARENT);
        assert_eq!(parent.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(parent.sampled);
        let other_flags = PARENT.replace("-01", "-02");
        assert!(SpanContext::parse(&other_flags).is_some_and(|parent| !parent.sampled));
        let made = SpanContext::new(TraceId::random(), false);
        assert_eq!(SpanContext::parse(&made.to_string()), Some(made));
    }

    #[test]
    fn a_later_version_may_be_longer() {
        for later in [PARENT.replace("00-4", "01-4"), PARENT.replace("00-4", "fe-4") + "-more"] {
            assert_eq!(SpanContext::parse(&later), SpanContext::parse(PARENT), "{later}");
        }
        assert_eq!(SpanContext::parse(&(PARENT.replace("00-4", "01-4") + "more")), None);
    }

    #[test]
    fn what_is_no_traceparent_is_ignored() {
        let zero_trace = PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = PARENT.replace("00f067aa0ba902b7", &"0".repeat(16));
        for wrong in [
            "",
            "00",
            &PARENT[..54],
            &format!("{PARENT}-more"),
            &format!("{PARENT} "),
            &format!(" {PARENT}"),
            &PARENT.to_uppercase(),
            &PARENT.replace("00-4", "ff-4"),
            &PARENT.replace("00-4", "0x-4"),
            &PARENT.replace('-', "_"),
            &PARENT.replace("4bf9", "+bf9"),
            &PARENT.replace("4bf9", "4bé"),
            &zero_trace,
            &zero_span,
        ] {
            assert_eq!(SpanContext::parse(wrong), None, "{wrong:?}");
        }
    }
}
