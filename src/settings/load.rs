//! Reading the settings: files, environment and overrides.

use super::{Environment, Settings, SettingsError, variables};
use config::{Config, Environment as Variables, File, FileFormat, Value, ValueKind};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// The built-in defaults: every key, with a comment.
const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Names the configuration file, instead of `config/<environment>.toml` in the working folder.
const FILE_VARIABLE: &str = "FAREBOX_CONFIG";

impl Settings {
    /// Reads the settings of `environment`; `overrides` (from the command line) win over
    /// everything.
    ///
    /// # Errors
    /// An unknown environment, unknown keys, values that do not fit, a missing expected file.
    pub fn load(environment: &str, overrides: &[(&str, String)]) -> Result<Self, SettingsError> {
        let environment: Environment = environment.parse().map_err(SettingsError::Refused)?;
        let defaults = File::from_str(DEFAULTS, FileFormat::Toml);
        // Without `try_parsing`: a value is a text until a setting says what it is.
        let variables = Variables::with_prefix("FAREBOX")
            .prefix_separator("__")
            .separator("__")
            .source(Some(variables::settings()?));
        let mut builder = Config::builder()
            .add_source(defaults.clone())
            .add_source(File::from_str(&file(environment)?, FileFormat::Toml))
            .add_source(variables)
            .set_override("environment", environment.as_str())?;
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

    /// Refuses missing and short secrets, which have no defaults, and in production weak ones.
    ///
    /// # Errors
    /// Names the variable.
    pub fn require_secrets(&self) -> Result<(), SettingsError> {
        self.secrets.check(self.environment)
    }

    /// Refuses faults in production, however they are switched on.
    ///
    /// # Errors
    /// If they are on there.
    pub fn require_safe_faults(&self) -> Result<(), SettingsError> {
        let variable = std::env::var_os("FAREBOX_FAULTS").is_some();
        if self.environment.is_production() && (self.faults.enabled || variable) {
            return Err(SettingsError::Refused("faults are refused in production".to_owned()));
        }
        Ok(())
    }
}

/// The text of the configuration file; empty if there is none and none is expected. One is expected
/// in production, and wherever [`FILE_VARIABLE`] names one: a process in the wrong folder would
/// start with other settings than those that its operator wrote.
fn file(environment: Environment) -> Result<String, SettingsError> {
    let named = std::env::var_os(FILE_VARIABLE).map(PathBuf::from);
    let is_expected = named.is_some() || environment.is_production();
    let path = named.unwrap_or_else(|| Path::new("config").join(format!("{environment}.toml")));
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound && !is_expected => Ok(String::new()),
        Err(error) => Err(SettingsError::Refused(format!(
            "the configuration file {}: {error}; start in its folder, or name another file in \
             {FILE_VARIABLE}",
            path.display()
        ))),
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
            ("database.replica_max_lag_ms", "499"),
            ("database.replica_max_lag_ms", "60001"),
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
        for wrong in ["-0.1", "100.1", "nan"] {
            let refused = Settings::load("development", &[("otel.sample_percent", wrong.to_owned())]);
            assert!(refused.expect_err(wrong).to_string().contains("sample_percent"), "{wrong}");
        }
        let unknown = Settings::load("development", &[("booking.hold_sec", "1".to_owned())]);
        assert_eq!(
            unknown.expect_err("an unknown key").to_string(),
            "unknown setting `booking.hold_sec`; did you mean `booking.hold_secs`?"
        );
    }
}
