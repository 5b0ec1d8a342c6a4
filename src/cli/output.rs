//! How numbers and times are shown to people, and in JSON where a program reads them.

use std::io::{IsTerminal, Write};

/// Bytes with a unit: `512 B`, `1.5 GiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A coin amount (`MIST` or `FROST`, both 10^-9 of their coin) with its coin's name: `1.5 WAL`.
pub fn coins(amount: u64, name: &str) -> String {
    let (whole, part) = (amount / 1_000_000_000, amount % 1_000_000_000);
    let part = format!("{part:09}");
    match part.trim_end_matches('0') {
        "" => format!("{whole} {name}"),
        digits => format!("{whole}.{digits} {name}"),
    }
}

/// Milliseconds since the Unix epoch as RFC 3339 in UTC with seconds: `2026-11-21T02:30:00Z`.
pub fn time(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The Gregorian date `days` after 1970-01-01. Years are counted from March, so that the leap day is a year's last; 400
/// years are 146,097 days, for ever.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Writes a line to stdout. A reader that has gone away is no failure of ours.
pub fn line(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes a line of explanation to stderr.
pub fn note(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints `value` as JSON on stdout, for people to read too.
///
/// # Errors
/// When it has no JSON form.
pub fn json(value: &impl serde::Serialize) -> Result<(), super::exit::Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| {
        super::exit::Failure::new(super::exit::Code::Failed, "the answer cannot be written as JSON").caused_by(error)
    })?;
    line(text);
    Ok(())
}

/// A line on a terminal that overwrites itself; nothing where stderr is no terminal.
pub struct Progress {
    shown: bool,
    terminal: bool,
}

impl Progress {
    /// Nothing shown yet.
    pub fn new() -> Self {
        Self { shown: false, terminal: std::io::stderr().is_terminal() }
    }

    /// Shows `text` in place of what was shown before.
    pub fn show(&mut self, text: &str) {
        if self.terminal {
            self.shown = true;
            let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (count, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_610_612_736, "1.5 GiB"), (u64::MAX, "16.0 EiB")]
        {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(bytes((1 << 20) - 1), "1.0 MiB", "never 1024.0 KiB");
    }

    #[test]
    fn amounts() {
        assert_eq!(coins(0, "SUI"), "0 SUI");
        assert_eq!(coins(1_500_000_000, "WAL"), "1.5 WAL");
        assert_eq!(coins(1, "SUI"), "0.000000001 SUI");
    }

    #[test]
    fn dates() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (951_868_799_999, "2000-02-29T23:59:59Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00Z"),
            (1_795_228_200_000, "2026-11-21T02:30:00Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(time(ms), text);
        }
    }
}
