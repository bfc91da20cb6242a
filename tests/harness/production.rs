//! What the processes of a test in production mode are started with.

/// Production, on a database of this machine. Its rules refuse the simulated faults that other tests
/// switch on.
pub const PRODUCTION: [(&str, &str); 2] =
    [("FAREBOX_ENV", "production"), ("FAREBOX__FAULTS__ENABLED", "false")];

/// Production, with further settings.
pub fn production<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    PRODUCTION.iter().chain(more).copied().collect()
}
