//! `LedgerService`: objects, transactions, checkpoints, epochs.

use sui_rpc::field::FieldMaskTree;
use sui_rpc::merge::Merge;
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_rpc::proto::sui::rpc::v2::ledger_service_server::LedgerService;
use sui_sdk_types::{Digest, Object, UserSignature};
use tonic::{Request, Response, Status};
use walrus_client::wire::chain::Coin;

use super::{CHAIN_NAME, Service, address, mask, timestamp};
use crate::chain::execute::REFERENCE_GAS_PRICE;
use crate::chain::store::{ObjectSource, Snapshot, StoredCheckpoint, StoredTransaction};

const OBJECT_DEFAULT: &str = "object_id,version,digest";
const MAX_BATCH: usize = 1000;

/// An object as the mask wants it.
pub(super) fn object(object: Object, mask: &FieldMaskTree) -> proto::Object {
    let balance = object.as_struct().and_then(|data| {
        data.object_type().is_coin()?;
        bcs::from_bytes::<Coin>(data.contents()).ok().map(|coin| coin.balance)
    });
    let mut message = proto::Object::merge_from(object, mask);
    if mask.contains("balance") {
        message.balance = balance;
    }
    message
}

fn one_object(
    snapshot: &Snapshot,
    request: &proto::GetObjectRequest,
    mask: &FieldMaskTree,
) -> Result<proto::Object, Status> {
    let id = address("object_id", request.object_id.as_deref())?;
    let found = snapshot.object(&id)?.ok_or_else(|| Status::not_found(format!("Object {id} not found")))?;
    match request.version {
        Some(version) if version != found.version() => {
            Err(Status::not_found(format!("Object {id} not found with version {version}")))
        }
        _ => Ok(object(found, mask)),
    }
}

fn digest(value: Option<&str>) -> Result<Digest, Status> {
    value
        .ok_or_else(|| Status::invalid_argument("missing digest"))?
        .parse()
        .map_err(|error| Status::invalid_argument(format!("invalid digest: {error}")))
}

/// A stored transaction as a full message.
pub(super) fn executed(stored: &StoredTransaction) -> proto::ExecutedTransaction {
    let mut message = proto::ExecutedTransaction::default();
    message.digest = Some(stored.transaction.digest().to_string());
    message.transaction = Some(stored.transaction.clone().into());
    message.signatures =
        stored.signatures.iter().filter_map(|bytes| UserSignature::from_bytes(bytes).ok()).map(Into::into).collect();
    message.effects = Some(effects(&stored.effects, &stored.object_types));
    message.events = Some(sui_sdk_types::TransactionEvents(stored.events.clone()).into());
    message.checkpoint = Some(stored.checkpoint);
    message.timestamp = Some(timestamp(stored.timestamp_ms));
    message.balance_changes = stored.balance_changes.iter().cloned().map(Into::into).collect();
    message.transaction_index = Some(0);
    message
}

/// Effects with the types of the changed objects.
pub(super) fn effects(
    effects: &sui_sdk_types::TransactionEffects,
    types: &[(sui_sdk_types::Address, String)],
) -> proto::TransactionEffects {
    let mut message = proto::TransactionEffects::from(effects.clone());
    let typed = |id: Option<&str>| {
        types.iter().find(|(known, _)| id == Some(known.to_string().as_str())).map(|(_, ty)| ty.clone())
    };
    for changed in &mut message.changed_objects {
        changed.object_type = typed(changed.object_id.as_deref());
    }
    if let Some(gas) = &mut message.gas_object {
        gas.object_type = typed(gas.object_id.as_deref());
    }
    message
}

