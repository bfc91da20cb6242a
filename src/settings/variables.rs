//! Variables: `FAREBOX__SECTION__KEY`, and for secrets `…_FILE`, which names a file.

use super::{SettingsError, secrets::FROM_FILES};
use config::Map;
use secrecy::SecretString;
use std::{fs::File, io::Read, path::Path};

/// What the names of all settings begin with.
const PREFIX: &str = "FAREBOX__";
/// What the name of a variable ends with that names a secret's file.
const FILE: &str = "_FILE";
/// Largest file of a secret, bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// The variable that names the database.
const DATABASE_URL: &str = "DATABASE_URL";

/// The variables that are settings, with the contents of files in the place of their names. All are
/// texts: a secret of digits that is read as a number loses some of them.
///
/// # Errors
/// A variable that is not UTF-8, one that is set in both ways, a file that cannot be read.
pub(super) fn settings() -> Result<Map<String, String>, SettingsError> {
    let mut found = Map::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)).map(str::to_owned) else {
            continue;
        };
        let value = value.into_string().map_err(|_| refused(&name, "is not UTF-8"))?;
        found.insert(name, value);
    }
    for key in FROM_FILES {
        let name = format!("{PREFIX}{}", key.replace('.', "__").to_uppercase());
        if let Some(path) = found.remove(&format!("{name}{FILE}")) {
            if found.contains_key(&name) {
                return Err(both(&name));
            }
            found.insert(name.clone(), read(&name, &path)?);
        }
    }
    Ok(found)
}

/// `DATABASE_URL`, or what the file holds that `DATABASE_URL_FILE` names.
///
/// # Errors
/// Both are set, or the file cannot be read.
pub fn database_url() -> Result<Option<SecretString>, SettingsError> {
    let set = |name: &str| match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(refused(name, "is not UTF-8")),
    };
    match (set(DATABASE_URL)?, set(&format!("{DATABASE_URL}{FILE}"))?) {
        (Some(_), Some(_)) => Err(both(DATABASE_URL)),
        (Some(url), None) => Ok(Some(url.into())),
        (None, Some(path)) => Ok(Some(read(DATABASE_URL, &path)?.into())),
        (None, None) => Ok(None),
    }
}

/// The text of a secret's file, without the line break at its end.
fn read(name: &str, path: &str) -> Result<String, SettingsError> {
    let fail = |why: String| refused(&format!("{name}{FILE}"), &format!("= {path}: {why}"));
    let file = File::open(Path::new(path)).map_err(|error| fail(error.to_string()))?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| fail(error.to_string()))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(fail(format!("longer than {MAX_FILE_BYTES} bytes")));
    }
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err(fail("the file is empty".to_owned())) } else { Ok(text.to_owned()) }
}

fn both(name: &str) -> SettingsError {
    refused(name, &format!("and {name}{FILE} are both set; set one of them"))
}

fn refused(name: &str, why: &str) -> SettingsError {
    SettingsError::Refused(format!("{name} {why}"))
}
