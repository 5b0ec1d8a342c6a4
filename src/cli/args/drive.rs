//! `walrusfs drive` as clap sees it, and how every command is told what opens a drive.

use super::{NetworkArgs, parse_amount, parse_epochs};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `walrusfs drive`
#[derive(Debug, Subcommand)]
pub enum DriveCommand {
    /// Create a drive: its object on chain, its storage pool and its key
    #[command(after_help = "\
Examples:
  walrusfs drive create media --capacity 512G --epochs 26
  walrusfs drive create secret --passphrase-file pass.txt
  walrusfs drive create media --yes --json")]
    Create(DriveCreateArgs),
    /// List the drives that the wallet owns
    #[command(after_help = "\
Examples:
  walrusfs drive list
  walrusfs drive list --json")]
    List {
        /// Network to use
        #[command(flatten)]
        network: NetworkArgs,
        /// What opens the drives
        #[command(flatten)]
        secrets: SecretArgs,
        /// One JSON array
        #[arg(long)]
        json: bool,
    },
    /// Show one drive
    #[command(after_help = "\
Examples:
  walrusfs drive info default
  walrusfs drive info walrus:media --json")]
    Info {
        /// The drive
        #[command(flatten)]
        drive: DriveArgs,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Pay for more epochs; the price is shown first
    #[command(after_help = "\
Examples:
  walrusfs drive extend media --epochs 13
  walrusfs drive extend media --epochs 1 --yes --json
  walrusfs drive extend secret --epochs 13 --passphrase-file pass.txt")]
    Extend {
        /// The drive
        #[command(flatten)]
        drive: DriveArgs,
        /// Epochs to add
        #[arg(long, value_name = "N", value_parser = parse_epochs, allow_negative_numbers = true)]
        epochs: u32,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Give a drive whose storage has ended a new pool, and store in it what this machine still has
    #[command(after_help = "\
What has ended cannot be paid for any more: the nodes drop it. A new pool is bought (its price is shown first), and every
pack that this machine's cache, or a node, still has is stored in it. The drive must not be mounted meanwhile. Running it
again goes on where it was stopped.

Examples:
  walrusfs drive revive media --epochs 26
  walrusfs drive revive media --capacity 64G --yes --json")]
    Revive {
        /// The drive
        #[command(flatten)]
        drive: DriveArgs,
        /// Encoded capacity of the new pool; that of the old one when absent
        #[arg(long, value_name = "SIZE", value_parser = parse_amount, allow_hyphen_values = true)]
        capacity: Option<u64>,
        /// Epochs to pay for
        #[arg(long, value_name = "N", value_parser = parse_epochs, allow_negative_numbers = true)]
        epochs: Option<u32>,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Pay for more capacity; the price is shown first
    #[command(after_help = "\
Examples:
  walrusfs drive resize media --capacity 1T
  walrusfs drive resize media --capacity 1T --yes --json")]
    Resize {
        /// The drive
        #[command(flatten)]
        drive: DriveArgs,
        /// New encoded capacity in all, for example 512G
        #[arg(long, value_name = "SIZE", value_parser = parse_amount, allow_hyphen_values = true)]
        capacity: u64,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

/// A drive, and what it takes to open it.
#[derive(Clone, Debug, Args)]
pub struct DriveArgs {
    /// Label or object id
    #[arg(value_name = "DRIVE")]
    pub name: String,
    /// Network to use
    #[command(flatten)]
    pub network: NetworkArgs,
    /// What opens it
    #[command(flatten)]
    pub secrets: SecretArgs,
}

/// What opens a drive, beside its key file in the keys folder.
#[derive(Clone, Debug, Default, Args)]
pub struct SecretArgs {
    /// A key file that opens the drive, instead of that of the option key_file; may be repeated
    #[arg(long, value_name = "FILE")]
    pub key_file: Vec<PathBuf>,
    /// A file whose first line is a passphrase that opens the drive, instead of that of the option passphrase_file; may be
    /// repeated
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Vec<PathBuf>,
}

/// `walrusfs drive create`
#[derive(Debug, Args)]
pub struct DriveCreateArgs {
    /// The drive's name: seen only by those who hold its key
    pub label: String,
    /// Encoded capacity to buy (about 4.5 times what fits), for example 256G
    #[arg(long, value_name = "SIZE", value_parser = parse_amount, allow_hyphen_values = true)]
    pub capacity: Option<u64>,
    /// Epochs to pay for; without it, as many as the network sells on the local one, and one on others
    #[arg(long, value_name = "N", value_parser = parse_epochs, allow_negative_numbers = true)]
    pub epochs: Option<u32>,
    /// Open the drive with the passphrase in this file (its first line) and with no key file
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Write the drive's key to this new file instead of to the keys folder
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    /// Network to use
    #[command(flatten)]
    pub network: NetworkArgs,
}
