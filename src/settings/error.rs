//! Why settings are refused.

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
