//! The pictures of the riders' pages for the documentation; `screenshots` of the console's tests takes
//! them with its own.

use super::{at_390, phone, sign_in};
use crate::harness::{World, with_palette};
use std::{fs, path::Path};

/// The largest picture, bytes.
const LARGEST: usize = 100_000;

/// Takes pictures of a rider's pages, by name, on a phone in both themes. Returns their bytes.
pub async fn take(world: &World, folder: &Path, rider: &str, pages: &[(&str, String)]) -> usize {
    let browser = phone(world).await;
    sign_in(&browser, rider).await;
    let mut bytes = 0;
    for (look, scheme) in [("phone", "light"), ("phone-dark", "dark")] {
        browser.prefers(scheme).await;
        for (page, address) in pages {
            at_390(&browser).await;
            browser.goto(address).await;
            let settled = "!document.querySelector('[data-until]')?.innerText.includes('until')";
            browser.until("the script has run", settled).await;
            let picture = with_palette(&browser.picture().await);
            assert!(picture.len() < LARGEST, "{page}-{look} has {} bytes", picture.len());
            bytes += picture.len();
            fs::write(folder.join(format!("{page}-{look}.png")), picture).unwrap();
        }
    }
    browser.check().await;
    bytes
}
