//! The code on a ticket as a picture.

use super::Web;
use crate::{browser::ticket_code::TicketCode, domain::OrderId};
use maud::{Markup, html};
use qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::Write;

/// The quiet zone around a code, modules (ISO/IEC 18004).
const QUIET: i32 = 4;

/// The code of an order, with these words for those who do not see it.
pub(super) fn of(web: &Web, order: &str, words: &str) -> Markup {
    let Ok(order) = order.parse().map(OrderId) else { return html! {} };
    let text = TicketCode::text(web.app.sessions.keys(), order);
    let Ok(code) = QrCode::encode_text(&text, QrCodeEcc::Medium) else { return html! {} };
    let size = code.size() + 2 * QUIET;
    html! {
        svg.qr viewBox=(format!("0 0 {size} {size}")) role="img" aria-label=(words) shape-rendering="crispEdges" {
            rect width=(size) height=(size) fill="#fff" {}
            path d=(path(&code)) fill="#000" {}
        }
    }
}

/// A bar for each row of dark modules without a gap.
fn path(code: &QrCode) -> String {
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let dark = (x..code.size()).take_while(|x| code.get_module(*x, y)).count();
            let dark = i32::try_from(dark).unwrap_or(0);
            if dark > 0 {
                // Writing into a string cannot fail.
                let _ = write!(path, "M{} {}h{dark}v1h-{dark}z", x + QUIET, y + QUIET);
            }
            x += dark + 1;
        }
    }
    path
}