/// A stored checkpoint as the mask wants it.
pub(super) fn checkpoint(
    snapshot: &Snapshot,
    stored: StoredCheckpoint,
    mask: &FieldMaskTree,
) -> Result<proto::Checkpoint, Status> {
    let mut message = proto::Checkpoint::default();
    message.sequence_number = Some(stored.summary.sequence_number);
    message.digest = Some(stored.digest.to_string());
    if mask.subtree("transactions").is_some() {
        for info in stored.contents.transactions() {
            if let Some(transaction) = snapshot.transaction(info.transaction())? {
                message.transactions.push(executed(&transaction));
            }
        }
    }
    message.summary = Some(stored.summary.into());
    message.contents = Some(stored.contents.into());
    Ok(proto::Checkpoint::merge_from(&message, mask))
}

#[tonic::async_trait]
impl LedgerService for Service {
    async fn get_service_info(
        &self,
        _: Request<proto::GetServiceInfoRequest>,
    ) -> Result<Response<proto::GetServiceInfoResponse>, Status> {
        let head = *self.chain.head().borrow();
        let mut info = proto::GetServiceInfoResponse::default();
        info.chain_id = Some(self.chain.rules().ids.chain_id.to_string());
        info.chain = Some(CHAIN_NAME.into());
        info.epoch = Some(head.epoch);
        info.checkpoint_height = Some(head.checkpoint);
        info.timestamp = Some(timestamp(head.timestamp_ms));
        info.lowest_available_checkpoint = Some(0);
        info.lowest_available_checkpoint_objects = Some(0);
        info.server = Some(concat!("walrus-devnet/", env!("CARGO_PKG_VERSION")).into());
        Ok(Response::new(info))
    }

    async fn get_object(
        &self,
        request: Request<proto::GetObjectRequest>,
    ) -> Result<Response<proto::GetObjectResponse>, Status> {
        let mut request = request.into_inner();
        let mask = mask::<proto::Object>(request.read_mask.take(), OBJECT_DEFAULT)?;
        let mut response = proto::GetObjectResponse::default();
        response.object = Some(one_object(&self.chain.snapshot()?, &request, &mask)?);
        Ok(Response::new(response))
    }

    async fn batch_get_objects(
        &self,
        request: Request<proto::BatchGetObjectsRequest>,
    ) -> Result<Response<proto::BatchGetObjectsResponse>, Status> {
        use proto::get_object_result::Result as Outcome;
        let request = request.into_inner();
        if request.requests.len() > MAX_BATCH {
            return Err(Status::invalid_argument(format!("more than {MAX_BATCH} objects in one request")));
        }
        let mask = mask::<proto::Object>(request.read_mask, OBJECT_DEFAULT)?;
        let snapshot = self.chain.snapshot()?;
        let mut response = proto::BatchGetObjectsResponse::default();
        for wanted in &request.requests {
            let outcome = match one_object(&snapshot, wanted, &mask) {
                Ok(object) => Outcome::Object(object),
                Err(status) if status.code() == tonic::Code::NotFound => Outcome::Error(rpc_status(&status)),
                Err(status) => return Err(status),
            };
            let mut result = proto::GetObjectResult::default();
            result.result = Some(outcome);
            response.objects.push(result);
        }
        Ok(Response::new(response))
    }

    async fn get_transaction(
        &self,
        request: Request<proto::GetTransactionRequest>,
    ) -> Result<Response<proto::GetTransactionResponse>, Status> {
        let request = request.into_inner();
        let mask = mask::<proto::ExecutedTransaction>(request.read_mask, "digest")?;
        let digest = digest(request.digest.as_deref())?;
        let stored = self
            .chain
            .snapshot()?
            .transaction(&digest)?
            .ok_or_else(|| Status::not_found(format!("Transaction {digest} not found")))?;
        let mut response = proto::GetTransactionResponse::default();
        response.transaction = Some(proto::ExecutedTransaction::merge_from(&executed(&stored), &mask));
        Ok(Response::new(response))
    }

