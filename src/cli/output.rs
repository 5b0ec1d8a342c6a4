//! How numbers and times are shown to people, and in JSON where a program reads them.

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

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

/// Bytes as an option takes them, in whole units: `50G`.
pub fn size(count: u64) -> String {
    let units = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
    let unit = units.into_iter().find(|(shift, _)| count > 0 && count.trailing_zeros() >= *shift);
    unit.map_or_else(|| count.to_string(), |(shift, name)| format!("{}{name}", count >> shift))
}

/// The time of day of now, in UTC.
pub fn now() -> String {
    use crate::seam::{Clock, SystemClock};
    time(SystemClock.now_ms())
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

/// As [`coins`], of an amount that may be below zero.
pub fn signed_coins(amount: i64, name: &str) -> String {
    format!("{}{}", if amount < 0 { "-" } else { "" }, coins(amount.unsigned_abs(), name))
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

/// Why something did not get to stdout, if that was not its reader's wish.
static LOST: OnceLock<std::io::Error> = OnceLock::new();

/// Writes a line to stdout. What cannot be written is told at the end, by [`lost`].
pub fn line(text: impl std::fmt::Display) {
    write(format_args!("{text}\n"));
}

/// Writes to stdout, as [`line`] does.
pub fn write(text: std::fmt::Arguments<'_>) {
    let mut stdout = std::io::stdout();
    if let Err(error) = stdout.write_fmt(text).and_then(|()| stdout.flush()) {
        could_not_write(error);
    }
}

/// Keeps the first reason why something was not written to stdout. A reader that has gone away is no failure of ours.
pub fn could_not_write(error: std::io::Error) {
    if error.kind() != std::io::ErrorKind::BrokenPipe {
        let _ = LOST.set(error);
    }
}

/// That not everything got to stdout, if so: a script must not take a part for the whole.
///
/// # Errors
/// The first reason.
pub fn lost() -> Result<(), super::exit::Failure> {
    match LOST.get() {
        None => Ok(()),
        Some(error) => {
            Err(super::exit::Failure::new(super::exit::Code::Failed, format!("cannot write to stdout: {error}")))
        }
    }
}

/// How many of something, in words.
pub fn count(number: u64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// Writes a line of explanation to stderr, unless the user wants silence.
pub fn note(text: impl std::fmt::Display) {
    if loudness() == 0 {
        return;
    }
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

/// How much is said on stderr: 0 is `-q`, [`NORMAL`], and one more for each `-v`.
static LOUDNESS: AtomicU8 = AtomicU8::new(NORMAL);

/// Neither `-q` nor `-v`.
pub const NORMAL: u8 = 1;

/// Takes `-q` and `-v` of the command line.
pub fn set_loudness(quiet: bool, verbose: u8) {
    let loudness = if quiet { 0 } else { NORMAL + verbose.min(3) };
    LOUDNESS.store(loudness, Ordering::Relaxed);
}

/// 0 to 4.
pub fn loudness() -> u8 {
    LOUDNESS.load(Ordering::Relaxed)
}

/// Whether stdout may carry colours: a terminal that has them, and nobody set `NO_COLOR`.
pub fn colours() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb
}

/// A colour of the terminal's own palette.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Colour {
    /// Something is broken.
    Red = 31,
    /// As it should be.
    Green = 32,
    /// Worth a look.
    Yellow = 33,
}

/// `text` in a colour where that is wanted.
pub fn coloured(text: &str, colour: Colour, wanted: bool) -> String {
    if wanted { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_owned() }
}

/// How far something is, on a terminal; nothing where stderr is none, and nothing with `-q`. Gone when dropped.
pub struct Progress {
    bar: ProgressBar,
    /// The most that was ever left: what is done counts from there.
    most: AtomicU64,
}

impl Progress {
    /// Nothing shown yet.
    pub fn new() -> Self {
        let bar = if loudness() == 0 { ProgressBar::hidden() } else { ProgressBar::no_length() };
        bar.set_style(Self::style("{spinner} {msg} ({elapsed})"));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, most: AtomicU64::new(0) }
    }

    fn style(template: &str) -> ProgressStyle {
        // A template that does not parse is a mistake in this file; the plain bar does then.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        style.with_key("left", |state: &ProgressState, text: &mut dyn std::fmt::Write| {
            // Nothing is known of what has not begun to move. Writing to a line of the bar cannot fail.
            let _ = match state.pos() {
                0 => Ok(()),
                _ => write!(text, ", {} left", HumanDuration(state.eta())),
            };
        })
    }

    /// Says what is being done.
    pub fn show(&self, text: impl Into<String>) {
        self.bar.set_message(text.into());
    }

    /// Shows a bar with rate and time left: `done` of `total` bytes.
    pub fn bytes(&self, done: u64, total: u64) {
        if self.bar.length() != Some(total) {
            if self.bar.length().is_none() {
                self.bar.set_style(Self::style(
                    "{msg} [{bar:16}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}{left}",
                ));
            }
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
    }

    /// Shows a bar without a unit: `done` of `total` things.
    pub fn things(&self, what: &str, done: u64, total: u64) {
        if self.bar.message() != what {
            self.bar.reset();
            self.bar.set_style(Self::style("{msg} [{bar:16}] {human_pos} of {human_len}, {per_sec}{left}"));
            self.show(what);
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Shows how much of what has to go is still there, bytes.
    pub fn left(&self, bytes: u64) {
        let most = self.most.fetch_max(bytes, Ordering::Relaxed).max(bytes);
        if most > 0 {
            self.bytes(most - bytes, most);
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
        self.bar.finish_and_clear();
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
    fn sizes_that_options_take() {
        for (count, text) in
            [(0, "0"), (1023, "1023"), (1536, "1536"), (50 << 30, "50G"), (1 << 40, "1T"), (3 << 10, "3K")]
        {
            assert_eq!(size(count), text);
            assert_eq!(crate::cli::options::parse_size(text), Ok(count));
        }
    }

    #[test]
    fn amounts() {
        assert_eq!(coins(0, "SUI"), "0 SUI");
        assert_eq!(coins(1_500_000_000, "WAL"), "1.5 WAL");
        assert_eq!(coins(1, "SUI"), "0.000000001 SUI");
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        assert_eq!(coloured("ok", Colour::Green, true), "\x1b[32mok\x1b[0m");
        assert_eq!(coloured("ok", Colour::Green, false), "ok");
    }

    #[test]
    fn what_is_done_counts_from_the_most_that_was_left() {
        let progress = Progress::new();
        progress.left(0);
        assert_eq!(progress.bar.length(), None, "nothing to do is no bar");
        progress.left(100);
        progress.left(40);
        assert_eq!((progress.bar.position(), progress.bar.length()), (60, Some(100)));
        progress.left(250);
        assert_eq!((progress.bar.position(), progress.bar.length()), (0, Some(250)), "more came");
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
