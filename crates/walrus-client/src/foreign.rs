//! Settings that exist already: those of the command lines of Sui and of Walrus.
//!
//! Mechanism: three files are understood. `client.yaml` of Sui names servers (*environments*) and a keystore; the keystore is
//! a JSON list of keys, each base64 of a scheme byte and 32 secret bytes; `client_config.yaml` of Walrus names the System and
//! Staking objects of one network or of several (*contexts*), and a `client.yaml`. What this client does not need of them is
//! ignored. They are only read, never written.
//!
//! Promises: errors name the file and the setting; no secret is in them.

use crate::error::{ClientError, ClientResult};
use crate::network::NetworkConfig;
use crate::wallet::Wallet;
use crate::wire::chain::ObjectId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use sui_sdk_types::Address;
use zeroize::Zeroizing;

/// No such file is longer than this.
const MAX_FILE: u64 = 4 << 20;
/// The scheme byte of ed25519 keys.
const ED25519: u8 = 0;
/// A key of a keystore: scheme and secret.
const KEY: usize = 33;

/// A server that Sui's command line knows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SuiEnv {
    /// Its name there.
    pub alias: String,
    /// Its URL.
    pub rpc: String,
    /// The chain it serves, where that is noted: the first four bytes of the genesis digest in hex.
    #[serde(default)]
    pub chain_id: Option<String>,
}

/// Sui's `client.yaml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiConfig {
    /// The file itself.
    pub path: PathBuf,
    /// Where the keys lie.
    pub keystore: PathBuf,
    /// The servers.
    pub envs: Vec<SuiEnv>,
    /// The server in use.
    pub active_env: Option<String>,
    /// The address in use.
    pub active_address: Option<Address>,
}

#[derive(Deserialize)]
struct SuiFile {
    keystore: KeystoreFile,
    #[serde(default)]
    envs: Vec<SuiEnv>,
    #[serde(default)]
    active_env: Option<String>,
    #[serde(default)]
    active_address: Option<Address>,
}

#[derive(Deserialize)]
struct KeystoreFile {
    #[serde(rename = "File")]
    file: String,
}

impl SuiConfig {
    /// Reads a `client.yaml`.
    ///
    /// # Errors
    /// [`ClientError::Local`], or [`ClientError::Invalid`] with file and setting.
    pub fn load(path: &Path) -> ClientResult<Self> {
        let file: SuiFile = yaml(path)?;
        Ok(Self {
            path: path.to_owned(),
            keystore: resolve(path, &file.keystore.file),
            envs: file.envs,
            active_env: file.active_env,
            active_address: file.active_address,
        })
    }

    /// The server called `name`, or the one in use.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn env(&self, name: Option<&str>) -> ClientResult<&SuiEnv> {
        let wanted = name.or(self.active_env.as_deref());
        let found = self.envs.iter().find(|env| wanted.is_none_or(|wanted| wanted == env.alias));
        found.ok_or_else(|| {
            let known: Vec<&str> = self.envs.iter().map(|env| env.alias.as_str()).collect();
            ClientError::Invalid(format!(
                "{} has no environment {:?}; it has {}",
                self.path.display(),
                wanted.unwrap_or("(none is active)"),
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            ))
        })
    }

    /// The Walrus network on the server called `name`, or on the one in use: known by the chain's id, or by the environment's name
    /// where the id is not noted.
    ///
    /// # Errors
    /// No such environment, or a chain that is neither mainnet nor testnet.
    pub fn network(&self, name: Option<&str>) -> ClientResult<NetworkConfig> {
        let env = self.env(name)?;
        let network = match &env.chain_id {
            Some(id) => NetworkConfig::by_chain_id(id),
            None => NetworkConfig::by_name(&env.alias),
        };
        let network = network.ok_or_else(|| {
            ClientError::Invalid(format!(
                "environment {} of {} is neither mainnet nor testnet: name the network by a Walrus client configuration or by a \
                 network file",
                env.alias,
                self.path.display()
            ))
        })?;
        NetworkConfig { rpc_urls: vec![env.rpc.clone()], ..network }.checked()
    }

    /// The key of `address`, or of the address in use.
    ///
    /// # Errors
    /// As [`wallet_from_keystore`].
    pub fn wallet(&self, address: Option<Address>) -> ClientResult<Wallet> {
        wallet_from_keystore(&self.keystore, address.or(self.active_address))
    }
}

