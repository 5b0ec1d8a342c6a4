//! `walrusfs doctor`: looks at everything that a mount needs, and says how to mend what is not as it should be.
//!
//! Mechanism: every check is a function that returns [`Finding`]s; those of this machine ([`local`]) need nothing but the machine,
//! those of the network ([`remote`]) ask it. Nothing is changed, and nothing is started: a local network that does not run is said,
//! not woken.

mod local;
mod remote;

use super::args::DoctorArgs;
use super::exit::{Code, Failure};
use super::home::Home;
use super::output::{self, Colour, Progress};
use serde::Serialize;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// It works; somebody should look at it.
    Warning,
    /// It does not work.
    Failed,
    /// It was not looked at.
    Skipped,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at; the name is promised to scripts.
    pub(crate) check: &'static str,
    pub(crate) state: State,
    /// What was found.
    pub(crate) found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mend: Option<String>,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), mend: None }
    }

    pub(crate) fn skipped(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Skipped, found: found.into(), mend: None }
    }

    pub(crate) fn warning(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, state: State::Warning, found: found.into(), mend: Some(mend.into()) }
    }

    pub(crate) fn failed(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, state: State::Failed, found: found.into(), mend: Some(mend.into()) }
    }
}

/// Runs the command.
///
/// # Errors
/// [`Code::Failed`] when something does not work.
pub fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let home = Home::locate_here()?;
    let progress = Progress::new();
    progress.show("looking at this machine");
    let mut findings = local::all(&home);
    progress.show("asking the network");
    findings.extend(remote::all(&home, args.network.network.as_deref()));
    drop(progress);
    let count = |state: State| findings.iter().filter(|finding| finding.state == state).count();
    let (failed, warnings) = (count(State::Failed), count(State::Warning));
    if args.json {
        output::json(&findings)?;
    } else {
        findings.iter().for_each(show);
    }
    match (failed, warnings) {
        (0, 0) => output::note("everything is as it should be"),
        (0, _) => output::note(format!("everything works; {warnings} to look at")),
        _ => return Err(Failure::new(Code::Failed, format!("{failed} of {} checks failed", findings.len()))),
    }
    Ok(())
}

fn show(finding: &Finding) {
    let (mark, colour) = match finding.state {
        State::Ok => ("ok  ", Some(Colour::Green)),
        State::Warning => ("look", Some(Colour::Yellow)),
        State::Failed => ("FAIL", Some(Colour::Red)),
        State::Skipped => ("-   ", None),
    };
    let mark = colour.map_or(mark.to_owned(), |colour| output::coloured(mark, colour, output::colours()));
    output::line(format!("{mark}  {:<20} {}", finding.check, finding.found));
    if let Some(mend) = &finding.mend {
        output::line(format!("      {:<20} -> {mend}", ""));
    }
}
