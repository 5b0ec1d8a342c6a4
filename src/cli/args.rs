//! The command line as clap sees it: every command, its arguments and its help text.

mod drive;

pub use drive::{DriveArgs, DriveCommand, DriveCreateArgs, KeyCommand, SecretArgs};

use super::devnet::DevnetArgs;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  walrusfs setup                     make wallet and drive; shows the price before anything is paid
  walrusfs mount ~/walrus            mount the drive `default`; the first time, set everything up
  walrusfs status ~/walrus           what is stored, what is still on its way
  walrusfs sync ~/walrus             wait until every byte is certified on the network
  walrusfs umount ~/walrus           the same, then unmount

Without --network (or a network in the configuration) everything happens on a local Walrus network on this machine.
Files lie in $WALRUSFS_HOME when set, otherwise at their XDG places. Exit codes: docs/exit-codes.md.";

/// A filesystem whose disk is the Walrus network.
///
/// Files are encrypted on this machine, erasure-coded across independent storage nodes and certified on Sui. Whoever
/// owns the drive's object on chain controls the files; reading them also needs the drive's key.
#[derive(Debug, Parser)]
#[command(name = "walrusfs", version, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more; may be repeated
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Mount a drive as a folder
    Mount(MountArgs),
    /// Unmount a drive once everything in it is certified
    #[command(visible_alias = "unmount")]
    Umount(UmountArgs),
    /// Wait until everything written so far is certified on the network
    Sync(SyncArgs),
    /// Show what mounted drives hold and what is still on its way
    Status(StatusArgs),
    /// Bring a file or a folder of a mounted drive into the cache
    Prefetch(PrefetchArgs),
    /// Keep a file or a folder of a mounted drive on this machine, and fresh
    Pin(PinArgs),
    /// Let go of what was pinned
    Unpin(UnpinArgs),
    /// Make wallet and drive, with every price shown before it is paid
    Setup(SetupArgs),
    /// Look at everything that a mount needs, and say how to mend it
    Doctor(DoctorArgs),
    /// Create drives and manage their storage
    #[command(subcommand)]
    Drive(DriveCommand),
    /// Check a drive, and mend it
    Fsck(FsckArgs),
    /// Keep the changes of this machine after another one has committed to the drive
    Recover(RecoverArgs),
    /// The wallet that owns drives and pays for storage
    #[command(subcommand)]
    Wallet(WalletCommand),
    /// The Move package that drives are objects of
    #[command(subcommand)]
    Contract(ContractCommand),
    /// Plain Walrus blobs, without a filesystem
    #[command(subcommand)]
    Blob(BlobCommand),
    /// The cache of slivers on this machine
    #[command(subcommand)]
    Cache(CacheCommand),
    /// The configuration file and what holds
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The local Walrus network: storage nodes, chain, faucet
    Devnet(DevnetArgs),
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  walrusfs completions bash > /etc/bash_completion.d/walrusfs
  walrusfs completions zsh > ~/.zfunc/_walrusfs
  walrusfs completions fish > ~/.config/fish/completions/walrusfs.fish")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// What packages and documents are made from
    #[command(subcommand, hide = true)]
    Generate(GenerateCommand),
    /// The mount process: reads what to mount from stdin and reports on stdout (see `mount::spawn`)
    #[command(name = super::mount::spawn::COMMAND, hide = true)]
    MountProcess,
}

/// Which network a command works on.
#[derive(Clone, Debug, Default, Args)]
pub struct NetworkArgs {
    /// The network: local, testnet, mainnet, a network file (as `walrusfs devnet status --network-file` prints), or
    /// FILE.yaml[#CONTEXT], a configuration of the Walrus or Sui command line
    #[arg(long, value_name = "NAME|FILE")]
    pub network: Option<String>,
}

/// Parses a number of epochs to pay for.
fn parse_epochs(text: &str) -> Result<u32, String> {
    let epochs = text.parse().ok().filter(|epochs| *epochs > 0);
    epochs.ok_or_else(|| format!("`{text}` is not a number of epochs; write 1 or more"))
}

/// Parses a size that is paid for.
fn parse_amount(text: &str) -> Result<u64, String> {
    match super::options::parse_size(text)? {
        0 => Err("nothing is no size to pay for; write 512M, 10G or a number of bytes".to_owned()),
        bytes => Ok(bytes),
    }
}

