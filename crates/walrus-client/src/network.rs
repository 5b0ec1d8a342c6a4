//! Which network to talk to: addresses and object ids, read from a TOML file or known by name.
//!
//! Mechanism: only the System and Staking ids (and exchange and Drive package, which nothing on chain points to) are
//! configuration; packages, types, prices and nodes are discovered from them (`chain`). The same file is what
//! `walrusfs devnet status --network-file` prints, so that a second home can use the same local network.

use crate::error::{ClientError, ClientResult};
use crate::wire::chain::ObjectId;
use serde::{Deserialize, Serialize};
use sui_sdk_types::TypeTag;

/// How storage nodes are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeTls {
    /// https; the server must prove that it owns the network key that the chain names for the node. Nothing else about
    /// its certificate matters.
    #[default]
    Pinned,
    /// Clear text. Data stays authenticated by its hashes and confirmations by their signatures; an observer sees which
    /// blobs are read.
    Plain,
}

/// A network's addresses and ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// A name for messages.
    #[serde(default = "unnamed")]
    pub name: String,
    /// gRPC servers of the chain, `http://` or `https://`; with more than one, a failing server is passed over.
    pub rpc_urls: Vec<String>,
    /// Where SUI is given away, if anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faucet_url: Option<String>,
    /// The Walrus `System` object.
    pub system_object: ObjectId,
    /// The Walrus `Staking` object.
    pub staking_object: ObjectId,
    /// The coin type of WAL; discovered when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wal_type: Option<String>,
    /// A `wal_exchange::Exchange` object, where SUI becomes WAL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange_object: Option<ObjectId>,
    /// The package to call, for people; the client reads it from the System object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walrus_package: Option<ObjectId>,
    /// The package `walrusfs` with the module `drive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drive_package: Option<ObjectId>,
    /// How nodes are reached.
    #[serde(default)]
    pub node_tls: NodeTls,
}

/// What is known of a network that is not local. Only the two objects (and the exchange) are configuration; packages, types and
/// nodes are discovered from them.
struct Known {
    name: &'static str,
    chain_id: &'static str,
    rpc: &'static str,
    faucet: Option<&'static str>,
    system: &'static str,
    staking: &'static str,
    exchange: Option<&'static str>,
}

const KNOWN: [Known; 2] = [
    Known {
        name: "mainnet",
        chain_id: "35834a8a",
        rpc: "https://fullnode.mainnet.sui.io:443",
        faucet: None,
        system: "0x2134d52768ea07e8c43570ef975eb3e4c27a39fa6396bef985b5abc58d03ddd2",
        staking: "0x10b9d30c28448939ce6c4d6c6e0ffce4a7f8a4ada8248bdad09ef8b70e4a3904",
        exchange: None,
    },
    Known {
        name: "testnet",
        chain_id: "4c78adac",
        rpc: "https://fullnode.testnet.sui.io:443",
        faucet: Some("https://faucet.testnet.sui.io"),
        system: "0x6c2547cbbc38025cf3adac45f63cb0a8d12ecf777cdc75a4971612bf97fdf6af",
        staking: "0xbe46180321c30aab2f8b3501e24048377287fa708018a5b7c2792b35fe339ee3",
        exchange: Some("0xf4d164ea2def5fe07dc573992a029e010dba09b1a8dcbc44c5c2e79567f39073"),
    },
];

fn unnamed() -> String {
    "custom".to_owned()
}

impl NetworkConfig {
    /// Reads a network file. Unknown keys, bad addresses and missing ids are errors that name the key.
    pub fn parse(text: &str) -> ClientResult<Self> {
        let config: Self = toml::from_str(text)
            .map_err(|error| ClientError::Invalid(format!("the network file cannot be used: {error}")))?;
        config.checked()
    }

    /// The network file for this configuration.
    pub fn to_toml(&self) -> ClientResult<String> {
        toml::to_string(self).map_err(|error| ClientError::Invalid(format!("the network cannot be written: {error}")))
    }

