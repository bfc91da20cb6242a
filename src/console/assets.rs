//! The console's style and script, in the binary. Their addresses contain a hash of the content, so
//! that browsers can cache them for long.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// Browsers cache the assets for a year.
const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

const STYLE: &str = concat!(include_str!("assets/console.css"), include_str!("assets/parts.css"));
const SCRIPT: &str = concat!(include_str!("assets/console.js"), include_str!("assets/keys.js"));

/// The address of the style sheet.
pub(crate) static STYLE_ADDRESS: LazyLock<String> = LazyLock::new(|| address(STYLE, "css"));
/// The address of the script.
pub(crate) static SCRIPT_ADDRESS: LazyLock<String> = LazyLock::new(|| address(SCRIPT, "js"));

fn address(text: &str, ext: &str) -> String {
    let hash =
        Sha256::digest(text.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("/console/assets/{hash}.{ext}")
}

pub(crate) async fn serve(Path(name): Path<String>) -> Response {
    let is = |address: &str| address.rsplit('/').next() == Some(name.as_str());
    let (kind, text) = if is(&STYLE_ADDRESS) {
        ("text/css; charset=utf-8", STYLE)
    } else if is(&SCRIPT_ADDRESS) {
        ("text/javascript; charset=utf-8", SCRIPT)
    } else {
        return StatusCode::NOT_FOUND.into_response();
    };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, CACHE_CONTROL)], text).into_response()
}