/// What `walrusfs mount --help` ends with: the options of `-o`, from their table.
fn mount_help() -> String {
    format!(
        "Options for -o, for the configuration file and, with WALRUSFS_ before them, for the environment:\n\n{}\n{MOUNT_EXAMPLES}",
        super::options::table::plain()
    )
}

const MOUNT_EXAMPLES: &str = "\
DRIVE is a label (`media`), `walrus:media` or the id of a Drive object (`0x...`); without one it is `default`, which
is created when it does not exist. The command returns when the drive can be used; a daemon goes on serving it.

Examples:
  walrusfs mount ~/walrus
  walrusfs mount media /srv/media -o allow_other,noatime --read-only
  walrusfs mount walrus:media /srv/media --network testnet -f";

/// `walrusfs mount`
#[derive(Debug, Args)]
#[command(
    override_usage = "walrusfs mount [OPTIONS] [DRIVE] MOUNTPOINT",
    after_long_help = mount_help(),
    after_help = MOUNT_EXAMPLES
)]
pub struct MountArgs {
    /// The folder to mount on; before it the drive, if it is not `default`
    #[arg(required = true, num_args = 1..=2, value_name = "MOUNTPOINT")]
    pub targets: Vec<OsString>,
    /// Network to use
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Mount options, separated by commas; may be repeated
    #[arg(short = 'o', value_name = "OPTIONS")]
    pub options: Vec<OsString>,
    /// Stay in the foreground and log to stderr
    #[arg(short = 'f', long)]
    pub foreground: bool,
    /// Refuse every change
    #[arg(long)]
    pub read_only: bool,
    /// Seconds to wait for the drive to be usable
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub wait: u64,
}

/// `walrusfs umount`
#[derive(Debug, Args)]
#[command(after_help = "\
Unmounts first, then waits until the network has certified everything. When the mount point is in use nothing is done
and the exit code is 10. When time runs out the exit code is 9: the data is safe in the journal and goes on at the
next mount.

Examples:
  walrusfs umount ~/walrus
  walrusfs umount /srv/media --timeout 3600
  walrusfs umount /srv/media --no-wait")]
pub struct UmountArgs {
    /// The folder the drive is mounted on
    pub mountpoint: PathBuf,
    /// Return once everything is durable on this machine; the next mount uploads the rest
    #[arg(long, conflicts_with = "timeout")]
    pub no_wait: bool,
    /// Seconds to wait for the network
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
    /// Take the folder away at once, even while programs use it
    #[arg(short, long)]
    pub lazy: bool,
}

/// `walrusfs sync`
#[derive(Debug, Args)]
#[command(after_help = "\
The exit code is 9 when time runs out first: the data is safe in the journal and goes on being uploaded.

Examples:
  walrusfs sync ~/walrus
  walrusfs sync ~/walrus --timeout 600")]
pub struct SyncArgs {
    /// The folder the drive is mounted on
    pub mountpoint: PathBuf,
    /// Seconds to wait for the network; without it, as long as it takes
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
}

/// `walrusfs status`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  walrusfs status                     every mount of this user
  walrusfs status ~/walrus --json
  walrusfs status --watch             again every two seconds, with rates
  walrusfs status ~/walrus --watch --interval 10")]
pub struct StatusArgs {
    /// The folder the drive is mounted on; without it, every mount of this user
    pub mountpoint: Option<PathBuf>,
    /// One JSON object, or an array of them without a mount point; with --watch, one object a line
    #[arg(long)]
    pub json: bool,
    /// Look again and again, until interrupted
    #[arg(short, long)]
    pub watch: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2, requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    pub interval: u64,
}

/// `walrusfs setup`
#[derive(Debug, Args)]
#[command(after_help = "\
Walks through network, wallet, the drive's name, its size and term. What exists already is kept, so it can be run again: after
money was sent to the wallet, for instance. With --yes nobody is asked: every answer is the usual one or comes from an option,
and the price is paid. The drive's id goes to stdout.

Examples:
  walrusfs setup
  walrusfs setup --network testnet
  walrusfs setup --network mainnet --wallet sui --name media --size 200G --epochs 26 --yes
  walrusfs setup --network testnet --wallet new --phrase-file phrase.txt --yes --json")]
