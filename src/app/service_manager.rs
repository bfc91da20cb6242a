//! What the process says to its service manager: systemd's notification protocol (`sd_notify`).
//! Without a service manager, nothing is said.

use crate::storage;
use sd_notify::NotifyState;
use tokio::time::{sleep, timeout};

/// Into how many parts the watchdog's time is divided. The loop sleeps for one and its probe takes at
/// most one, so half of the time lies between two beats at most.
const PARTS: u32 = 4;

/// Says that the process serves: whatever is ordered after the unit may start.
pub fn notify_ready() {
    notify(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// Says that the process stops, and drains what it has begun.
pub fn notify_stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Says what the process waits for before it serves; `systemctl status` shows it.
pub fn notify_waiting(what: &str) {
    notify(&[NotifyState::Status(&format!("waiting for {what}"))]);
}

/// Shows the watchdog that the process lives, for as long as it does; returns if there is no watchdog.
///
/// A beat is sent after a probe has passed through the runtime's timer, its scheduler and its threads
/// for blocking calls. None is sent while the process reports that it is not ready for a cause that a
/// new start removes ([`storage::is_unsettled`]). An outage of the database is no such cause: a new
/// start would only end the requests that wait. Safe to drop: nothing is sent any more.
pub async fn run_watchdog_loop() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let part = limit / PARTS;
    loop {
        sleep(part).await;
        let passes = timeout(part, probe()).await.is_ok();
        if passes && !storage::is_unsettled() {
            notify(&[NotifyState::Watchdog]);
        } else {
            tracing::warn!(passes, "no beat for the service manager's watchdog");
        }
    }
}

/// A task of its own, as a request has, which calls something blocking, as hashing a password is.
async fn probe() {
    let probe = tokio::spawn(async { tokio::task::spawn_blocking(|| ()).await });
    // An error means that the runtime ends.
    let _ = probe.await;
}

/// A message that is not sent is no reason to stop serving.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager was not notified");
    }
}
