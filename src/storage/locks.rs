//! What each migration locks, as a server showed it: `migrations/locks.csv`. A test runs every
//! migration on a database of its own, reads `pg_locks` before the commit and compares the file.

/// One row for each migration and relation that was there before it.
const TAKEN: &str = include_str!("../../migrations/locks.csv");

/// A lock of a relation, from the weakest to the strongest that is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockMode {
    /// Writes rows; writers of the same rows wait.
    RowExclusive,
    /// No reader and no writer waits.
    ShareUpdateExclusive,
    /// Writers wait.
    Share,
    /// Writers wait.
    ShareRowExclusive,
    /// Writers wait, and readers that lock rows.
    Exclusive,
    /// Readers and writers wait.
    AccessExclusive,
}

impl LockMode {
    /// Reads a mode as `pg_locks` names it; none for the weaker ones, which nothing here waits for.
    pub fn read(name: &str) -> Option<Self> {
        Some(match name {
            "RowExclusiveLock" => Self::RowExclusive,
            "ShareUpdateExclusiveLock" => Self::ShareUpdateExclusive,
            "ShareLock" => Self::Share,
            "ShareRowExclusiveLock" => Self::ShareRowExclusive,
            "ExclusiveLock" => Self::Exclusive,
            "AccessExclusiveLock" => Self::AccessExclusive,
            _ => return None,
        })
    }

    /// As PostgreSQL's documentation names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::Exclusive => "EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }

    /// What waits while the lock is held.
    pub fn waits(self) -> &'static str {
        match self {
            Self::RowExclusive => "writers of the same rows wait",
            Self::ShareUpdateExclusive => "nothing waits",
            Self::Share | Self::ShareRowExclusive => "writers wait",
            Self::Exclusive => "writers wait, and readers that lock rows",
            Self::AccessExclusive => "readers and writers wait",
        }
    }

    /// Whether writers of any row wait.
    pub fn blocks_writes(self) -> bool {
        self > Self::ShareUpdateExclusive
    }
}

/// What a migration does to one relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelationLock {
    /// Schema and name, before the migration.
    pub relation: &'static str,
    /// The strongest lock.
    pub mode: LockMode,
    /// Whether all rows are written anew.
    pub rewrites: bool,
    /// Whether all rows are read.
    pub reads_all: bool,
}

impl RelationLock {
    /// Whether it may take longer the more rows there are.
    pub fn works_on_all(self) -> bool {
        self.rewrites || self.reads_all || self.mode == LockMode::RowExclusive
    }
}

/// The locks of a migration, by name.
pub(super) fn of(version: i64) -> impl Iterator<Item = RelationLock> {
    all().filter_map(move |(of, lock)| (of == version).then_some(lock))
}

/// All rows of the file; a row that does not parse is left out, and a test finds it.
fn all() -> impl Iterator<Item = (i64, RelationLock)> {
    TAKEN.lines().filter_map(|line| {
        let mut cells = line.split(',');
        let (version, relation) = (cells.next()?.parse().ok()?, cells.next()?);
        let mode = LockMode::read(cells.next()?)?;
        let (rewrites, reads_all) = (cells.next()? == "true", cells.next()? == "true");
        Some((version, RelationLock { relation, mode, rewrites, reads_all }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_the_file_is_read() {
        let rows = TAKEN.lines().skip(1).count();
        assert!(rows > 50, "{rows}");
        assert_eq!(all().count(), rows);
    }
}