    async fn batch_get_transactions(
        &self,
        request: Request<proto::BatchGetTransactionsRequest>,
    ) -> Result<Response<proto::BatchGetTransactionsResponse>, Status> {
        use proto::get_transaction_result::Result as Outcome;
        let request = request.into_inner();
        if request.digests.len() > MAX_BATCH {
            return Err(Status::invalid_argument(format!("more than {MAX_BATCH} transactions in one request")));
        }
        let mask = mask::<proto::ExecutedTransaction>(request.read_mask, "digest")?;
        let snapshot = self.chain.snapshot()?;
        let mut response = proto::BatchGetTransactionsResponse::default();
        for wanted in &request.digests {
            let digest = digest(Some(wanted))?;
            let outcome = match snapshot.transaction(&digest)? {
                Some(stored) => Outcome::Transaction(proto::ExecutedTransaction::merge_from(&executed(&stored), &mask)),
                None => Outcome::Error(rpc_status(&Status::not_found(format!("Transaction {digest} not found")))),
            };
            let mut result = proto::GetTransactionResult::default();
            result.result = Some(outcome);
            response.transactions.push(result);
        }
        Ok(Response::new(response))
    }

    async fn get_checkpoint(
        &self,
        request: Request<proto::GetCheckpointRequest>,
    ) -> Result<Response<proto::GetCheckpointResponse>, Status> {
        use proto::get_checkpoint_request::CheckpointId;
        let request = request.into_inner();
        let mask = mask::<proto::Checkpoint>(request.read_mask, "sequence_number,digest")?;
        let snapshot = self.chain.snapshot()?;
        let stored = match request.checkpoint_id {
            None => snapshot.last_checkpoint()?,
            Some(CheckpointId::SequenceNumber(sequence)) => snapshot.checkpoint(sequence)?,
            Some(CheckpointId::Digest(wanted)) => snapshot.checkpoint_by_digest(&digest(Some(&wanted))?)?,
            Some(_) => return Err(Status::invalid_argument("unknown kind of checkpoint id")),
        };
        let stored = stored.ok_or_else(|| Status::not_found("Checkpoint not found"))?;
        let mut response = proto::GetCheckpointResponse::default();
        response.checkpoint = Some(checkpoint(&snapshot, stored, &mask)?);
        Ok(Response::new(response))
    }

    async fn get_epoch(
        &self,
        request: Request<proto::GetEpochRequest>,
    ) -> Result<Response<proto::GetEpochResponse>, Status> {
        let request = request.into_inner();
        let mask = mask::<proto::Epoch>(request.read_mask, "epoch")?;
        let rules = self.chain.rules();
        let current = rules.epoch(crate::chain::executor::now_ms());
        let number = request.epoch.unwrap_or(current);
        if number > current {
            return Err(Status::not_found(format!("Epoch {number} not found")));
        }
        let start = rules.ids.genesis_ms.saturating_add(number.saturating_mul(rules.ids.epoch_ms));
        let mut epoch = proto::Epoch::default();
        epoch.epoch = Some(number);
        epoch.start = Some(timestamp(start));
        epoch.end = (number < current).then(|| timestamp(start.saturating_add(rules.ids.epoch_ms)));
        epoch.reference_gas_price = Some(REFERENCE_GAS_PRICE);
        let mut state = proto::SystemState::default();
        state.epoch = Some(number);
        state.reference_gas_price = Some(REFERENCE_GAS_PRICE);
        state.epoch_start_timestamp_ms = Some(start);
        let mut parameters = proto::SystemParameters::default();
        parameters.epoch_duration_ms = Some(rules.ids.epoch_ms);
        state.parameters = Some(parameters);
        epoch.system_state = Some(Box::new(state));
        let mut response = proto::GetEpochResponse::default();
        response.epoch = Some(proto::Epoch::merge_from(&epoch, &mask));
        Ok(Response::new(response))
    }
}

fn rpc_status(status: &Status) -> sui_rpc::proto::google::rpc::Status {
    let mut message = sui_rpc::proto::google::rpc::Status::default();
    message.code = status.code().into();
    message.message = status.message().to_owned();
    message
}
