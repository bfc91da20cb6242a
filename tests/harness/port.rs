//! Ports for servers that take theirs from the test.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// The kernel gives ports from 32768 on to outgoing connections and to servers that ask for any. Below,
/// only this function's callers are.
const FIRST: u16 = 20_000;
const PORTS: u16 = 12_000;

/// A port of loopback that nothing takes before the server of the test does.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Runs beside this one begin elsewhere.
    let own = u32::from(PORTS) * (std::process::id() % 97) / 97;
    let own = u16::try_from(own).unwrap();
    (0..PORTS)
        .map(|_| FIRST + own.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