pub struct SetupArgs {
    /// Network to use
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Where the wallet comes from when there is none: a new key, the key of Sui's command line, a recovery phrase (asked for),
    /// or a file with a key
    #[arg(long, value_name = "new|sui|phrase|FILE")]
    pub wallet: Option<String>,
    /// Write a new wallet's recovery phrase here (mode 0600) instead of showing it
    #[arg(long, value_name = "FILE")]
    pub phrase_file: Option<PathBuf>,
    /// The drive's name
    #[arg(long, value_name = "LABEL")]
    pub name: Option<String>,
    /// What should fit, for example 50G
    #[arg(long, value_name = "SIZE", value_parser = parse_amount, allow_hyphen_values = true)]
    pub size: Option<u64>,
    /// Epochs to pay for
    #[arg(long, value_name = "N", value_parser = parse_epochs, allow_negative_numbers = true)]
    pub epochs: Option<u32>,
    /// Do not ask; pay
    #[arg(short, long)]
    pub yes: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `walrusfs doctor`
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is changed, and nothing is started. The exit code is 2 when something does not work.

Examples:
  walrusfs doctor
  walrusfs doctor --network mainnet
  walrusfs doctor --json")]
pub struct DoctorArgs {
    /// Network to use
    #[command(flatten)]
    pub network: NetworkArgs,
    /// One JSON array
    #[arg(long)]
    pub json: bool,
}

/// `walrusfs prefetch`
#[derive(Debug, Args)]
#[command(after_help = "\
Everything below PATH is fetched and checked as if a program read it, and is then read without the network until other
content needs its place in the cache (cache_size). To keep it there, pin it.

Examples:
  walrusfs prefetch ~/walrus/films/one.mkv
  walrusfs prefetch ~/walrus/photos --json")]
pub struct PrefetchArgs {
    /// A file or folder of a mounted drive
    pub path: PathBuf,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `walrusfs pin`
#[derive(Debug, Args)]
#[command(after_help = "\
What is pinned is never dropped from the cache, also not after a restart, and what is added below it comes by itself.
It is refused when the cache (cache_size) has no room for it.

Examples:
  walrusfs pin ~/walrus/music           fetch it and keep it
  walrusfs pin --list                   what is pinned, and how much of it is here")]
pub struct PinArgs {
    /// A file or folder of a mounted drive; with --list any path of it
    #[arg(required_unless_present = "list")]
    pub path: Option<PathBuf>,
    /// Show what is pinned, in all mounts of this user or in that of PATH
    #[arg(long)]
    pub list: bool,
    /// One JSON object, or an array of them with --list
    #[arg(long)]
    pub json: bool,
}

/// `walrusfs unpin`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  walrusfs unpin ~/walrus/music")]
pub struct UnpinArgs {
    /// The file or folder
    pub path: PathBuf,
}

/// `walrusfs fsck`
#[derive(Debug, Args)]
#[command(after_help = "\
A drive never needs a check after a crash; this finds what broken disks, lost nodes or bugs may have done. Without
--repair nothing is changed, and the drive may be mounted. With it the drive must not be mounted anywhere. What it can
find and mend is in docs/fsck.md. The exit code is 0 when nothing is wrong (any more) and 8 otherwise.

Examples:
  walrusfs fsck default                 names, books and the storage pool
  walrusfs fsck default --deep          also read every byte and ask every node
  walrusfs fsck walrus:media --repair
  walrusfs fsck secret --passphrase-file pass.txt")]
pub struct FsckArgs {
    /// The drive
    #[command(flatten)]
    pub drive: DriveArgs,
    /// Mend what can be mended
    #[arg(long)]
    pub repair: bool,
    /// Read and unseal every chunk, and ask the nodes for every sliver
    #[arg(long)]
    pub deep: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// `walrusfs recover`
#[derive(Debug, Args)]
#[command(after_help = "\
When another machine took over a drive while this one still had changes in its journal, a mount refuses those changes.
This adds them to the drive: new files under their names; files that both have changed as copies named
NAME.conflict-TIME.EXTENSION beside the other machine's. Nothing is removed or overwritten. The drive must not be mounted
anywhere.

Examples:
  walrusfs recover default")]
pub struct RecoverArgs {
    /// The drive
    #[command(flatten)]
    pub drive: DriveArgs,
    /// One JSON array
    #[arg(long)]
    pub json: bool,
}

/// `walrusfs wallet`
#[derive(Debug, Subcommand)]
pub enum WalletCommand {
    /// Print the wallet's address, making the wallet if there is none
    #[command(after_help = "\
Examples:
  walrusfs wallet address
  walrusfs wallet address --json")]
    Address {
        /// One JSON object
        #[arg(long)]
        json: bool,
        /// Network to use
        #[command(flatten)]
        network: NetworkArgs,
    },
    /// Print how much SUI and WAL the wallet has
    #[command(after_help = "\
Examples:
  walrusfs wallet balance
  walrusfs wallet balance --network testnet --json")]
    Balance {
        /// Network to use
        #[command(flatten)]
        network: NetworkArgs,
        /// One JSON object, in MIST and FROST
        #[arg(long)]
        json: bool,
    },
    /// Ask the network's faucet for SUI and change some of it for WAL
    #[command(after_help = "\
Examples:
  walrusfs wallet fund
  walrusfs wallet fund --json")]
    Fund {
        /// One JSON object
        #[arg(long)]
        json: bool,
        /// Network to use
        #[command(flatten)]
        network: NetworkArgs,
    },
    /// Take the wallet's key from Sui's keystore
    #[command(after_help = "\
FILE is Sui's client.yaml, a keystore, a Walrus client configuration, or a file with one line `suiprivkey1...`. The key is copied;
walrusfs signs with ed25519 keys only.

Examples:
  walrusfs wallet import
  walrusfs wallet import ~/.sui/sui_config/client.yaml")]
    Import {
        /// Where the key is [default: client.yaml of Sui's command line]
        file: Option<PathBuf>,
        /// Which key, where there are several [default: the address in use there]
        #[arg(long, value_name = "ADDRESS")]
        address: Option<sui_sdk_types::Address>,
    },
}

/// `walrusfs contract`
#[derive(Debug, Subcommand)]
pub enum ContractCommand {
    /// Publish the package on a network, and remember it there
    #[command(after_help = "\
The modules are those of `contracts/`, as this program ships them. The upgrade capability goes to the wallet. What is remembered is
a network file in the configuration folder, which the network's name then stands for.

Examples:
  walrusfs contract publish --network testnet
  walrusfs contract publish --network testnet --unsigned")]
    Publish {
        /// Print the unsigned transaction (base64 of its BCS) for another signer, and publish nothing
        #[arg(long)]
        unsigned: bool,
        /// Publish although the network has the package
        #[arg(long)]
        again: bool,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        /// Network to use
        #[command(flatten)]
        network: NetworkArgs,
    },
}

/// `walrusfs blob`
#[derive(Debug, Subcommand)]
pub enum BlobCommand {
    /// Compute a file's blob id, offline
    #[command(after_help = "\
Examples:
  walrusfs blob id video.mp4
  walrusfs blob id video.mp4 --shards 100 --json")]
    Id {
        /// The file
        file: PathBuf,
        /// Number of shards of the network that the id is for
        #[arg(long, value_name = "N", default_value_t = 1000)]
        shards: u16,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Store a file and print its blob id; the price is shown first
    #[command(after_help = "\
Examples:
  walrusfs blob put video.mp4 --epochs 5
  walrusfs blob put video.mp4 --yes --json")]
    Put {
        /// The file
        file: PathBuf,
        /// Epochs to store it for
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_epochs, allow_negative_numbers = true)]
        epochs: u32,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
        /// Network to use
        #[command(flatten)]
        network: NetworkArgs,
    },
    /// Read a blob, or one file of a quilt, verified
    #[command(after_help = "\
Examples:
  walrusfs blob get mZBqAMFmiCoR8hoGmEvAy3Ey4p2s3bKKaRM8mrOUWlI -o video.mp4
  walrusfs blob get mZBqAMFmiCoR8hoGmEvAy3Ey4p2s3bKKaRM8mrOUWlI --range 0-1000")]
    Get {
        /// The blob id, or the patch id of a file in a quilt
        id: String,
        /// Of the quilt ID, the file with this identifier
        #[arg(long, value_name = "NAME")]
        patch: Option<String>,
        /// Write here instead of to stdout
        #[arg(short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Bytes START to END, END excluded
        #[arg(long, value_name = "START-END")]
        range: Option<String>,
        /// Network to use
        #[command(flatten)]
        network: NetworkArgs,
    },
    /// List the files of a quilt
    #[command(after_help = "\
Examples:
  walrusfs blob patches mZBqAMFmiCoR8hoGmEvAy3Ey4p2s3bKKaRM8mrOUWlI --json")]
    Patches {
        /// The quilt's blob id
        id: String,
        /// Network to use
        #[command(flatten)]
        network: NetworkArgs,
        /// One JSON array
        #[arg(long)]
        json: bool,
    },
    /// Show what the network knows about a blob
    #[command(after_help = "\
Examples:
  walrusfs blob stat mZBqAMFmiCoR8hoGmEvAy3Ey4p2s3bKKaRM8mrOUWlI --json")]
    Stat {
        /// The blob id
        id: String,
        /// Network to use
        #[command(flatten)]
        network: NetworkArgs,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

/// `walrusfs cache`
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Show where the cache lies and how large it is
    #[command(after_help = "\
Examples:
  walrusfs cache info
  walrusfs cache info --json")]
    Info {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Delete the cache; nothing is lost by it
    #[command(after_help = "\
Examples:
  walrusfs cache clear")]
    Clear,
}

/// `walrusfs config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every option, its value and where that comes from
    #[command(after_help = "\
Examples:
  walrusfs config show
  walrusfs config show --drive media --json")]
    Show {
        /// For mounts of this drive
        #[arg(long, value_name = "DRIVE")]
        drive: Option<String>,
        /// One JSON array
        #[arg(long)]
        json: bool,
    },
    /// Edit the file with $VISUAL, $EDITOR or vi; what cannot be read is not taken
    #[command(after_help = "\
Examples:
  walrusfs config edit")]
    Edit,
    /// Set an option for everything
    #[command(after_help = "\
Examples:
  walrusfs config set network testnet
  walrusfs config set cache_size 50G")]
    Set {
        /// The option, as in `-o`
        name: String,
        /// Its value; true or false for a switch
        value: String,
    },
    /// Take an option out of the file
    #[command(after_help = "\
Examples:
  walrusfs config unset cache_size")]
    Unset {
        /// The option, as in `-o`
        name: String,
    },
    /// Print where the file is
    #[command(after_help = "\
Examples:
  walrusfs config path")]
    Path,
}

/// `walrusfs generate`
#[derive(Debug, Subcommand)]
pub enum GenerateCommand {
    /// Write the manual pages into a folder
    Man {
        /// The folder
        dir: PathBuf,
    },
    /// Write the completion scripts into a folder
    Completions {
        /// The folder
        dir: PathBuf,
    },
    /// Print the table of options of docs/configuration.md
    Options,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_tree_of_commands_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The commands that do something, with the words that call them.
    fn leaves(command: &clap::Command, words: &str, found: &mut Vec<(String, String)>) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let words = format!("{words} {}", sub.get_name());
            if sub.has_subcommands() {
                leaves(sub, &words, found);
            }
            if !sub.has_subcommands() || sub.get_after_help().is_some() {
                found.push((words, sub.get_after_help().map(ToString::to_string).unwrap_or_default()));
            }
        }
    }

