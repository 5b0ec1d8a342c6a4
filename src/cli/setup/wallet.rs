//! The wallet of a setup: one that is here, one of Sui's command line, or a new one with its recovery phrase.

use super::dialogue::{Dialogue, read};
use crate::cli::args::SetupArgs;
use crate::cli::exit::{Code, Failure};
use crate::cli::home::Home;
use crate::cli::session;
use crate::cli::wallet::client_failure;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use walrus_client::foreign;
use walrus_client::network::NetworkConfig;
use walrus_client::phrase::Phrase;
use walrus_client::wallet::Wallet;
use zeroize::Zeroizing;

/// What the alternate screen of a terminal begins and ends with: what is shown there leaves no trace in its history.
const ALTERNATE: (&str, &str) = ("\x1b[?1049h\x1b[H", "\x1b[?1049l");

/// Makes sure that there is a wallet.
///
/// # Errors
/// What cannot be read or written, or what the user refused.
pub(super) fn choose(
    home: &Home,
    args: &SetupArgs,
    network: &NetworkConfig,
    dialogue: &mut Dialogue,
) -> Result<(), Failure> {
    let path = session::wallet_path(home);
    if path.exists() {
        let wallet = Wallet::load(&path).map_err(client_failure("the wallet cannot be read"))?;
        dialogue.say(format!("\nWallet: {} ({})", wallet.address(), path.display()));
        return Ok(());
    }
    let wallet = match args.wallet.as_deref() {
        Some("new") => new(args, network, dialogue)?,
        Some("sui") => import(&sui_config())?,
        Some("phrase") => from_phrase()?,
        Some(file) => import(Path::new(file))?,
        None => ask(args, network, dialogue)?,
    };
    wallet.save(&path).map_err(client_failure("the wallet cannot be kept"))?;
    dialogue.say(format!("Wallet: {} ({})", wallet.address(), path.display()));
    Ok(())
}

fn sui_config() -> PathBuf {
    let user = std::env::var_os("HOME").filter(|home| !home.is_empty());
    foreign::default_sui_config(Path::new(&user.unwrap_or_default()))
}

fn import(file: &Path) -> Result<Wallet, Failure> {
    foreign::wallet(file, None).map_err(client_failure("the key cannot be imported"))
}

fn ask(args: &SetupArgs, network: &NetworkConfig, dialogue: &mut Dialogue) -> Result<Wallet, Failure> {
    dialogue.say(
        "\nA wallet owns the drive and pays for it. Best is one of its own: walrusfs signs without asking, and other programs that\n\
         spend its coins get in the way.",
    );
    let found = import(&sui_config()).ok();
    let mut choices = vec![
        "a new key, with a recovery phrase".to_owned(),
        "a recovery phrase that you have".to_owned(),
        "a key in a file (keystore, client.yaml, suiprivkey1...)".to_owned(),
    ];
    choices.extend(found.as_ref().map(|wallet| format!("the key of Sui's command line, {}", wallet.address())));
    match (dialogue.choose("Wallet", &choices)?, found) {
        (0, _) => new(args, network, dialogue),
        (1, _) => from_phrase(),
        (3, Some(wallet)) => Ok(wallet),
        _ => import(Path::new(&read("File: ")?)),
    }
}

fn from_phrase() -> Result<Wallet, Failure> {
    let typed = rpassword::prompt_password("Recovery phrase (not shown): ")
        .map(Zeroizing::new)
        .map_err(|error| Failure::from_io("cannot read the recovery phrase", error))?;
    let phrase = Phrase::parse(&typed).map_err(client_failure("the recovery phrase cannot be used"))?;
    Ok(phrase.wallet())
}

fn new(args: &SetupArgs, network: &NetworkConfig, dialogue: &mut Dialogue) -> Result<Wallet, Failure> {
    let phrase = Phrase::generate().map_err(client_failure("a key cannot be made"))?;
    match &args.phrase_file {
        Some(path) => keep(&phrase, path)?,
        None if dialogue.can_ask() => show(&phrase)?,
        None if network.faucet_url.is_some() => {}
        None => {
            return Err(Failure::usage(
                "a new wallet for a real network needs a copy of its recovery phrase: give --phrase-file FILE with --yes",
            ));
        }
    }
    Ok(phrase.wallet())
}

fn keep(phrase: &Phrase, path: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::from_io(format!("cannot write the recovery phrase to {}", path.display()), error);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let line = Zeroizing::new(phrase.words().join(" ") + "\n");
    file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// Shows the words once, on a screen that leaves no history, and goes on when one of them has been typed.
fn show(phrase: &Phrase) -> Result<(), Failure> {
    let words = phrase.words();
    let mut stderr = std::io::stderr();
    let mut text = Zeroizing::new(String::from(ALTERNATE.0));
    text.push_str("These words are the wallet. Write them down, on paper: they are shown this once.\r\n\r\n");
    for (index, word) in words.iter().enumerate() {
        text.push_str(&format!("  {:>2}. {word}\r\n", index + 1));
    }
    text.push_str("\r\n");
    let _ = stderr.write_all(text.as_bytes());
    // The last word comes only to those who wrote the others down.
    let wanted = words.len();
    let answered = confirm(&words, wanted);
    let _ = stderr.write_all(ALTERNATE.1.as_bytes()).and_then(|()| stderr.flush());
    answered
}

fn confirm(words: &[&str], wanted: usize) -> Result<(), Failure> {
    const TRIES: usize = 5;
    for _ in 0..TRIES {
        let typed = Zeroizing::new(read(&format!("Word {wanted}: "))?.to_lowercase());
        if words.get(wanted - 1).is_some_and(|word| *word == typed.as_str()) {
            return Ok(());
        }
    }
    Err(Failure::new(Code::Failed, "the word was not the one shown; no wallet was made"))
}
