//! Starting while the chain cannot be asked.

use crate::support::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use walrus_client::chain::{ChainTransport, Remembering};
use walrus_client::client::{ClientConfig, WalrusClient};

fn remembering(net: &Net, dir: &std::path::Path) -> (Arc<Remembering>, WalrusClient) {
    let memory = Arc::new(Remembering::new(net.chain.clone(), dir));
    let network = net.client.chain().network().clone();
    let nodes = net.nodes.clone();
    let client = WalrusClient::with_transports(network, ClientConfig::default(), memory.clone(), nodes);
    (memory, client)
}

#[tokio::test(start_paused = true)]
async fn a_client_starts_on_what_the_chain_said_last_and_asks_again_afterwards() {
    let net = Net::new(4, 7);
    let dir = tempfile::tempdir().unwrap();
    let online = remembering(&net, dir.path()).1.state().await.unwrap();
    // The chain is gone: answers would take an hour.
    net.chain.state.lock().unwrap().objects_late = Duration::from_secs(3600);
    let (memory, client) = remembering(&net, dir.path());
    memory.serve(true);
    let begun = Instant::now();
    let offline = client.state().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "one reading is waited for, not each: {:?}", begun.elapsed());
    assert!(memory.is_offline());
    assert_eq!((offline.epoch(), offline.n_shards()), (online.epoch(), online.n_shards()));
    assert_eq!(offline.packages.call, online.packages.call);
    // Whoever is open asks the chain again, and believes nothing else.
    memory.serve(false);
    assert!(!memory.is_offline());
    let asked = tokio::time::timeout(Duration::from_secs(60), client.chain().refresh()).await;
    assert!(asked.is_err(), "nothing is answered from the folder");
    net.chain.state.lock().unwrap().objects_late = Duration::ZERO;
    assert_eq!(client.chain().refresh().await.unwrap().epoch(), online.epoch());
}

#[tokio::test(start_paused = true)]
async fn what_was_never_said_or_is_damaged_is_no_answer_and_older_versions_are_not_kept() {
    let net = Net::new(4, 7);
    let dir = tempfile::tempdir().unwrap();
    let (memory, client) = remembering(&net, dir.path());
    client.state().await.unwrap();
    let system = net.client.chain().network().system_object;
    let now = memory.objects(&[system]).await.unwrap().remove(0).unwrap();
    let older = {
        let mut state = net.chain.state.lock().unwrap();
        let object = state.objects.get_mut(&system).unwrap();
        let version = object.version;
        object.version = 0;
        object.contents = vec![1, 2, 3].into();
        version
    };
    assert!(older > 0);
    assert_eq!(
        memory.objects(&[system]).await.unwrap()[0].as_ref().unwrap().version,
        0,
        "the chain's answer is the answer"
    );
    net.chain.state.lock().unwrap().objects_late = Duration::from_secs(3600);
    memory.serve(true);
    assert_eq!(memory.objects(&[system]).await.unwrap(), [Some(now)], "a server that lags makes nobody forget");
    // A flipped byte in its file: then there is no answer but the chain's.
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 1);
        std::fs::write(&path, bytes).unwrap();
    }
    memory.serve(true);
    let asked = [system];
    assert!(tokio::time::timeout(Duration::from_secs(60), memory.objects(&asked)).await.is_err());
    let unknown = [id("0x7777")];
    assert!(tokio::time::timeout(Duration::from_secs(60), memory.objects(&unknown)).await.is_err());
}
