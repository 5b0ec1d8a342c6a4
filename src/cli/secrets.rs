//! What opens a drive beside the key file in the keys folder: for a mount and for every other command the same.
//!
//! Four sources: key files and passphrase files that options name (the command line before the environment before the
//! configuration file), what systemd gives the unit, and a passphrase that somebody types. None of them is an argument, a
//! variable or a line of a log: those name files only.

use super::args::SecretArgs;
use super::exit::{Code, Failure};
use super::options::MountOptions;
use crate::crypto::slots::{Argon2Cost, KeyFile, Passphrase, SlotSecret};
use crate::drive::{Secrets, keep};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What `options` and the command line's `named` files hold, and what systemd gives. A file of the command line stands in
/// place of the one of its kind in the options.
///
/// # Errors
/// A file that was named does not exist, cannot be read, or holds no key or passphrase.
pub(super) fn given(options: &MountOptions, named: &SecretArgs) -> Result<Secrets, Failure> {
    let or = |named: &[PathBuf], option: &Option<PathBuf>| match named {
        [] => option.iter().cloned().collect(),
        named => named.to_vec(),
    };
    let mut found = Vec::new();
    for path in or(&named.key_file, &options.key_file) {
        found.push(SlotSecret::KeyFile(key_of(&path)?));
    }
    for path in or(&named.passphrase_file, &options.passphrase_file) {
        found.push(passphrase_of(&path)?);
    }
    found.extend(credentials()?);
    Ok(Secrets(found))
}

/// What systemd gives the unit (`LoadCredential=`): a passphrase, a key file, or neither.
fn credentials() -> Result<Vec<SlotSecret>, Failure> {
    let Some(dir) = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    if let Some(key) = keep::read_key_file(&dir.join("walrusfs.key"))
        .map_err(|error| Failure::from_fs("the credential walrusfs.key cannot be used", error))?
    {
        found.push(SlotSecret::KeyFile(key));
    }
    let path = dir.join("walrusfs.passphrase");
    if path.exists() {
        found.push(passphrase_of(&path)?);
    }
    Ok(found)
}

fn key_of(path: &Path) -> Result<KeyFile, Failure> {
    let key = keep::read_key_file(path)
        .map_err(|error| Failure::from_fs(format!("the key file {} cannot be used", path.display()), error))?;
    key.ok_or_else(|| Failure::new(Code::NotFound, format!("there is no key file {}", path.display())))
}

/// The secret of a passphrase file: its first line.
///
/// # Errors
/// It cannot be read, or that line is no passphrase.
pub(super) fn passphrase_of(path: &Path) -> Result<SlotSecret, Failure> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text =
        text.map_err(|error| Failure::from_io(format!("cannot read the passphrase file {}", path.display()), error))?;
    passphrase(text.lines().next().unwrap_or_default())
}

/// The secret of a passphrase.
///
/// # Errors
/// It is empty, or longer than any may be.
pub(super) fn passphrase(text: &str) -> Result<SlotSecret, Failure> {
    let passphrase = Passphrase::new(text).map_err(|error| Failure::from_fs("the passphrase cannot be used", error))?;
    Ok(SlotSecret::Passphrase(passphrase, Argon2Cost::DEFAULT))
}

/// Asks at the terminal for the passphrase of something; it is not shown.
///
/// # Errors
/// There is no terminal, or what was typed is no passphrase.
pub(super) fn typed(of: &str) -> Result<SlotSecret, Failure> {
    passphrase(&prompt(&format!("passphrase of {of}: "))?)
}

/// Asks at the terminal for a new passphrase, twice.
///
/// # Errors
/// As [`typed`], and when the two differ.
pub(super) fn typed_twice(of: &str) -> Result<SlotSecret, Failure> {
    let first = prompt(&format!("new passphrase of {of}: "))?;
    let second = prompt("the same again: ")?;
    if *first != *second {
        return Err(Failure::new(Code::Failed, "the two passphrases differ; nothing was changed"));
    }
    passphrase(&first)
}

/// Asks at the terminal for a secret; it is not shown.
///
/// # Errors
/// There is no terminal.
pub(super) fn prompt(question: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(question)
        .map(Zeroizing::new)
        .map_err(|error| Failure::from_io("cannot read a passphrase", error))
}
