//! Files of quilts: what they cost when all is well, and with faulty nodes.

use crate::support::*;
use redstuff::BlobId;
use redstuff::quilt::{Quilt, QuiltBlob, QuiltPatchId};
use std::time::{Duration, Instant};
use walrus_client::ClientError;

const FILES: [(&str, usize); 5] = [("a", 0), ("b", 1), ("c", 4_000), ("d", 30_000), ("e", 77)];

fn planted(net: &Net) -> (BlobId, Vec<(QuiltPatchId, Vec<u8>)>) {
    let contents: Vec<Vec<u8>> = FILES.iter().map(|(_, size)| pattern(*size)).collect();
    let blobs = FILES.iter().zip(&contents);
    let blobs = blobs.map(|((name, _), data)| QuiltBlob::new(*name, data).unwrap().with_tag("n", *name).unwrap());
    let quilt = Quilt::build(&net.nodes.params, blobs.collect()).unwrap();
    let encoded = redstuff::encode(&net.nodes.params, quilt.data().to_vec()).unwrap();
    net.nodes.plant(&encoded, &net.assignment);
    let id = *encoded.blob_id();
    let patches = quilt.index().patches().iter().map(|patch| patch.id(&id));
    (id, patches.zip(contents).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_costs_its_own_columns() {
    let net = Net::new(10, 20);
    let (id, files) = planted(&net);
    for ((name, _), (patch, content)) in FILES.iter().zip(&files) {
        net.nodes.forget_requests();
        let found = net.client.read_patch(patch).await.unwrap();
        assert_eq!((&*found.identifier, &found.data), (*name, content));
        assert_eq!(found.tags.get("n").map(String::as_str), Some(*name));
        assert_eq!(net.nodes.count("/slivers/"), patch.columns.len(), "{name}");
    }
    let index = net.client.quilt_index(&id).await.unwrap();
    let listed: Vec<_> = index.patches().iter().map(|patch| patch.id(&id)).collect();
    assert_eq!(listed, files.iter().map(|(patch, _)| patch.clone()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_read_with_f_faulty_nodes_of_every_kind() {
    for fault in [Fault::Dead, Fault::BlackHole, Fault::Status(500), Fault::Garbage, Fault::Lying, Fault::Forging] {
        let net = Net::new(10, 20);
        let (id, files) = planted(&net);
        net.nodes.set_faults([2, 5, 9], fault);
        let begun = Instant::now();
        let index = net.client.quilt_index(&id).await.unwrap();
        assert_eq!(index.patches().len(), FILES.len(), "{fault:?}");
        for (patch, content) in &files {
            assert_eq!(&net.client.read_patch(patch).await.unwrap().data, content, "{fault:?}");
        }
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(20), "{fault:?}: {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_quilt_is_said_to_be_none() {
    let net = Net::new(10, 20);
    let (blob, _) = net.planted(10_000);
    assert!(matches!(net.client.quilt_index(&blob).await, Err(ClientError::Invalid(_))));
    for columns in [1..2, 0..14, 13..15, 65_534..65_535] {
        let patch = QuiltPatchId { quilt_id: blob, columns };
        assert!(matches!(net.client.read_patch(&patch).await, Err(ClientError::Invalid(_))), "{patch:?}");
    }
    let unknown = QuiltPatchId { quilt_id: BlobId([9; 32]), columns: 1..2 };
    assert!(matches!(net.client.read_patch(&unknown).await, Err(ClientError::NotFound { .. })));
}
