//! Questions at a terminal, or their usual answers.

use crate::cli::consent;
use crate::cli::exit::{Code, Failure};
use crate::cli::output;
use std::io::{BufRead, Write};

/// Somebody who answers: a person at a terminal, or `--yes`, which takes every usual answer.
pub(super) struct Dialogue {
    yes: bool,
}

impl Dialogue {
    /// # Errors
    /// There is nobody to ask, and no `--yes`.
    pub(super) fn new(yes: bool) -> Result<Self, Failure> {
        match consent::nobody() {
            Some(why) if !yes => Err(Failure::usage(format!(
                "nothing was paid: {why}, and setup asks questions; give --yes to take the usual answers and agree to the price in \
                 advance"
            ))),
            _ => Ok(Self { yes }),
        }
    }

    /// Whether somebody is there.
    pub(super) fn can_ask(&self) -> bool {
        !self.yes
    }

    pub(super) fn say(&self, text: impl std::fmt::Display) {
        output::note(text);
    }

    /// The answer, or the usual one when Return is all that comes.
    pub(super) fn ask(&mut self, question: &str, usual: &str) -> Result<String, Failure> {
        if self.yes {
            return Ok(usual.to_owned());
        }
        let answer = read(&format!("{question} [{usual}]: "))?;
        Ok(if answer.is_empty() { usual.to_owned() } else { answer })
    }

    /// Asks until `parse` takes the answer.
    pub(super) fn ask_parsed<T>(
        &mut self,
        question: &str,
        usual: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        loop {
            match parse(&self.ask(question, usual)?) {
                Ok(value) => return Ok(value),
                Err(why) if self.yes => return Err(Failure::usage(why)),
                Err(why) => self.say(why),
            }
        }
    }

    /// Asks for one of `choices`, by its number.
    pub(super) fn choose(&mut self, question: &str, choices: &[String]) -> Result<usize, Failure> {
        for (index, choice) in choices.iter().enumerate() {
            self.say(format!("  {}) {choice}", index + 1));
        }
        let wanted = format!("a number from 1 to {}, please", choices.len());
        self.ask_parsed(question, "1", |text| {
            text.parse::<usize>()
                .ok()
                .and_then(|number| number.checked_sub(1))
                .filter(|index| *index < choices.len())
                .ok_or_else(|| wanted.clone())
        })
    }

    /// A question whose answer must be said: only `--yes` answers it unasked.
    pub(super) fn agree(&mut self, question: &str) -> Result<bool, Failure> {
        if self.yes {
            return Ok(true);
        }
        loop {
            match read(&format!("{question} [yes/no]: "))?.as_str() {
                "y" | "Y" | "yes" => return Ok(true),
                "n" | "N" | "no" => return Ok(false),
                _ => {}
            }
        }
    }

    /// Waits for Return.
    pub(super) fn wait(&mut self, text: &str) -> Result<(), Failure> {
        read(&format!("{text}: ")).map(drop)
    }
}

/// One line from the terminal, asked for on stderr.
pub(super) fn read(prompt: &str) -> Result<String, Failure> {
    let mut stderr = std::io::stderr();
    // Asked even with `-q`: it waits for an answer.
    let _ = stderr.write_all(prompt.as_bytes()).and_then(|()| stderr.flush());
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) => Err(Failure::new(Code::Failed, "nobody answered; nothing was paid")),
        Ok(_) => Ok(line.trim().to_owned()),
        Err(error) => Err(Failure::from_io("cannot read the answer", error)),
    }
}
