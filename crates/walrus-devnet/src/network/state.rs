//! `network.json`: the shape of the network and its ports, written at first start.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DevnetError, Options};
use crate::node::replace_file;

const VERSION: u32 = 1;
const NAME: &str = "network.json";

/// What is kept between runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NetworkState {
    version: u32,
    nodes: u16,
    shards: u16,
    epoch_duration_ms: u64,
    node_capacity: u64,
    /// Where the chain listens; 0 before the first start.
    pub(super) rpc_port: u16,
    /// Where each node listens.
    pub(super) node_ports: Vec<u16>,
}

impl NetworkState {
    /// What `dir` holds, or a new network of this shape.
    pub(super) fn open(dir: &Path, options: &Options) -> Result<Self, DevnetError> {
        let path = dir.join(NAME);
        let damaged = |reason: String| DevnetError::Damaged { what: path.display().to_string(), reason };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::new(options)),
            Err(error) => return Err(DevnetError::io(path.display().to_string())(error)),
        };
        let state: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if state.version != VERSION {
            return Err(damaged(format!("version {} is not {VERSION}", state.version)));
        }
        if state.node_ports.len() != usize::from(state.nodes) {
            return Err(damaged(format!("{} ports for {} nodes", state.node_ports.len(), state.nodes)));
        }
        state.options().validate()?;
        Ok(state)
    }

    fn new(options: &Options) -> Self {
        Self {
            version: VERSION,
            nodes: options.nodes,
            shards: options.shards,
            epoch_duration_ms: u64::try_from(options.epoch_duration.as_millis()).unwrap_or(u64::MAX),
            node_capacity: options.node_capacity,
            rpc_port: 0,
            node_ports: vec![0; options.nodes.into()],
        }
    }

    pub(super) fn options(&self) -> Options {
        Options {
            nodes: self.nodes,
            shards: self.shards,
            epoch_duration: Duration::from_millis(self.epoch_duration_ms),
            node_capacity: self.node_capacity,
        }
    }

    pub(super) fn save(&self, dir: &Path) -> Result<(), DevnetError> {
        let path = dir.join(NAME);
        let json = serde_json::to_vec_pretty(self).map_err(std::io::Error::other);
        json.and_then(|json| replace_file(&path, &json)).map_err(DevnetError::io(path.display().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_decides_the_shape() {
        let dir = tempfile::tempdir().unwrap();
        let first = Options { nodes: 4, shards: 13, ..Options::default() };
        let mut state = NetworkState::open(dir.path(), &first).unwrap();
        state.rpc_port = 5;
        state.save(dir.path()).unwrap();
        let again = NetworkState::open(dir.path(), &Options::default()).unwrap();
        assert_eq!(again, state);
        assert_eq!(again.options(), first);
    }

    #[test]
    fn damaged_state_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        for bad in [
            "",
            "{}",
            r#"{"version":2,"nodes":1,"shards":4,"epoch_duration_ms":1000,"node_capacity":1,"rpc_port":1,"node_ports":[1]}"#,
        ] {
            fs::write(dir.path().join(NAME), bad).unwrap();
            let opened = NetworkState::open(dir.path(), &Options::default());
            assert!(matches!(opened, Err(DevnetError::Damaged { .. })), "{bad:?}");
        }
    }
}
