//! `SubscriptionService`: checkpoints in order, without gaps; an empty one when nothing happened for a while.

use std::time::Duration;

use futures::stream;
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_rpc::proto::sui::rpc::v2::subscription_service_server::SubscriptionService;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::ledger::checkpoint;
use super::{Service, mask};

/// Clients cut a stream that is silent for 30 s.
const SILENCE: Duration = Duration::from_secs(5);

#[tonic::async_trait]
impl SubscriptionService for Service {
    async fn subscribe_checkpoints(
        &self,
        request: Request<proto::SubscribeCheckpointsRequest>,
    ) -> Result<Response<BoxStream<proto::SubscribeCheckpointsResponse>>, Status> {
        let request = request.into_inner();
        if request.filter.is_some() {
            return Err(Status::invalid_argument("filters are not supported here"));
        }
        let mask = mask::<proto::Checkpoint>(request.read_mask, "sequence_number,digest")?;
        let chain = self.chain.clone();
        let head = chain.head();
        let next = head.borrow().checkpoint;
        let stream = stream::unfold((chain, head, next, mask), |(chain, mut head, next, mask)| async move {
            while head.borrow_and_update().checkpoint < next {
                match tokio::time::timeout(SILENCE, head.changed()).await {
                    Ok(Ok(())) => {}
                    // The chain is closing.
                    Ok(Err(_)) => return None,
                    Err(_) => chain.heartbeat(),
                }
            }
            let message = (|| {
                let snapshot = chain.snapshot()?;
                let stored = snapshot
                    .checkpoint(next)?
                    .ok_or_else(|| Status::internal(format!("checkpoint {next} is missing")))?;
                let mut response = proto::SubscribeCheckpointsResponse::default();
                response.cursor = Some(next);
                response.checkpoint = Some(checkpoint(&snapshot, stored, &mask)?);
                Ok::<_, Status>(response)
            })();
            Some((message, (chain, head, next + 1, mask)))
        });
        Ok(Response::new(Box::pin(stream)))
    }
}
