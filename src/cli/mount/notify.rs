//! Telling systemd how a unit of `Type=notify` is doing (sd_notify(3)): a datagram of `NAME=value` lines to `$NOTIFY_SOCKET`.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Sends `state`; does nothing when nobody asked for it, and a service manager that does not listen is no failure.
fn send(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(&path),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// The drive can be used.
pub(crate) fn ready(status: &str) {
    send(&format!("READY=1\nSTATUS={status}"));
}

/// How long the service manager waits for a sign of life (sd_watchdog_enabled(3)), if it does for this process.
pub(crate) fn watchdog() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>());
    std::env::var_os("NOTIFY_SOCKET")?;
    match number("WATCHDOG_PID") {
        Some(Ok(pid)) if pid != u64::from(std::process::id()) => return None,
        Some(Err(_)) => return None,
        _ => {}
    }
    number("WATCHDOG_USEC")?.ok().filter(|usec| *usec > 0).map(Duration::from_micros)
}

/// The mount process lives.
pub(crate) fn alive() {
    send("WATCHDOG=1");
}

/// The mount is ending; at most `more` until the next word.
pub(crate) fn stopping(status: &str, more: Duration) {
    send(&format!("STOPPING=1\nSTATUS={status}\nEXTEND_TIMEOUT_USEC={}", more.as_micros()));
}
