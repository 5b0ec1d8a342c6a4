//! How old what the client knows of the chain may be.

use crate::support::*;
use std::time::Duration;
use walrus_client::wire::chain::EpochState;

/// A reading takes three answers of 100 ms: the objects, their inner states, the nodes.
#[tokio::test(start_paused = true)]
async fn a_refresh_is_never_older_than_its_call() {
    let net = Net::new(4, 7);
    net.chain.state.lock().unwrap().objects_late = Duration::from_millis(100);
    let chain = net.client.chain().clone();
    let early = tokio::spawn(async move { chain.refresh().await.unwrap() });
    tokio::time::sleep(Duration::from_millis(250)).await;
    // The early reading has the committee of epoch 5 and waits for its nodes; who asks now must hear of epoch 6.
    net.chain.write_walrus(6, &net.assignment, &[], EpochState::EpochChangeDone(2));
    let late = net.client.chain().refresh();
    let later = net.client.chain().refresh();
    let (late, later) = tokio::join!(late, later);
    assert_eq!(early.await.unwrap().epoch(), 5);
    let (late, later) = (late.unwrap(), later.unwrap());
    assert_eq!((late.epoch(), later.epoch()), (6, 6));
    assert!(std::sync::Arc::ptr_eq(&late, &later), "callers that wait for each other share a reading");
    // A state that is read is used again by those who need not know more.
    net.chain.write_walrus(7, &net.assignment, &[], EpochState::EpochChangeDone(3));
    assert_eq!(net.client.state().await.unwrap().epoch(), 6);
    assert_eq!(net.client.chain().refresh().await.unwrap().epoch(), 7);
}
