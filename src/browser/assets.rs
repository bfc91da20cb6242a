//! Styles and scripts, in the binary. Their addresses contain a hash of the content, so that browsers
//! can cache them for long.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

/// Browsers cache the assets for a year.
const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// A file of pages.
pub(crate) struct Asset {
    /// Its address.
    pub(crate) address: String,
    kind: &'static str,
    text: &'static str,
}

impl Asset {
    /// A style sheet below this path.
    pub(crate) fn style(path: &str, text: &'static str) -> Self {
        Self { address: address(path, text, "css"), kind: "text/css; charset=utf-8", text }
    }

    /// A script below this path.
    pub(crate) fn script(path: &str, text: &'static str) -> Self {
        Self { address: address(path, text, "js"), kind: "text/javascript; charset=utf-8", text }
    }
}

fn address(path: &str, text: &str, ext: &str) -> String {
    let hash =
        Sha256::digest(text.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{path}/{hash}.{ext}")
}

/// The file with this name.
pub(crate) fn serve(name: &str, assets: &[&Asset]) -> Response {
    let is = |asset: &&&Asset| asset.address.rsplit('/').next() == Some(name);
    match assets.iter().find(is) {
        Some(asset) => {
            let headers = [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, CACHE_CONTROL)];
            (headers, asset.text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
