//! The environments. A name that is not one of them is an error: a misspelt `production` must not
//! be development.

use serde::Deserialize;
use std::{fmt, str::FromStr};

/// The variable that names the environment.
pub(crate) const VARIABLE: &str = "FAREBOX_ENV";

/// Where a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Environment {
    /// A developer's machine: demo data and simulated faults are possible.
    Development,
    /// Automated tests and trials; as development, but never chosen by default.
    Test,
    /// Real riders and real money: everything that is not safe is refused.
    Production,
}

impl Environment {
    /// The name, as in `FAREBOX_ENV`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Test => "test",
            Self::Production => "production",
        }
    }

    /// Whether this is production.
    pub fn is_production(self) -> bool {
        self == Self::Production
    }

    /// The environment of a process: that of [`VARIABLE`], or development if the variable is not
    /// set and no database is named. A process that is pointed at a database says what the database is.
    ///
    /// # Errors
    /// Another name; no name for a process that is given a database.
    pub fn choose(named: Option<&str>, has_database: bool) -> Result<Self, String> {
        match named {
            Some(name) => name.parse(),
            None if has_database => Err(format!(
                "{VARIABLE} must be set to development, test or production when DATABASE_URL is set"
            )),
            None => Ok(Self::Development),
        }
    }
}

impl FromStr for Environment {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::Development, Self::Test, Self::Production]
            .into_iter()
            .find(|environment| environment.as_str() == name)
            .ok_or_else(|| {
                format!("{VARIABLE}={name:?} is no environment: write development, test or production")
            })
    }
}

impl TryFrom<String> for Environment {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_names_are_environments() {
        for name in ["development", "test", "production"] {
            assert_eq!(name.parse::<Environment>().map(Environment::as_str), Ok(name));
        }
        for wrong in ["", "prod", "Production", "PRODUCTION", "production ", "staging", "dev"] {
            let said = wrong.parse::<Environment>().expect_err(wrong);
            for part in ["FAREBOX_ENV", "development", "test", "production"] {
                assert!(said.contains(part), "{said}");
            }
            assert!(Environment::choose(Some(wrong), false).is_err(), "{wrong}");
        }
        assert_eq!(Environment::choose(None, false), Ok(Environment::Development));
        assert!(Environment::choose(None, true).is_err(), "a database without an environment");
    }
}