/// The key of `address` in a keystore of Sui, or the only ed25519 key there.
///
/// # Errors
/// A file that others can read, that is no keystore, or that has no such key; the message lists the addresses that it has.
pub fn wallet_from_keystore(path: &Path, address: Option<Address>) -> ClientResult<Wallet> {
    let invalid = |why: String| ClientError::Invalid(format!("{}: {why}", path.display()));
    let text = read(path, true)?;
    let entries: Vec<String> = serde_json::from_str(&text)
        .map_err(|_| invalid("not a keystore: a JSON list of keys was expected".to_owned()))?;
    let entries: Vec<Zeroizing<String>> = entries.into_iter().map(Zeroizing::new).collect();
    let (mut wallets, mut others) = (Vec::new(), 0usize);
    for (index, entry) in entries.iter().enumerate() {
        match key(entry) {
            Some(Some(wallet)) => wallets.push(wallet),
            Some(None) => others += 1,
            None => return Err(invalid(format!("entry {index} is no key"))),
        }
    }
    let addresses: Vec<String> = wallets.iter().map(|wallet| wallet.address().to_string()).collect();
    let found = match address {
        Some(address) => wallets.into_iter().find(|wallet| wallet.address() == address),
        None if wallets.len() == 1 => wallets.pop(),
        None => None,
    };
    found.ok_or_else(|| {
        let listed = if addresses.is_empty() { "none".to_owned() } else { addresses.join(", ") };
        invalid(match address {
            Some(address) => format!(
                "no ed25519 key of {address}; it has {listed}, and {others} keys of other kinds, with which walrusfs cannot sign"
            ),
            None => format!("say which address is meant; its ed25519 keys are those of {listed}"),
        })
    })
}

/// One entry: an ed25519 key, a key of another kind, or none.
fn key(entry: &str) -> Option<Option<Wallet>> {
    if entry.starts_with("suiprivkey1") {
        return Some(Wallet::from_suiprivkey(entry).ok());
    }
    let bytes = Zeroizing::new(STANDARD.decode(entry.trim()).ok()?);
    let (scheme, secret) = bytes.split_first().filter(|_| bytes.len() == KEY)?;
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(secret.try_into().ok()?);
    Some((*scheme == ED25519).then(|| Wallet::from_seed(&seed)))
}

/// What a Walrus client configuration says about one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalrusSettings {
    /// The network.
    pub network: NetworkConfig,
    /// The `client.yaml` that it names.
    pub sui_config: Option<PathBuf>,
    /// The address that it names.
    pub address: Option<Address>,
}

#[derive(Deserialize)]
struct WalrusFile {
    #[serde(default)]
    contexts: Option<BTreeMap<String, WalrusContext>>,
    #[serde(default)]
    default_context: Option<String>,
    // A file without contexts has the settings of its one network here.
    #[serde(default)]
    system_object: Option<ObjectId>,
    #[serde(default)]
    staking_object: Option<ObjectId>,
    #[serde(default)]
    exchange_objects: Vec<ObjectId>,
    #[serde(default)]
    exchange_object: Option<ObjectId>,
    #[serde(default)]
    rpc_urls: Vec<String>,
    #[serde(default)]
    wallet_config: Option<WalletSetting>,
}

#[derive(Deserialize)]
struct WalrusContext {
    system_object: ObjectId,
    staking_object: ObjectId,
    #[serde(default)]
    exchange_objects: Vec<ObjectId>,
    #[serde(default)]
    exchange_object: Option<ObjectId>,
    #[serde(default)]
    rpc_urls: Vec<String>,
    #[serde(default)]
    wallet_config: Option<WalletSetting>,
}

/// A path, or path, environment and address.
#[derive(Default)]
struct WalletSetting {
    path: Option<String>,
    active_env: Option<String>,
    active_address: Option<Address>,
}

