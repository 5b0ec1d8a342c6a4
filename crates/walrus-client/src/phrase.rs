//! Recovery phrases: a wallet's key as twelve words that can be written down.
//!
//! The words are BIP-39 (English, no passphrase), the key is derived by SLIP-0010 for ed25519 along `m/44'/784'/0'/0'/0'`: the
//! first address that Sui's own wallets make of the same words.

use crate::error::{ClientError, ClientResult};
use crate::wallet::Wallet;
use bip39::{Language, Mnemonic};
use hmac::{Hmac, Mac};
use sha2::Sha512;
use std::fmt;
use zeroize::Zeroizing;

/// Purpose, Sui's coin type, account, change, address; every step hardened, as ed25519 has it.
const PATH: [u32; 5] = [44, 784, 0, 0, 0];

/// Words that are a key. Wiped when dropped, never printed but by [`Phrase::words`].
pub struct Phrase(Mnemonic);

impl Phrase {
    /// Twelve new random words.
    ///
    /// # Errors
    /// The kernel gives no randomness.
    pub fn generate() -> ClientResult<Self> {
        let mut entropy = Zeroizing::new([0u8; 16]);
        getrandom::fill(entropy.as_mut_slice())
            .map_err(|error| ClientError::Invalid(format!("no randomness for a new key: {error}")))?;
        Mnemonic::from_entropy(entropy.as_slice()).map(Self).map_err(|_| refused())
    }

    /// The words of `text`, in any case and with any spaces between them.
    ///
    /// # Errors
    /// A word that is none, a wrong number of words, or a checksum that does not fit; the message repeats no word.
    pub fn parse(text: &str) -> ClientResult<Self> {
        let words: Vec<Zeroizing<String>> =
            text.split_whitespace().map(|word| Zeroizing::new(word.to_lowercase())).collect();
        let mut line = Zeroizing::new(String::with_capacity(text.len() + 1));
        for (index, word) in words.iter().enumerate() {
            if index > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
        Mnemonic::parse_in_normalized(Language::English, &line).map(Self).map_err(|error| match error {
            bip39::Error::BadWordCount(count) => {
                ClientError::Invalid(format!("a recovery phrase has 12, 15, 18, 21 or 24 words, not {count}"))
            }
            bip39::Error::UnknownWord(index) => {
                ClientError::Invalid(format!("word {} is no word of a recovery phrase", index.saturating_add(1)))
            }
            _ => refused(),
        })
    }

    /// The words, for the one time that they are shown.
    pub fn words(&self) -> Vec<&'static str> {
        self.0.words().collect()
    }

    /// The wallet of the words.
    pub fn wallet(&self) -> Wallet {
        let seed = Zeroizing::new(self.0.to_seed_normalized(""));
        let mut node = hmac_sha512(b"ed25519 seed", &[seed.as_slice()]);
        for step in PATH {
            let (key, chain_code) = node.split_at(32);
            let index = (step | 1 << 31).to_be_bytes();
            node = hmac_sha512(chain_code, &[&[0], key, &index]);
        }
        let mut key = Zeroizing::new([0u8; 32]);
        key.copy_from_slice(&node[..32]);
        Wallet::from_seed(&key)
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phrase")
    }
}

fn refused() -> ClientError {
    ClientError::Invalid("this is no recovery phrase: a word is wrong, missing, or in the wrong place".to_owned())
}

fn hmac_sha512(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 64]> {
    let mut out = Zeroizing::new([0u8; 64]);
    // HMAC takes a key of any length.
    if let Ok(mut mac) = Hmac::<Sha512>::new_from_slice(key) {
        parts.iter().for_each(|part| mac.update(part));
        out.copy_from_slice(&mac.finalize().into_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors that Sui's own SDKs test their derivation with.
    #[test]
    fn words_make_the_addresses_that_sui_wallets_make() {
        for (words, address) in [
            (
                "film crazy soon outside stand loop subway crumble thrive popular green nuclear struggle pistol arm wife phrase \
                 warfare march wheat nephew ask sunny firm",
                "0xa2d14fad60c56049ecf75246a481934691214ce413e6a8ae2fe6834c173a6133",
            ),
            (
                "require decline left thought grid priority false tiny gasp angle royal system attack beef setup reward aunt skill \
                 wasp tray vital bounce inflict level",
                "0x1ada6e6f3f3e4055096f606c746690f1108fcc2ca479055cc434a3e1d3f758aa",
            ),
        ] {
            assert_eq!(Phrase::parse(words).unwrap().wallet().address().to_string(), address);
        }
    }

    /// SLIP-0010, test vector 1 for ed25519: the master key of the seed.
    #[test]
    fn the_master_key_is_that_of_slip_0010() {
        let seed = hex::decode("000102030405060708090a0b0c0d0e0f").unwrap();
        let node = hmac_sha512(b"ed25519 seed", &[&seed]);
        assert_eq!(hex::encode(&node[..32]), "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7");
        let chain = "90046a93de5380a72b5e45010748567d5ea02bbf6522f979e05c0d8d8ca9fffb";
        assert_eq!(hex::encode(&node[32..]), chain);
    }

    #[test]
    fn a_new_phrase_can_be_typed_again() {
        let phrase = Phrase::generate().unwrap();
        let words = phrase.words();
        assert_eq!(words.len(), 12);
        let typed = format!("  {}\n", words.join("   ").to_uppercase());
        assert_eq!(Phrase::parse(&typed).unwrap().wallet().address(), phrase.wallet().address());
        assert_ne!(Phrase::generate().unwrap().words(), words);
        assert_eq!(format!("{phrase:?}"), "Phrase");
    }

    #[test]
    fn mistakes_are_named_without_the_words() {
        let good = "abandon ".repeat(11) + "about";
        assert!(Phrase::parse(&good).is_ok());
        for (text, why) in [
            ("", "12, 15"),
            ("abandon about", "not 2"),
            (&*good.replacen("abandon", "bandon", 1), "word 1 "),
            (&*("abandon ".repeat(12)), "wrong"),
        ] {
            let error = Phrase::parse(text).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("bandon"), "{error}");
        }
    }
}
