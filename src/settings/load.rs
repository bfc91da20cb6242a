//! Reading the settings: files, environment and overrides.

use super::Settings;
use config::{Config, Environment, File, FileFormat, Value, ValueKind};
use std::path::Path;

/// The built-in defaults: every key, with a comment.
const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// An unknown key, most often a typing error.
    #[error("unknown setting `{key}`; did you mean `{nearest}`?")]
    Unknown {
        /// The key as it was given.
        key: String,
        /// The known key most like it.
        nearest: String,
    },
    /// A value that does not fit.
    #[error("settings: {0}")]
    Unreadable(#[from] config::ConfigError),
    /// A rule that a file cannot express.
    #[error("settings: {0}")]
    Refused(String),
}

impl Settings {
    /// Reads the settings of `environment`; `overrides` (from the command line) win over
    /// everything.
    ///
    /// # Errors
    /// Unknown keys, values that do not fit.
    pub fn load(environment: &str, overrides: &[(&str, String)]) -> Result<Self, SettingsError> {
        let defaults = File::from_str(DEFAULTS, FileFormat::Toml);
        let file = Path::new("config").join(environment);
        let variables =
            Environment::with_prefix("FAREBOX").prefix_separator("__").separator("__").try_parsing(true);
        let mut builder = Config::builder()
            .add_source(defaults.clone())
            .add_source(File::from(file).format(FileFormat::Toml).required(false))
            .add_source(variables)
            .set_override("environment", environment)?;
        for (key, value) in overrides {
            builder = builder.set_override(*key, value.as_str())?;
        }
        let merged = builder.build()?;
        let known = keys(&Config::builder().add_source(defaults).build()?);
        for key in keys(&merged) {
            if !known.contains(&key) {
                return Err(unknown(key, &known));
            }
        }
        Ok(merged.try_deserialize()?)
    }

    /// Refuses a missing or short token key or pepper, which have no defaults.
    ///
    /// # Errors
    /// Names the variable.
    pub fn require_secrets(&self) -> Result<(), SettingsError> {
        const MIN_LENGTH: usize = 16;
        for (name, value) in [("TOKEN_KEY", &self.secrets.token_key), ("PEPPER", &self.secrets.pepper)] {
            if value.len() < MIN_LENGTH {
                return Err(SettingsError::Refused(format!(
                    "FAREBOX__SECRETS__{name} must be set to at least {MIN_LENGTH} characters"
                )));
            }
        }
        Ok(())
    }

    /// Refuses faults in production.
    ///
    /// # Errors
    /// If they are on there.
    pub fn require_safe_faults(&self) -> Result<(), SettingsError> {
        let variable = std::env::var_os("FAREBOX_FAULTS").is_some();
        if self.environment == "production" && (self.faults.enabled || variable) {
            return Err(SettingsError::Refused("faults are refused in production".to_owned()));
        }
        Ok(())
    }
}

fn keys(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(table) = config.cache.clone().into_table() {
        table.into_iter().for_each(|(key, value)| collect(&mut found, key, value));
    }
    found
}

fn collect(found: &mut Vec<String>, key: String, value: Value) {
    match value.kind {
        ValueKind::Table(table) => {
            table.into_iter().for_each(|(inner, value)| collect(found, format!("{key}.{inner}"), value));
        }
        _ => found.push(key),
    }
}

fn unknown(key: String, known: &[String]) -> SettingsError {
    let likeness = |other: &&String| (strsim::jaro_winkler(&key, other) * 1e6) as u64;
    let nearest = known.iter().max_by_key(likeness).cloned().unwrap_or_default();
    SettingsError::Unknown { key, nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_and_bounded() {
        for (key, value) in [
            ("booking.hold_secs", "nan"),
            ("booking.hold_secs", "inf"),
            ("booking.hold_secs", "-1"),
            ("booking.hold_secs", "0"),
            ("booking.hold_secs", "1e300"),
            ("booking.cut_off_secs", "-0.1"),
            ("booking.undo_after_ms", "-1"),
            ("booking.undo_after_ms", "9223372036854775807"),
            ("booking.pay_authorization_secs", "NaN"),
        ] {
            assert!(Settings::load("development", &[(key, value.to_owned())]).is_err(), "{key} = {value}");
        }
        assert!(
            crate::settings::hold_secs("1.5").is_ok()
                && crate::settings::hold_secs("NaN").is_err()
                && crate::settings::hold_secs("-1").is_err()
        );
    }

    #[test]
    fn the_defaults_are_complete_and_an_unknown_key_is_named() {
        let settings = Settings::load("development", &[]).expect("the defaults alone suffice");
        assert!((settings.booking.hold_secs - 300.0).abs() < f64::EPSILON);
        assert!(settings.require_secrets().is_err(), "secrets have no default");
        assert_eq!(settings.verify.overdue_bound(), crate::settings::DEFAULT_OVERDUE_BOUND);
        for wrong in ["0", "-1", "86401", "1e300", "nan"] {
            let refused = Settings::load("development", &[("verify.debt_secs", wrong.to_owned())]);
            assert!(refused.expect_err(wrong).to_string().contains("debt_secs"), "{wrong}");
        }
        let unknown = Settings::load("development", &[("booking.hold_sec", "1".to_owned())]);
        assert_eq!(
            unknown.expect_err("an unknown key").to_string(),
            "unknown setting `booking.hold_sec`; did you mean `booking.hold_secs`?"
        );
    }
}
