//! What a user must agree to before it is done: above all that something is paid.
//!
//! Nobody's silence is an answer. Who is not at a terminal agrees in advance, with `--yes`, or nothing happens.

use super::exit::{Code, Failure};
use super::output;
use crate::drive::Quote;
use std::io::{BufRead, IsTerminal, Write};

/// Why nobody can be asked, if so: the question goes to stderr, the answer comes from stdin.
pub(super) fn nobody() -> Option<&'static str> {
    if !std::io::stdin().is_terminal() {
        return Some("stdin is no terminal");
    }
    (!std::io::stderr().is_terminal()).then_some("stderr is no terminal")
}

/// Shows a price, and asks whether to pay it unless that was answered in advance.
///
/// # Errors
/// As [`ask`].
pub(super) fn pay(price: &str, yes: bool) -> Result<(), Failure> {
    match yes {
        true => output::note(price),
        // Also with `-q`: it is what the question is about.
        false => drop(writeln!(std::io::stderr(), "{price}")),
    }
    ask("pay?", yes)
}

/// Shows what `what` costs by `quote`, and asks as [`pay`].
///
/// # Errors
/// As [`ask`].
pub(super) fn agree(what: &str, quote: &Quote, yes: bool) -> Result<(), Failure> {
    let price = output::coins(quote.frost, "WAL");
    pay(&format!("{what} costs {price} (paid until epoch {})", quote.end_epoch), yes)
}

/// Asks whether to pay, unless that was answered in advance.
///
/// # Errors
/// [`Code::Usage`] when nobody can be asked; [`Code::Failed`] when the answer is not yes.
pub(super) fn ask(question: &str, yes: bool) -> Result<(), Failure> {
    confirm(question, "nothing was paid", "agree to the price", yes)
}

/// Asks whether to change something, unless that was answered in advance.
///
/// # Errors
/// As [`ask`].
pub(super) fn ask_to_change(question: &str, yes: bool) -> Result<(), Failure> {
    confirm(question, "nothing was changed", "agree", yes)
}

fn confirm(question: &str, refusal: &str, agreeing: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if let Some(why) = nobody() {
        return Err(Failure::usage(format!("{refusal}: {why}; give --yes to {agreeing} in advance")));
    }
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::from_io("cannot read the answer", error))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(Code::Failed, refusal)),
    }
}
