//! The secrets that sign. A secret is derived from a nonce and the pepper, as those of second factors are: a
//! copy of the database signs nothing.

use crate::{accounts::passwords::Passwords, domain::BoxError};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use rand::{TryRngCore, rngs::OsRng};
use sha2::Sha256;
use uuid::Uuid;

/// What a secret's text begins with, by the convention.
const PREFIX: &str = "whsec_";

/// A nonce from which a secret is derived.
pub(super) type Nonce = [u8; 32];

/// A random nonce, for a new secret.
///
/// # Errors
/// The operating system has no random bytes.
pub(super) fn new_nonce() -> Result<Nonce, BoxError> {
    let mut nonce = Nonce::default();
    OsRng.try_fill_bytes(&mut nonce)?;
    Ok(nonce)
}

/// The secret of a nonce as the receiver is given it: 32 bytes in Base64.
///
/// # Errors
/// None in practice: there is always a pepper.
pub(super) fn text_of(passwords: &Passwords, endpoint: Uuid, nonce: &[u8]) -> Result<String, BoxError> {
    let secret = secrets(passwords, endpoint, nonce).into_iter().next().ok_or("there is no pepper")?;
    Ok(format!("{PREFIX}{}", STANDARD.encode(secret)))
}

/// The secrets that a nonce may stand for: that by the pepper in force first, then those by the other peppers
/// that are known, since a receiver keeps its secret when the pepper changes.
pub(super) fn secrets(passwords: &Passwords, endpoint: Uuid, nonce: &[u8]) -> Vec<Vec<u8>> {
    let parts = [endpoint.to_string(), URL_SAFE_NO_PAD.encode(nonce)];
    passwords.derived("the secret of a webhook", &parts.each_ref().map(String::as_str))
}

/// The header `webhook-signature`: a signature by each secret, separated by blanks. A receiver needs one
/// that fits its own.
pub(super) fn signatures(secrets: &[Vec<u8>], id: &str, timestamp: i64, body: &[u8]) -> String {
    let macs = secrets.iter().filter_map(|secret| Hmac::<Sha256>::new_from_slice(secret).ok());
    let signed = macs.map(|mut mac| {
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    });
    signed.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Cost, Ring};

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 2, parallel: 1 };

    /// The example of the convention's own libraries.
    #[test]
    fn a_signature_is_that_of_the_convention() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("Base64");
        let signed =
            signatures(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_receiver_keeps_its_secret_when_the_pepper_changes() -> Result<(), BoxError> {
        let (first, second) = (Ring::alone("the first pepper"), Ring::alone("the second pepper"));
        let before = Passwords::new(&first, CHEAP)?;
        let rotated = Passwords::new(&Ring { old: vec![first.current], ..second }, CHEAP)?;
        let (endpoint, nonce) = (Uuid::now_v7(), new_nonce()?);
        let own = secrets(&before, endpoint, &nonce);
        assert_eq!((own.len(), own[0].len()), (1, 32));
        let both = secrets(&rotated, endpoint, &nonce);
        assert!(both.len() == 2 && both[0] != own[0] && both[1] == own[0]);
        assert_ne!(secrets(&before, Uuid::now_v7(), &nonce), own, "each endpoint has its own");
        let text = text_of(&before, endpoint, &nonce)?;
        assert_eq!(
            text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok()).as_ref(),
            own.first()
        );
        Ok(())
    }
}
