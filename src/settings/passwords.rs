//! The cost of hashing passwords.

use serde::Deserialize;

/// What one hash costs, and how many run at once.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Cost {
    /// Argon2 memory, KiB.
    pub memory_kib: u32,
    /// Argon2 passes over the memory.
    pub passes: u32,
    /// Hashes at once in one process.
    pub parallel: usize,
}
