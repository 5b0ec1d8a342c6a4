//! `walrusfs devnet`: the local Walrus network of this home.

use super::exit::{Code, Failure};
use super::home::Home;
use clap::Args;

/// `walrusfs devnet`
#[derive(Debug, Args)]
pub struct DevnetArgs {}

/// Runs one `devnet` command.
///
/// # Errors
/// When the local network cannot do what is asked.
pub fn run(_args: DevnetArgs, _home: &Home) -> Result<(), Failure> {
    Err(Failure::new(Code::Failed, "the local network is not built yet"))
}
