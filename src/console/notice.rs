//! The notice of an action, carried over its redirect by a cookie that is signed for its session:
//! no other page can put words into the console's mouth.

use super::CONSOLE;
use crate::browser::cookies::Cookies;
use crate::{
    accounts::{TokenKeys, token_keys::Use},
    http::App,
};
use axum::http::{HeaderMap, HeaderValue};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

/// The cookie that carries a notice over a redirect.
const NOTICE: &str = "farebox_notice";
/// How long the browser may take for the redirect, seconds.
const MAX_AGE_SECS: u32 = 30;
/// Bytes of the signature before the text.
const MAC_BYTES: usize = 32;

/// What signs the notices of one session, and how its cookies are set.
#[derive(Clone)]
pub(crate) struct Notices {
    keys: TokenKeys,
    cookies: Cookies,
    session: Uuid,
}

impl std::fmt::Debug for Notices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Notices(..)")
    }
}

impl Notices {
    pub(super) fn of(app: &App, headers: &HeaderMap, session: Uuid) -> Self {
        Self { keys: app.sessions.keys().clone(), cookies: Cookies::of(app, headers, CONSOLE), session }
    }

    /// For pages before a session begins.
    pub(super) fn without_session(app: &App, headers: &HeaderMap) -> Self {
        Self::of(app, headers, Uuid::nil())
    }

    /// The notice of a request, if this session's console signed it.
    pub(super) fn read(&self, headers: &HeaderMap) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(self.cookies.get(headers, NOTICE)?).ok()?;
        let (mac, text) = bytes.split_at_checked(MAC_BYTES)?;
        let parts = [self.session.as_bytes().as_slice(), text];
        let is_own = self.keys.verify(Use::Notices, &parts, mac);
        String::from_utf8(text.to_vec()).ok().filter(|_| is_own)
    }

    pub(super) fn set(&self, text: &str) -> HeaderValue {
        let parts = [self.session.as_bytes().as_slice(), text.as_bytes()];
        let signed = [self.keys.digest(Use::Notices, &parts), text.as_bytes().to_vec()].concat();
        self.cookies.set(NOTICE, &URL_SAFE_NO_PAD.encode(signed), MAX_AGE_SECS)
    }

    /// The header that removes a notice that was shown.
    pub(super) fn remove(&self) -> HeaderValue {
        self.cookies.remove(NOTICE)
    }
}
