//! The command line: what users and scripts see of walrusfs.
//!
//! Why it exists: the rooms below know nothing of terminals, processes and folders; this one composes them into
//! commands. Mechanism: [`main`] looks at the name it was called by (`mount.walrusfs` and `umount.walrusfs` are the
//! forms that mount(8) and umount(8) call, see [`helper`]), then parses the command line ([`args`]) and runs one command,
//! which returns a [`Failure`] with its exit code or nothing.
//!
//! It promises: exit codes are those of `docs/exit-codes.md`; results go to stdout, everything else to stderr; secrets
//! never come from or go to process arguments, the environment or logs. It must never hold a rule of the filesystem
//! itself: a command is a thin use of another room.

pub mod args;
pub mod blob;
pub mod cache;
pub mod config;
mod consent;
pub mod contract;
pub mod control;
pub mod cost;
pub mod devnet;
pub mod doctor;
pub mod drive;
pub mod exit;
pub mod fsck;
pub mod generate;
pub mod helper;
pub mod home;
pub mod logging;
pub mod mount;
pub mod options;
pub mod output;
pub mod pin;
pub mod rates;
pub mod recover;
mod secrets;
pub mod session;
pub mod setup;
pub mod status;
pub mod umount;
pub mod wallet;
pub mod watch;

use args::{Cli, Command};
use clap::Parser;
use exit::{Code, Failure};
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program on the process's arguments and returns its exit code.
pub fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    match helper::form(&argv) {
        helper::Form::Mount(rest) => helper::run_mount(rest, false).into(),
        helper::Form::Fuse3(rest) => helper::run_mount(rest, true).into(),
        helper::Form::Umount(rest) => helper::run_umount(rest).into(),
        helper::Form::Command => run_command(argv).into(),
    }
}

fn run_command(argv: Vec<OsString>) -> Code {
    let cli = match Cli::try_parse_from(argv) {
        Ok(cli) => cli,
        Err(error) => {
            // The reader may be gone (`walrusfs --help | head`); there is nobody left to tell.
            if let Err(error) = error.print() {
                output::could_not_write(error);
            }
            return match (error.use_stderr(), output::lost()) {
                (true, _) => Code::Usage,
                (false, Ok(())) => Code::Ok,
                (false, Err(failure)) => {
                    failure.print();
                    failure.code()
                }
            };
        }
    };
    output::set_loudness(cli.quiet, cli.verbose);
    match dispatch(cli.command).and_then(|()| output::lost()) {
        Ok(()) => Code::Ok,
        Err(failure) => {
            failure.print();
            failure.code()
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::MountProcess => mount::daemon::run(),
        Command::Mount(args) => mount::run(&args),
        Command::Umount(args) => umount::run(&args),
        Command::Sync(args) => umount::sync(&args),
        Command::Status(args) => status::run(&args),
        Command::Prefetch(args) => pin::prefetch(&args),
        Command::Pin(args) => pin::pin(&args),
        Command::Unpin(args) => pin::unpin(&args),
        Command::Devnet(args) => devnet::run(args, &home::Home::open()?),
        Command::Setup(args) => setup::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Drive(command) => drive::run(&command),
        Command::Fsck(args) => fsck::run(&args),
        Command::Recover(args) => recover::run(&args),
        Command::Wallet(command) => wallet::run(&command),
        Command::Contract(command) => contract::run(&command),
        Command::Blob(command) => blob::run(&command),
        Command::Cache(command) => cache::run(&command),
        Command::Config(command) => config::run(&command),
        Command::Completions { shell } => generate::completions(shell),
        Command::Generate(command) => generate::run(&command),
    }
}
