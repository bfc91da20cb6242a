//! A systemd that is the first process of namespaces of its own, with the units of this tree alone.

use crate::harness::{Process, until};
use std::{fs, path::Path, process::Command};

/// Makes the namespaces' files and becomes systemd. Its arguments: a folder for /etc, the folder of
/// /etc/farebox, the folder of the database's socket, and that of the units. The programs follow.
///
/// Nothing of the machine's own units is loaded: the search path has one folder. /run, /etc, /var/log and
/// /usr/local/bin are others than the machine's.
const BOOT: &str = r#"
set -e
etc=$1 farebox=$2 socket=$3 units=$4
shift 4
mount --make-rprivate /
mount -t tmpfs tmpfs "$etc"
cp -a /etc/. "$etc/"
rm -rf "$etc/farebox"
cp -a "$farebox" "$etc/farebox"
chmod 755 "$etc/farebox"
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/database
mount --bind "$socket" /run/database
mount --bind "$etc" /etc
mount -t tmpfs tmpfs /var/log
mount -t tmpfs -o mode=755 tmpfs /usr/local/bin
for program in "$@"; do
    touch "/usr/local/bin/${program##*/}"
    mount --bind "$program" "/usr/local/bin/${program##*/}"
done
umount -R /sys/fs/cgroup 2>/dev/null || true
if ! mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; then
    mount -t tmpfs tmpfs /sys/fs/cgroup
    mkdir /sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd,xattr cgroup /sys/fs/cgroup/systemd
fi
# A mount that systemd makes for a unit, such as that of its credentials, is to be seen by all.
mount --make-rshared /
export SYSTEMD_UNIT_PATH=$units container=farebox
exec /lib/systemd/systemd --system --unit=farebox-test.target --log-target=null --show-status=no
"#;

/// Targets that units refer to by themselves; there is nothing behind them.
const TARGETS: [&str; 5] = ["sysinit", "basic", "shutdown", "network-online", "farebox-test"];
/// What keeps the log.
const JOURNAL: [&str; 2] = ["systemd-journald.service", "systemd-journald.socket"];

/// The units of this tree: names and texts.
pub fn unit_files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/systemd");
    let mut files: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

pub struct PidOne {
    unshare: Process,
}

/// Namespaces in which systemd is the first process, and whose files are its own.
const NAMESPACES: [&str; 7] = ["--mount", "--pid", "--fork", "--cgroup", "--ipc", "--uts", "--mount-proc"];

impl PidOne {
    /// Whether this user may make such namespaces, as root may outside of most containers.
    pub fn is_possible() -> bool {
        let tried = Command::new("unshare").args(NAMESPACES).arg("true").output();
        tried.is_ok_and(|done| done.status.success())
    }

    /// Boots with this folder as /etc/farebox, and that of the database's socket. `drop-in-for` in the former
    /// names the unit that `watchdog.conf` changes.
    pub async fn boot(farebox: &Path, socket: &Path) -> Self {
        let around = farebox.parent().unwrap().join("pid-one");
        let (etc, units) = (around.join("etc"), around.join("units"));
        fs::create_dir_all(&etc).unwrap();
        fs::create_dir_all(&units).unwrap();
        for (name, text) in unit_files() {
            fs::write(units.join(name), text).unwrap();
        }
        for target in TARGETS {
            let text = "[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\n";
            fs::write(units.join(format!("{target}.target")), text).unwrap();
        }
        for name in JOURNAL {
            fs::copy(Path::new("/lib/systemd/system").join(name), units.join(name)).unwrap();
        }
        let wants = "[Unit]\nWants=systemd-journald.socket\n";
        fs::create_dir(units.join("sysinit.target.d")).unwrap();
        fs::write(units.join("sysinit.target.d/journal.conf"), wants).unwrap();
        let changed = fs::read_to_string(farebox.join("drop-in-for")).unwrap();
        fs::create_dir(units.join(format!("{changed}.d"))).unwrap();
        fs::copy(farebox.join("watchdog.conf"), units.join(format!("{changed}.d/watchdog.conf"))).unwrap();

        let mut command = Command::new("unshare");
        // The first process ends with `unshare`, and all others with the first.
        command.args(NAMESPACES);
        command.args(["--kill-child=KILL", "sh", "-c", BOOT, "sh"]).args([&etc]);
        command.args([farebox, socket]).arg(&units);
        command.args([
            env!("CARGO_BIN_EXE_farebox-api"),
            env!("CARGO_BIN_EXE_farebox-worker"),
            env!("CARGO_BIN_EXE_farebox"),
        ]);
        let systemd = Self { unshare: Process::start(command) };
        until("systemd has booted", async || {
            systemd.inside(&["systemctl", "is-active", "farebox-test.target"]).is_some_and(|(ok, _)| ok)
        })
        .await;
        systemd
    }

    /// What `systemctl` says, which must succeed.
    #[track_caller]
    pub fn expect(&self, args: &[&str]) {
        let (succeeded, said) = self.inside(&[&["systemctl"], args].concat()).unwrap();
        assert!(succeeded, "systemctl {}: {said}\n{}", args.join(" "), self.log());
    }

    /// A property of a unit.
    pub fn show(&self, unit: &str, property: &str) -> String {
        self.run(&["systemctl", "show", "--value", "--property", property, unit]).trim().to_owned()
    }

    /// What a program says that runs in the namespaces.
    pub fn run(&self, words: &[&str]) -> String {
        self.inside(words).unwrap().1
    }

    /// The log of all units.
    pub fn log(&self) -> String {
        self.run(&["journalctl", "--no-pager", "--output=cat", "--lines=60", "_TRANSPORT=stdout"])
    }

    /// Nothing while the first process is not there yet.
    fn inside(&self, words: &[&str]) -> Option<(bool, String)> {
        let pid = self.unshare.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        let first = children.split_whitespace().next()?.to_owned();
        let mut command = Command::new("nsenter");
        command.args(["--target", &first, "--mount", "--pid", "--cgroup"]).args(words);
        let done = command.output().ok()?;
        let said = [done.stdout, done.stderr].concat();
        Some((done.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }
}