    #[test]
    fn every_command_has_examples_and_they_are_command_lines() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "walrusfs", &mut found);
        assert!(found.len() > 25, "{}", found.len());
        for (words, help) in found {
            let (_, examples) = help.split_once("Examples:").unwrap_or_else(|| panic!("{words}: no examples"));
            let mut count = 0;
            for line in examples.lines().filter_map(|line| line.strip_prefix("  walrusfs")) {
                // What follows two spaces is said about the line.
                let line = format!("walrusfs{line}").split("  ").next().unwrap_or_default().to_owned();
                let line = line.split(" >").next().unwrap_or_default();
                // What comes between the words are arguments of the commands above.
                let mut said = line.split(' ');
                assert!(words.split(' ').all(|word| said.any(|other| other == word)), "{words}: {line}");
                Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
                count += 1;
            }
            assert!(count > 0, "{words}");
        }
    }

    #[test]
    fn help_lists_the_options_of_mount_and_fits_a_terminal() {
        let mut command = Cli::command();
        let mount = command.find_subcommand_mut("mount").unwrap();
        let text = mount.render_long_help().to_string();
        assert!(text.contains("cache_size=SIZE") && text.contains("passphrase_file=FILE"));
        for line in text.lines() {
            assert!(line.chars().count() <= 130, "{line}");
        }
    }

    #[test]
    fn the_mount_point_is_the_last_positional() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        let Command::Mount(args) = parse("walrusfs mount media /m -o ro,noatime -f").unwrap().command else {
            panic!("not a mount")
        };
        assert_eq!(args.targets, ["media", "/m"]);
        assert!(args.foreground);
        assert!(parse("walrusfs mount").is_err());
        assert!(parse("walrusfs mount a b c").is_err());
        assert!(parse("walrusfs umount /m --no-wait --timeout 3").is_err());
        let loud = parse("walrusfs mount /m -vv").unwrap();
        assert_eq!((loud.verbose, loud.quiet), (2, false));
        assert!(parse("walrusfs status -q").unwrap().quiet && parse("walrusfs -q -v status").is_err());
    }
}
