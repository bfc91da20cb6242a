//! The code on a rider's ticket: the order's id with a mark that only this installation can make. The
//! page of the manifest tells it from a code that somebody else drew.

use crate::{
    accounts::token_keys::{TokenKeys, Use},
    domain::OrderId,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// What the text of a code begins with.
const PREFIX: &str = "farebox:";
/// The longest text that is read, bytes.
pub(crate) const MAX_TEXT_BYTES: usize = 200;

/// What a scanner or a person gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TicketCode {
    /// A code that this installation made, for this order.
    Genuine(OrderId),
    /// An order's number alone: anybody who has seen it can type it.
    Typed(OrderId),
    /// Neither.
    Unknown,
}

impl TicketCode {
    /// The text in the code of this order.
    pub(crate) fn text(keys: &TokenKeys, order: OrderId) -> String {
        let mark = keys.digest(Use::RiderTickets, &[order.0.as_bytes()]);
        format!("{PREFIX}{order}:{}", URL_SAFE_NO_PAD.encode(mark))
    }

    /// Reads what was scanned or typed, with blanks around it. Marks of any accepted key are genuine.
    pub(crate) fn read(keys: &TokenKeys, text: &str) -> Self {
        let text = text.trim();
        if text.len() > MAX_TEXT_BYTES {
            return Self::Unknown;
        }
        let (id, mark) = match text.strip_prefix(PREFIX).unwrap_or(text).split_once(':') {
            Some((id, mark)) => (id, Some(mark)),
            None => (text, None),
        };
        let Ok(order) = id.parse().map(OrderId) else { return Self::Unknown };
        let Some(mark) = mark else { return Self::Typed(order) };
        let mark = URL_SAFE_NO_PAD.decode(mark).unwrap_or_default();
        let is_ours = keys.verify(Use::RiderTickets, &[order.0.as_bytes()], &mark);
        if is_ours { Self::Genuine(order) } else { Self::Unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn only_the_code_of_the_installation_itself_is_genuine() {
        let (keys, others) = (TokenKeys::from(b"a key"), TokenKeys::from(b"another key"));
        let order = OrderId(Uuid::from_u128(7));
        let code = TicketCode::text(&keys, order);
        let bare = code.strip_prefix(PREFIX).expect("the prefix");
        for text in [code.as_str(), bare, &format!(" {code}\n")] {
            assert_eq!(TicketCode::read(&keys, text), TicketCode::Genuine(order), "{text}");
        }
        assert_eq!(TicketCode::read(&keys, &order.to_string()), TicketCode::Typed(order));
        let of_another = code.replace(&order.to_string(), &Uuid::from_u128(8).to_string());
        let long = "7".repeat(MAX_TEXT_BYTES + 1);
        for text in ["", "farebox:", "farebox:7:", &format!("{order}:"), &of_another, &long] {
            assert_eq!(TicketCode::read(&keys, text), TicketCode::Unknown, "{text}");
        }
        assert_eq!(TicketCode::read(&others, &code), TicketCode::Unknown);
    }
}
