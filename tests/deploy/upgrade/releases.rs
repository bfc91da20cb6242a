//! Builds of other releases: the one before, by its commit, and one of after, which is this tree with
//! migrations of its own. Each is built once.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The release before this one: the last commit whose schema an installation can have.
const BEFORE: &str = "2d1b2acd30db82d270a6bb0e0d283c73dc579788";

/// What the release of after brings: columns that this one does not know, an index that is built beside
/// writers, and later the end of something that only this release knows.
const MIGRATIONS: [(&str, &str); 3] = [
    (
        "9001_upgrade.sql",
        "-- phase: expand
alter table orders add column note text, add constraint order_note_is_short check (length(note) < 100) not valid;
create table order_note (order_id uuid not null, constraint order_note_pkey primary key (order_id));
",
    ),
    (
        "9002_upgrade.sql",
        "-- no-transaction
-- phase: expand
create index concurrently orders_by_payment on orders (paid_at);
",
    ),
    (
        "9003_upgrade.sql",
        "-- phase: contract
update schema_floor set lowest = 9002;
alter table orders drop column note;
",
    ),
];
/// What they lock.
const LOCKS: &str = "9001,public.orders,AccessExclusiveLock,false,false
9002,public.orders,ShareUpdateExclusiveLock,false,true
9003,public.orders,AccessExclusiveLock,false,false
9003,public.schema_floor,RowExclusiveLock,false,true
";

/// The programs of a release.
pub struct Release {
    folder: PathBuf,
    /// The keys of its settings, as variables.
    variables: Option<Vec<String>>,
}

impl Release {
    /// The build under test.
    pub fn this() -> Self {
        let folder = Path::new(env!("CARGO_BIN_EXE_farebox")).parent().unwrap().to_owned();
        Self { folder, variables: None }
    }

    /// The release before. A clone without its history does not have it, and says so.
    pub fn before() -> Self {
        let work = workshop("before");
        let built = format!("{BEFORE} {}", profile());
        if fs::read_to_string(work.join("built")).unwrap_or_default() != built {
            let known = git(&["cat-file", "-e", &format!("{BEFORE}^{{commit}}")]).status().unwrap();
            assert!(
                known.success(),
                "this clone has no commit {BEFORE}, the release before: fetch its history (`git fetch --unshallow`)"
            );
            let tree = emptied(&work.join("tree"));
            let archive = work.join("tree.tar");
            let to = archive.to_str().unwrap();
            assert!(git(&["archive", "--output", to, BEFORE]).status().unwrap().success());
            run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&tree));
            build(&work);
            fs::write(work.join("built"), built).unwrap();
        }
        let settings = fs::read_to_string(work.join("tree/config/default.toml")).unwrap();
        Self { folder: work.join("target").join(profile()), variables: Some(variables(&settings)) }
    }

    /// A release of after. Its tree is this one, so cargo knows whether it has to be built again.
    pub fn next() -> Self {
        let (work, root) = (workshop("next"), Path::new(env!("CARGO_MANIFEST_DIR")));
        let tree = emptied(&work.join("tree"));
        for part in ["Cargo.toml", "Cargo.lock", "build.rs", "src", "migrations", "config", ".sqlx"] {
            run(Command::new("cp").arg("-a").arg(root.join(part)).arg(&tree));
        }
        fs::create_dir_all(tree.join("jobs")).unwrap();
        for part in ["Cargo.toml", "src", "queue"] {
            run(Command::new("cp").arg("-a").arg(root.join("jobs").join(part)).arg(tree.join("jobs")));
        }
        fs::create_dir_all(tree.join("tests")).unwrap();
        run(Command::new("cp").arg("-a").arg(root.join("tests/tidy")).arg(tree.join("tests")));
        for test in ["main.rs", "tidy.rs"] {
            fs::write(tree.join("tests").join(test), "//! Nothing: the programs are what is tried.\n")
                .unwrap();
        }
        for (name, sql) in MIGRATIONS {
            fs::write(tree.join("migrations").join(name), sql).unwrap();
        }
        let locks = tree.join("migrations/locks.csv");
        let known = fs::read_to_string(&locks).unwrap();
        fs::write(&locks, known + LOCKS).unwrap();
        build(&work);
        Self { folder: work.join("target").join(profile()), variables: None }
    }

    /// A program of this release, without the settings that it does not know.
    pub fn command(&self, program: &str, url: &str, env: &[(&str, &str)]) -> Command {
        let path = self.folder.join(program);
        let mut command = crate::harness::command(path.to_str().unwrap(), url, env);
        if let Some(known) = &self.variables {
            let set: Vec<String> =
                command.get_envs().map(|(name, _)| name.to_str().unwrap().to_owned()).collect();
            for name in set.iter().filter(|name| name.starts_with("FAREBOX__") && !known.contains(name)) {
                command.env_remove(name);
            }
        }
        command
    }
}

/// The keys of a file of settings, as the variables that override them.
fn variables(settings: &str) -> Vec<String> {
    let (mut names, mut section) = (Vec::new(), "");
    for line in settings.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            let path = format!("{section}__{key}").replace('.', "__");
            names.push(format!("FAREBOX__{}", path.to_uppercase()));
        }
    }
    // They are secrets, and stand in no file.
    names.extend(["FAREBOX__SECRETS__TOKEN_KEY", "FAREBOX__SECRETS__PEPPER"].map(str::to_owned));
    names
}

fn workshop(name: &str) -> PathBuf {
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("releases").join(name);
    fs::create_dir_all(&work).unwrap();
    work
}

fn emptied(folder: &Path) -> PathBuf {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
    folder.to_owned()
}

/// Builds the programs; dependencies that are built already are the same files as ours.
fn build(work: &Path) {
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join(profile());
    let target = work.join("target").join(profile());
    if !target.exists() {
        fs::create_dir_all(&target).unwrap();
        for part in ["deps", "build", ".fingerprint"] {
            run(Command::new("cp").arg("-al").arg(built.join(part)).arg(&target));
        }
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--locked", "--quiet", "--bins"]);
    if profile() == "release" {
        cargo.arg("--release");
    }
    cargo.current_dir(work.join("tree")).env("CARGO_TARGET_DIR", work.join("target"));
    run(cargo.env("SQLX_OFFLINE", "true").env_remove("DATABASE_URL").env_remove("RUSTFLAGS"));
}

fn profile() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

fn git(arguments: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments);
    git
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&done.stderr));
}
