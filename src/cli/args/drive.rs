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
    /// Ways to open a drive: list, add and remove them, or rotate the keys
    #[command(subcommand)]
    Key(KeyCommand),
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

/// `walrusfs drive key`
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// List the key slots of a drive
    #[command(after_help = "\
A drive has up to 16 slots, each with one way to open it. A slot stands on the chain, where
anyone can see of which kind it is. `opens here` says that a key file or passphrase at hand opens
it: the key file in the keys folder, or what was given.

Examples:
  walrusfs drive key list media
  walrusfs drive key list secret --passphrase-file pass.txt --json")]
    List {
        /// The drive
        #[command(flatten)]
        drive: DriveArgs,
        /// One JSON array
        #[arg(long)]
        json: bool,
    },
    /// Add a way to open a drive
    #[command(after_help = "\
Without a file it asks at the terminal for a new passphrase, twice. A passphrase slot stands on a
public chain for ever, also after it was removed, and anyone can guess at it there: a weak
passphrase is refused, six random words are good. The drive must not be mounted for writing
anywhere. It costs some gas.

Examples:
  walrusfs drive key add media --new-passphrase-file pass.txt
  walrusfs drive key add media --new-key-file /media/usb/media.key
  walrusfs drive key add media")]
    Add {
        /// The drive
        #[command(flatten)]
        drive: DriveArgs,
        /// Open with the passphrase in this file (its first line)
        #[arg(long, value_name = "FILE", conflicts_with = "new_key_file")]
        new_passphrase_file: Option<PathBuf>,
        /// Open with this key file; a new one is written when there is none
        #[arg(long, value_name = "FILE")]
        new_key_file: Option<PathBuf>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Remove a way to open a drive; never the last
    #[command(after_help = "\
From now on the drive as the chain shows it does not open that way. The chain does not forget:
whoever has the key file or passphrase of the slot, and access to the chain's past, can still
find the drive's key there, and with it everything that is and will be written, until the keys
are rotated. Whoever has opened the drive before may have kept what was in it. The drive must not
be mounted for writing anywhere. It costs some gas.

Examples:
  walrusfs drive key remove media 0
  walrusfs drive key remove media 1 --passphrase-file pass.txt --yes")]
    Remove {
        /// The drive
        #[command(flatten)]
        drive: DriveArgs,
        /// The slot, as `drive key list` numbers it
        index: u32,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Give a drive a new key, for all that is written from now on
    #[command(after_help = "\
New data is sealed with a new key; what has been written already is not sealed again: it stays
readable, for ever, to whoever had the old key and gets hold of the stored blobs. Every slot is
made anew, with a new number, from the key file or passphrase that opens it: the key file in the
keys folder, and what --key-file and --passphrase-file (each may be repeated) give; at a terminal
missing passphrases are asked for. A slot that nothing at hand opens stops it, or is left out
with --drop-others.

The key files and passphrases themselves stay as they are. When one of them is in wrong hands,
first add another (`drive key add`) and remove the slot that it opens (`drive key remove`), then
rotate. The drive must not be mounted for writing anywhere; where it is mounted to be read, it
must be mounted again. It costs some gas.

Examples:
  walrusfs drive key rotate media
  walrusfs drive key rotate media --passphrase-file pass.txt --key-file /media/usb/media.key
  walrusfs drive key rotate media --drop-others --json")]
    Rotate {
        /// The drive
        #[command(flatten)]
        drive: DriveArgs,
        /// Leave out the slots that nothing at hand opens
        #[arg(long)]
        drop_others: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
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
