//! Faults do what they say, and count it.

use std::time::{Duration, Instant};

use hyper::Method;
use redstuff::Metadata;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use walrus_devnet::{Fault, Lie};

use super::healing::wait_for_all;
use super::support::{User, blob, network, params, read_back};

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_refuses_connections_and_comes_back_on_its_port() {
    let net = network().await;
    let url = net.node(1).url;
    let address = url.trim_start_matches("http://").to_owned();
    // Also a connection that is open already ends.
    let mut open = TcpStream::connect(&address).await.unwrap();
    net.devnet.set_fault(1, Fault::Stopped).await.unwrap();
    let mut byte = [0];
    assert!(matches!(open.read(&mut byte).await, Ok(0) | Err(_)));
    assert_eq!(TcpStream::connect(&address).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    let node = net.node(1);
    assert_eq!((node.state.as_str(), node.faults.stops), ("stopped", 1));
    net.devnet.start_node(1).await.unwrap();
    assert_eq!((net.node(1).url, net.node(1).state), (url, "running".to_owned()));
    assert_eq!(net.get(1, "/v1/health").await.status, 200);
    assert!(net.devnet.set_fault(99, Fault::Lie(Lie::Everything)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_node_accepts_and_never_answers() {
    let net = network().await;
    let address = net.node(1).url.trim_start_matches("http://").to_owned();
    net.devnet.set_fault(1, Fault::Hang).await.unwrap();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(b"GET /v1/health HTTP/1.1\r\nhost: node\r\n\r\n").await.unwrap();
    let mut byte = [0];
    assert!(tokio::time::timeout(Duration::from_millis(300), stream.read(&mut byte)).await.is_err());
    assert!(net.node(1).faults.connections_hung >= 1);
    // The same connection goes on when the node does.
    net.devnet.set_fault(1, Fault::Honest).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut byte)).await;
    assert_eq!((answer.unwrap().unwrap(), byte), (1, *b"H"));
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_failing_nodes_count_requests() {
    let net = network().await;
    net.devnet.set_fault(1, Fault::Slow(Duration::from_millis(200))).await.unwrap();
    let started = Instant::now();
    assert_eq!(net.get(1, "/v1/health").await.status, 200);
    assert!(started.elapsed() >= Duration::from_millis(200));
    for (code, reason) in [(429, "UNAVAILABLE"), (500, "INTERNAL_ERROR"), (503, "UNAVAILABLE")] {
        net.devnet.set_fault(1, Fault::Error(code)).await.unwrap();
        assert_eq!(net.get(1, "/v1/health").await.error(), (code, reason.to_owned()));
    }
    let faults = net.node(1).faults;
    assert_eq!((faults.requests_delayed, faults.errors_served), (1, 3));
    net.devnet.set_fault(1, Fault::Honest).await.unwrap();
    assert_eq!(net.get(1, "/v1/health").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn liars_lie_in_every_answer_and_readers_still_get_the_truth() {
    let net = network().await;
    let user = User::of(&net).await;
    let encoded = blob(8, 30_000);
    let stored = user.store(&encoded, 1).await;
    let id = *encoded.blob_id();
    for index in 0..2 {
        net.devnet.set_fault(index, Fault::Lie(Lie::Everything)).await.unwrap();
    }
    let (_, metadata) =
        Metadata::from_bcs_with_id(&net.get(0, &format!("/v1/blobs/{id}/metadata")).await.body).unwrap();
    assert!(metadata.verify(&id, &params()).is_err());
    let pair = net.pairs(0, &id)[0];
    let sliver = net.get(0, &format!("/v1/blobs/{id}/slivers/{pair}/primary")).await.body;
    let truth = encoded.pair(pair).unwrap().0.to_bcs();
    assert!(sliver.len() == truth.len() && sliver != truth);
    net.get(0, &format!("/v1/blobs/{id}/confirmation/deletable/{}", stored.object)).await.data();
    assert_eq!(net.node(0).faults.lies_served, 3);
    read_back(&net, &encoded).await;
    // A write beside liars.
    let second = blob(9, 4_000);
    user.store(&second, 1).await;
    read_back(&net, &second).await;
    // What a liar has on disk is the truth.
    net.devnet.set_fault(0, Fault::Honest).await.unwrap();
    assert_eq!(net.get(0, &format!("/v1/blobs/{id}/slivers/{pair}/primary")).await.body, truth);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bad_disk_changed_is_never_served_and_repaired() {
    let net = network().await;
    let user = User::of(&net).await;
    let encoded = blob(10, 30_000);
    user.store(&encoded, 1).await;
    let id = *encoded.blob_id();
    let pair = net.pairs(0, &id)[0];
    wait_for_all(&net, 0, &id).await;
    let path = format!("/v1/blobs/{id}/slivers/{pair}/primary");
    let truth = encoded.pair(pair).unwrap().0.to_bcs();
    net.devnet.set_fault(0, Fault::Corrupt).await.unwrap();
    let node = net.node(0);
    assert!(node.faults.slivers_corrupted >= 1 && node.state == "corrupt", "{node:?}");
    let answer = net.http(0, Method::GET, &path, Vec::new()).await;
    assert!(answer.status == 404 || answer.body == truth, "{answer:?}");
    net.wait_for(0, "the slivers are rebuilt", |node| node.slivers_healed >= 1).await;
    assert_eq!(net.get(0, &path).await.body, truth);
    assert!(net.node(0).payloads_damaged >= 1);
}
