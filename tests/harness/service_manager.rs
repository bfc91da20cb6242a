//! What systemd is to a process: a socket that takes its messages.

use super::folder;
use std::{
    os::unix::net::UnixDatagram,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long a message may take. Never a measure of speed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest message, bytes.
const LONGEST: usize = 4096;

pub struct ServiceManager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl ServiceManager {
    pub fn new() -> Self {
        let path = folder(&format!("notify-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]));
        Self { socket: UnixDatagram::bind(&path).unwrap(), path }
    }

    /// What a process is started with whose watchdog has this time.
    pub fn env(&self, watchdog: Duration) -> [(&'static str, String); 2] {
        let path = self.path.to_str().unwrap().to_owned();
        [("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", watchdog.as_micros().to_string())]
    }

    /// The next message, if one comes in this time.
    pub fn next(&self, patience: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut message = [0; LONGEST];
        let length = self.socket.recv(&mut message).ok()?;
        Some(String::from_utf8(message[..length].to_vec()).unwrap())
    }

    /// The messages up to the one that has this line.
    pub fn until(&self, line: &str) -> Vec<String> {
        let (began, mut seen) = (Instant::now(), Vec::new());
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
            let message = self.next(left).unwrap_or_else(|| panic!("no {line} after {seen:?}"));
            let is_it = message.lines().any(|one| one == line);
            seen.push(message);
            if is_it {
                return seen;
            }
        }
    }
}

impl Drop for ServiceManager {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
