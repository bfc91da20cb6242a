//! The keyed hash of request bodies and form tokens.

use super::{App, problem::Problem};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// A hash of the parts with the pepper as its key. A plain hash does not do: bodies hold passwords,
/// and all six digits of a pay password are quickly tried against the table of stored responses.
pub(crate) fn keyed_hash(app: &App, parts: &[&[u8]]) -> Result<Hmac<Sha256>, Problem> {
    let pepper = app.settings.secrets.pepper.as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(pepper).map_err(|_| Problem::broken())?;
    parts.iter().for_each(|part| mac.update(part));
    Ok(mac)
}