impl<'de> Deserialize<'de> for WalletSetting {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        #[derive(Deserialize)]
        struct Fields {
            #[serde(default)]
            path: Option<String>,
            #[serde(default)]
            active_env: Option<String>,
            #[serde(default)]
            active_address: Option<Address>,
        }

        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = WalletSetting;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a path, or path, active_env and active_address")
            }

            fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<Self::Value, E> {
                Ok(WalletSetting { path: Some(path.to_owned()), ..WalletSetting::default() })
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let Fields { path, active_env, active_address } =
                    Fields::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(WalletSetting { path, active_env, active_address })
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl WalrusSettings {
    /// Reads a Walrus client configuration; `context` names one of its networks, without it the default one is meant.
    ///
    /// # Errors
    /// [`ClientError::Local`], or [`ClientError::Invalid`] with file and setting.
    pub fn load(path: &Path, context: Option<&str>) -> ClientResult<Self> {
        let file: WalrusFile = yaml(path)?;
        let invalid = |why: String| ClientError::Invalid(format!("{}: {why}", path.display()));
        let (name, found) = match (file.contexts, context) {
            (Some(mut contexts), context) => {
                let only = if contexts.len() == 1 { contexts.keys().next().cloned() } else { None };
                let name = context.map(str::to_owned).or(file.default_context).or(only);
                let name = name.ok_or_else(|| invalid("it has several contexts and no default_context".to_owned()))?;
                let known = contexts.keys().cloned().collect::<Vec<_>>().join(", ");
                let found = contexts.remove(&name);
                (name.clone(), found.ok_or_else(|| invalid(format!("it has no context {name:?}; it has {known}")))?)
            }
            (None, Some(context)) => {
                return Err(invalid(format!("it has no contexts, and so none called {context:?}")));
            }
            (None, None) => {
                let (Some(system_object), Some(staking_object)) = (file.system_object, file.staking_object) else {
                    return Err(invalid(
                        "not a Walrus client configuration: it has neither contexts nor objects".to_owned(),
                    ));
                };
                let context = WalrusContext {
                    system_object,
                    staking_object,
                    exchange_objects: file.exchange_objects,
                    exchange_object: file.exchange_object,
                    rpc_urls: file.rpc_urls,
                    wallet_config: file.wallet_config,
                };
                ("custom".to_owned(), context)
            }
        };
        Self::of(path, name, found)
    }

    fn of(path: &Path, name: String, context: WalrusContext) -> ClientResult<Self> {
        let wallet = context.wallet_config.unwrap_or_default();
        let sui_config = wallet.path.as_deref().map(|named| resolve(path, named));
        // A network that is known by its objects brings what such files do not say.
        let known = NetworkConfig::by_system_object(&context.system_object);
        let rpc_urls = match (context.rpc_urls, &sui_config, &known) {
            (urls, _, _) if !urls.is_empty() => urls,
            (_, Some(sui), _) => vec![SuiConfig::load(sui)?.env(wallet.active_env.as_deref())?.rpc.clone()],
            (_, None, Some(known)) => known.rpc_urls.clone(),
            (_, None, None) => {
                return Err(ClientError::Invalid(format!("{}: context {name} names no server", path.display())));
            }
        };
        let network = NetworkConfig {
            name: known.as_ref().map_or(name, |known| known.name.clone()),
            rpc_urls,
            faucet_url: known.and_then(|known| known.faucet_url),
            system_object: context.system_object,
            staking_object: context.staking_object,
            wal_type: None,
            exchange_object: context.exchange_objects.first().copied().or(context.exchange_object),
            walrus_package: None,
            drive_package: None,
            node_tls: Default::default(),
        };
        Ok(Self { network: network.checked()?, sui_config, address: wallet.active_address })
    }
}

/// Whether a path names a YAML file, as these settings are.
pub fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// A network from a YAML file of Sui or of Walrus; `context` names one of its environments or contexts.
///
/// # Errors
/// As [`SuiConfig::load`] and [`WalrusSettings::load`].
pub fn network(path: &Path, context: Option<&str>) -> ClientResult<NetworkConfig> {
    if is_sui(path)? {
        return SuiConfig::load(path)?.network(context);
    }
    Ok(WalrusSettings::load(path, context)?.network)
}

/// A key from any file that has one: a `client.yaml`, a Walrus client configuration, a keystore, or a line `suiprivkey1...`.
///
/// # Errors
/// As the file's own kind says.
pub fn wallet(path: &Path, address: Option<Address>) -> ClientResult<Wallet> {
    if is_yaml(path) {
        if is_sui(path)? {
            return SuiConfig::load(path)?.wallet(address);
        }
        let settings = WalrusSettings::load(path, None)?;
        let Some(sui) = settings.sui_config else {
            return Err(ClientError::Invalid(format!("{} names no wallet_config.path", path.display())));
        };
        return SuiConfig::load(&sui)?.wallet(address.or(settings.address));
    }
    let begins_with_list = read(path, true)?.trim_start().starts_with('[');
    if begins_with_list { wallet_from_keystore(path, address) } else { Wallet::load(path) }
}

/// Where Sui's command line keeps `client.yaml`: under `$SUI_CONFIG_DIR`, or under `home`.
pub fn default_sui_config(home: &Path) -> PathBuf {
    let folder = std::env::var_os("SUI_CONFIG_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    folder.unwrap_or_else(|| home.join(".sui/sui_config")).join("client.yaml")
}

fn is_sui(path: &Path) -> ClientResult<bool> {
    #[derive(Deserialize)]
    struct Probe {
        #[serde(default)]
        keystore: Option<serde::de::IgnoredAny>,
    }
    Ok(yaml::<Probe>(path)?.keystore.is_some())
}

fn yaml<T: DeserializeOwned>(path: &Path) -> ClientResult<T> {
    let text = read(path, false)?;
    serde_saphyr::from_str(&text)
        .map_err(|error| ClientError::Invalid(format!("{} cannot be used: {error}", path.display())))
}

fn read(path: &Path, secret: bool) -> ClientResult<Zeroizing<String>> {
    let local = |error| ClientError::local(path, error);
    let file = File::open(path).map_err(local)?;
    let mode = file.metadata().map_err(local)?.mode();
    if secret && mode & 0o077 != 0 {
        return Err(ClientError::Invalid(format!(
            "{} can be read by others (mode {:03o}) and may be known to them: chmod 600 it, or make new keys",
            path.display(),
            mode & 0o777
        )));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE).read_to_string(&mut text).map_err(local)?;
    Ok(text)
}

/// A path as such files write it: with `~` for the home folder, otherwise from the file's own folder.
fn resolve(file: &Path, named: &str) -> PathBuf {
    if let Some(rest) = named.strip_prefix("~/")
        && let Some(home) = std::env::var_os("HOME")
    {
        return PathBuf::from(home).join(rest);
    }
    file.parent().unwrap_or(Path::new("")).join(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const MAINNET: &str = "0x2134d52768ea07e8c43570ef975eb3e4c27a39fa6396bef985b5abc58d03ddd2";

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            path
        }

        /// A `client.yaml` as Sui writes it, with a keystore of these keys.
        fn sui(&self, keys: &[&str], active: &str) -> PathBuf {
            let store = self.write("sui.keystore", &serde_json::to_string(keys).unwrap());
            let text = format!(
                "---\nkeystore:\n  File: {}\nexternal_keys: ~\nenvs:\n  - alias: testnet\n    rpc: \"https://t.example:443\"\n    \
                 ws: ~\n    basic_auth: ~\n    chain_id: 4c78adac\n  - alias: mainnet\n    rpc: \"https://m.example:443\"\n  \
                 - alias: local\n    rpc: \"http://127.0.0.1:9000\"\n    chain_id: 01020304\nactive_env: testnet\n{active}",
                store.display()
            );
            self.write("client.yaml", &text)
        }
    }

    fn entry(scheme: u8, seed: u8) -> String {
        STANDARD.encode([&[scheme][..], &[seed; 32]].concat())
    }

    #[test]
    fn the_client_yaml_of_sui_names_server_and_key() {
        let files = Files::new();
        let wallets: Vec<Wallet> = (1..3u8).map(|seed| Wallet::from_seed(&[seed; 32])).collect();
        let address = wallets[1].address();
        let path = files.sui(&[&entry(0, 1), &entry(1, 9), &entry(0, 2)], &format!("active_address: \"{address}\"\n"));
        let config = SuiConfig::load(&path).unwrap();
        assert_eq!(config.env(None).unwrap().rpc, "https://t.example:443");
        assert_eq!(config.env(Some("mainnet")).unwrap().rpc, "https://m.example:443");
        assert!(config.env(Some("moonnet")).unwrap_err().to_string().contains("testnet, mainnet, local"));
        assert_eq!(config.wallet(None).unwrap().address(), address);
        assert_eq!(config.wallet(Some(wallets[0].address())).unwrap().address(), wallets[0].address());

        let testnet = network(&path, None).unwrap();
        assert_eq!((testnet.name.as_str(), testnet.rpc_urls[0].as_str()), ("testnet", "https://t.example:443"));
        assert_eq!(network(&path, Some("mainnet")).unwrap().system_object.to_string(), MAINNET);
        let error = network(&path, Some("local")).unwrap_err().to_string();
        assert!(error.contains("neither mainnet nor testnet"), "{error}");
        for path in [&path, &config.keystore] {
            assert_eq!(wallet(path, Some(address)).unwrap().address(), address);
        }
    }

    #[test]
    fn a_keystore_is_private_and_its_errors_say_which_addresses_it_has() {
        let files = Files::new();
        let only = Wallet::from_seed(&[1; 32]);
        let exported = Wallet::from_seed(&[4; 32]);
        let store = files.write("sui.keystore", &serde_json::to_string(&[entry(0, 1), entry(2, 3)]).unwrap());
        assert_eq!(wallet_from_keystore(&store, None).unwrap().address(), only.address());
        let other = exported.address();
        let error = wallet_from_keystore(&store, Some(other)).unwrap_err().to_string();
        assert!(error.contains(&only.address().to_string()) && error.contains("1 keys of other kinds"), "{error}");
        let text = exported.to_suiprivkey().unwrap();
        let both = files.write("both", &serde_json::to_string(&[entry(0, 1), text.to_string()]).unwrap());
        assert_eq!(wallet(&both, Some(other)).unwrap().address(), other);
        assert!(wallet(&both, None).unwrap_err().to_string().contains("say which address"));
        assert_eq!(wallet(&files.write("one", &text), None).unwrap().address(), other);

        std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(wallet_from_keystore(&store, None).unwrap_err().to_string().contains("chmod 600"));
        for (name, bad) in [("a", "{}"), ("b", "[\"c2hvcnQ=\"]"), ("c", "[\"no base64!\"]")] {
            let error = wallet_from_keystore(&files.write(name, bad), None).unwrap_err().to_string();
            assert!(!error.contains("c2hvcnQ="), "{error}");
        }
    }

    #[test]
    fn the_walrus_configuration_names_networks() {
        let files = Files::new();
        let address = Wallet::from_seed(&[7; 32]).address();
        let sui = files.sui(&[&entry(0, 7)], "");
        let text = format!(
            "contexts:\n  mainnet:\n    system_object: {MAINNET}\n    staking_object: 0x10b9d30c28448939ce6c4d6c6e0ffce4a7f8a4ada8248bdad09ef8b70e4a3904\n    \
             n_shards: 1000\n    wallet_config:\n      # path: ~/nowhere\n      active_env: mainnet\n    rpc_urls:\n      \
             - https://one.example\n      - https://two.example\n  mine:\n    system_object: 0x0000000000000000000000000000000000000000000000000000000000000051\n    \
             staking_object: 0x0000000000000000000000000000000000000000000000000000000000000052\n    exchange_objects:\n      \
             - 0x0000000000000000000000000000000000000000000000000000000000000053\n    communication_config:\n      tail_handling: detached\n    \
             wallet_config:\n      path: {}\n      active_env: local\n      active_address: {address}\ndefault_context: mine\n",
            sui.display()
        );
        let path = files.write("client_config.yaml", &text);
        let mine = WalrusSettings::load(&path, None).unwrap();
        assert_eq!((mine.network.name.as_str(), mine.address), ("mine", Some(address)));
        assert_eq!(mine.network.rpc_urls, ["http://127.0.0.1:9000"], "the environment's server, for want of another");
        assert_eq!(mine.network.exchange_object.unwrap().to_string().chars().last(), Some('3'));
        assert_eq!(wallet(&path, None).unwrap().address(), address);
        let mainnet = network(&path, Some("mainnet")).unwrap();
        assert_eq!(mainnet.rpc_urls, ["https://one.example", "https://two.example"]);
        assert_eq!(mainnet.system_object, NetworkConfig::by_name("mainnet").unwrap().system_object);
        assert!(network(&path, Some("devnet")).unwrap_err().to_string().contains("mainnet, mine"));

        // The older form: one network, the wallet as a path.
        let old = format!(
            "system_object: {MAINNET}\nstaking_object: 0x10b9d30c28448939ce6c4d6c6e0ffce4a7f8a4ada8248bdad09ef8b70e4a3904\n\
             wallet_config: {}\n",
            sui.display()
        );
        let old = WalrusSettings::load(&files.write("old.yaml", &old), None).unwrap();
        assert_eq!((old.network.name.as_str(), old.sui_config), ("mainnet", Some(sui)));
        assert_eq!(old.network.rpc_urls, ["https://t.example:443"]);
        for (name, bad, word) in [
            ("x.yaml", "contexts: {}\n", "default_context"),
            ("y.yaml", "hello: 1\n", "not a Walrus client configuration"),
            ("z.yaml", "contexts:\n  a:\n    system_object: 12\n", "cannot be used"),
            ("w.yaml", ": : :\n- [", "cannot be used"),
        ] {
            let error = WalrusSettings::load(&files.write(name, bad), None).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains(name), "{error}");
        }
    }
}
