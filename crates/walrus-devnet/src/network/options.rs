//! What a new network is made of.

use std::time::Duration;

use super::DevnetError;

/// The shape of a new local network. Kept at first start; later starts of the same directory do not change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Storage nodes, 1 to 1000 and at most one for each shard.
    pub nodes: u16,
    /// Shards of the network, 4 to 1000, spread evenly over the nodes.
    pub shards: u16,
    /// Length of a Walrus epoch by the clock, at least a second.
    pub epoch_duration: Duration,
    /// Bytes of encoded data that each node says it can hold (accounting on the chain; nothing is reserved).
    pub node_capacity: u64,
}

impl Default for Options {
    /// 10 nodes, 100 shards, epochs of 24 hours, 1 TiB a node.
    fn default() -> Self {
        Self { nodes: 10, shards: 100, epoch_duration: Duration::from_secs(24 * 3600), node_capacity: 1 << 40 }
    }
}

impl Options {
    /// Checks that a network of this shape exists.
    ///
    /// # Errors
    /// [`DevnetError::Options`] names the option and its range.
    pub fn validate(&self) -> Result<(), DevnetError> {
        let refuse = |message: String| Err(DevnetError::Options(message));
        if !(4..=1000).contains(&self.shards) {
            return refuse(format!("a network has 4 to 1000 shards, not {}", self.shards));
        }
        if self.nodes == 0 || self.nodes > self.shards {
            return refuse(format!(
                "a network of {} shards has 1 to {} nodes, not {}",
                self.shards, self.shards, self.nodes
            ));
        }
        if self.epoch_duration < Duration::from_secs(1) {
            return refuse("an epoch lasts at least one second".into());
        }
        Ok(())
    }

    /// How many shards node `index` gets: the first nodes take what does not divide evenly.
    pub(crate) fn weight(&self, index: u16) -> u16 {
        self.shards / self.nodes + u16::from(index < self.shards % self.nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_add_up() {
        for (nodes, shards) in [(10, 100), (10, 1000), (7, 100), (1, 4), (4, 4), (3, 1000)] {
            let options = Options { nodes, shards, ..Options::default() };
            options.validate().unwrap();
            let weights: Vec<u16> = (0..nodes).map(|index| options.weight(index)).collect();
            assert_eq!(weights.iter().sum::<u16>(), shards);
            assert!(weights.iter().all(|weight| *weight > 0));
        }
    }

    #[test]
    fn impossible_networks_are_refused() {
        let base = Options::default();
        for options in [
            Options { shards: 3, nodes: 3, ..base.clone() },
            Options { shards: 1001, ..base.clone() },
            Options { nodes: 0, ..base.clone() },
            Options { nodes: 101, ..base.clone() },
            Options { epoch_duration: Duration::ZERO, ..base.clone() },
        ] {
            assert!(matches!(options.validate(), Err(DevnetError::Options(_))), "{options:?}");
        }
    }
}
