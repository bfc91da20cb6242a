//! The console's style and script.

use crate::browser::assets::{Asset, serve as serve_asset};
use axum::{extract::Path, response::Response};
use std::sync::LazyLock;

const PATH: &str = "/console/assets";

/// The style sheet.
pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::style(PATH, concat!(include_str!("assets/console.css"), include_str!("assets/parts.css")))
});
/// The script.
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::script(PATH, concat!(include_str!("assets/console.js"), include_str!("assets/keys.js")))
});

pub(crate) async fn serve(Path(name): Path<String>) -> Response {
    serve_asset(&name, &[&STYLE, &SCRIPT])
}
