//! The code on a ticket: the order's id with a mark that only this installation can make, so that the
//! page of the manifest tells a ticket from a picture of one.

use super::Web;
use crate::accounts::token_keys::{TokenKeys, Use};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use maud::{Markup, html};
use qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::Write;
use uuid::Uuid;

/// What the text of a ticket begins with.
const PREFIX: &str = "farebox:";
/// The quiet zone around a code, modules (ISO/IEC 18004).
const QUIET: i32 = 4;

/// The text in the code of this order.
pub(crate) fn text(keys: &TokenKeys, order: Uuid) -> String {
    let mark = keys.digest(Use::RiderTickets, &[order.as_bytes()]);
    format!("{PREFIX}{order}:{}", URL_SAFE_NO_PAD.encode(mark))
}

/// The code of an order as a picture; its text below for those who cannot scan it.
pub(super) fn of(web: &Web, order: &str) -> Markup {
    let Ok(order) = order.parse::<Uuid>() else { return html! {} };
    let text = text(web.app.sessions.keys(), order);
    let Ok(code) = QrCode::encode_text(&text, QrCodeEcc::Medium) else { return html! {} };
    let size = code.size() + 2 * QUIET;
    html! {
        svg.qr viewBox=(format!("0 0 {size} {size}")) role="img" aria-label="QR" shape-rendering="crispEdges" {
            rect width=(size) height=(size) fill="#fff" {}
            path d=(path(&code)) fill="#000" {}
        }
    }
}

/// A square for each dark module.
fn path(code: &QrCode) -> String {
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            // Writing into a string cannot fail.
            let _ = write!(path, "M{} {}h1v1h-1z", x + QUIET, y + QUIET);
        }
    }
    path
}