    /// A network known by name: `mainnet` or `testnet`. Neither has the Drive package yet: `walrusfs contract publish`
    /// puts it there.
    pub fn by_name(name: &str) -> Option<Self> {
        let known = KNOWN.iter().find(|known| known.name == name)?;
        Some(Self {
            name: name.to_owned(),
            rpc_urls: vec![known.rpc.to_owned()],
            faucet_url: known.faucet.map(str::to_owned),
            system_object: known.system.parse().ok()?,
            staking_object: known.staking.parse().ok()?,
            wal_type: None,
            exchange_object: known.exchange.and_then(|id| id.parse().ok()),
            walrus_package: None,
            drive_package: None,
            node_tls: NodeTls::Pinned,
        })
    }

    /// The known network on the chain with this id, as Sui writes it: the first four bytes of the genesis digest in hex.
    pub fn by_chain_id(id: &str) -> Option<Self> {
        KNOWN.iter().find(|known| known.chain_id.eq_ignore_ascii_case(id)).and_then(|known| Self::by_name(known.name))
    }

    /// The known network with this System object.
    pub fn by_system_object(id: &ObjectId) -> Option<Self> {
        KNOWN.iter().filter_map(|known| Self::by_name(known.name)).find(|network| network.system_object == *id)
    }

    /// The same, if it can be used.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] names the setting.
    pub fn checked(self) -> ClientResult<Self> {
        self.check().map(|()| self)
    }

    fn check(&self) -> ClientResult<()> {
        let invalid = |why: String| Err(ClientError::Invalid(format!("the network file cannot be used: {why}")));
        if self.rpc_urls.is_empty() {
            return invalid("rpc_urls names no server".to_owned());
        }
        for url in self.rpc_urls.iter().chain(&self.faucet_url) {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return invalid(format!("{url:?} is no URL: it must begin with http:// or https://"));
            }
        }
        if self.system_object == self.staking_object {
            return invalid("system_object and staking_object are the same".to_owned());
        }
        self.parsed_wal_type().map(|_| ())
    }

    /// `wal_type` as a type.
    pub fn parsed_wal_type(&self) -> ClientResult<Option<TypeTag>> {
        self.wal_type
            .as_deref()
            .map(|text| {
                text.parse::<TypeTag>().map_err(|_| {
                    ClientError::Invalid(format!("wal_type {text:?} is no coin type, such as 0x123::wal::WAL"))
                })
            })
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_networks_survive_a_round_trip_through_toml() {
        for name in ["mainnet", "testnet"] {
            let config = NetworkConfig::by_name(name).unwrap();
            assert_eq!(NetworkConfig::parse(&config.to_toml().unwrap()).unwrap(), config);
        }
        assert!(NetworkConfig::by_name("moonnet").is_none());
        for (chain, name) in [("35834a8a", "mainnet"), ("4C78ADAC", "testnet")] {
            let network = NetworkConfig::by_chain_id(chain).unwrap();
            assert_eq!(network.name, name);
            assert_eq!(NetworkConfig::by_system_object(&network.system_object), Some(network));
        }
        assert!(NetworkConfig::by_chain_id("00000000").is_none());
    }

    #[test]
    fn bad_files_are_refused_with_the_reason() {
        let good = NetworkConfig::by_name("testnet").unwrap().to_toml().unwrap();
        let cases = [
            (good.replace("https://fullnode", "fullnode"), "no URL"),
            (good.replace("system_object", "system_objekt"), "system_objekt"),
            (good.replace("0x6c2547", "0xzz2547"), "system_object"),
            (
                good.replace(
                    "0xbe46180321c30aab2f8b3501e24048377287fa708018a5b7c2792b35fe339ee3",
                    "0x6c2547cbbc38025cf3adac45f63cb0a8d12ecf777cdc75a4971612bf97fdf6af",
                ),
                "the same",
            ),
            (good.replace("[\"https://fullnode.testnet.sui.io:443\"]", "[]"), "no server"),
            (format!("wal_type = \"WAL\"\n{good}"), "no coin type"),
        ];
        for (text, expected) in cases {
            let error = NetworkConfig::parse(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?} should contain {expected:?}");
        }
    }
}
