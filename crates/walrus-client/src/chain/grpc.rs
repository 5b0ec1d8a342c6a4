//! The chain over gRPC (`sui.rpc.v2`), with failover between servers.
//!
//! Mechanism: a call goes to the server that answered last; errors that mean "not now" are retried with jittered
//! backoff, on the next server, until the time for a call is over. Errors that are answers (not found, refused) are
//! returned at once.
//!
//! Must never: rebuild or change a transaction. Bytes are sent as given.

use super::{
    BalanceChange, ChainTransport, ChangedObject, Effects, Failure, GasCost, GasInfo, ObjectInfo, Owner, SendOutcome,
    TypeOrigin,
};
use crate::error::{ClientError, ClientResult, MoveAbort};
use crate::retry::{Backoff, RetryPolicy};
use crate::wire::chain::ObjectId;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use sui_rpc::Client;
use sui_rpc::field::{FieldMask, FieldMaskUtil};
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_sdk_types::{Address, Digest, StructTag, Transaction};
use tonic::{Code, Status};

const OBJECT_MASK: [&str; 7] =
    ["object_id", "version", "digest", "owner", "object_type", "contents", "previous_transaction"];
const EFFECTS_MASK: [&str; 3] = ["digest", "effects", "balance_changes"];
/// Objects in one `BatchGetObjects`, as the official clients send.
const BATCH: usize = 50;
const PAGE_SIZE: u32 = 500;
/// No list of owned objects is followed further than this many pages.
const MAX_PAGES: usize = 200;
const MAX_MESSAGE: usize = 32 << 20;

/// gRPC servers of one chain.
pub struct GrpcTransport {
    servers: Vec<Server>,
    preferred: AtomicUsize,
    policy: RetryPolicy,
}

struct Server {
    url: String,
    client: Client,
}

impl GrpcTransport {
    /// Connects lazily to each of `urls`. Must be called inside a tokio runtime.
    pub fn new(urls: &[String], policy: RetryPolicy) -> ClientResult<Self> {
        let mut servers = Vec::new();
        for url in urls {
            let client = Client::new(url.as_str())
                .map_err(|status| ClientError::Invalid(format!("{url} is no usable server: {}", status.message())))?
                .with_max_decoding_message_size(MAX_MESSAGE)
                .with_response_headers_timeout(policy.attempt_timeout);
            servers.push(Server { url: url.clone(), client });
        }
        if servers.is_empty() {
            return Err(ClientError::Invalid("no gRPC server is configured".to_owned()));
        }
        Ok(Self { servers, preferred: AtomicUsize::new(0), policy })
    }

    /// Runs `call` on one server after another until it succeeds, fails for good, or time is up.
    async fn call<T, F, Fut>(&self, what: &str, call: F) -> ClientResult<T>
    where
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        let mut backoff = Backoff::new(&self.policy);
        loop {
            let index = self.preferred.load(Ordering::Relaxed) % self.servers.len();
            let server = &self.servers[index];
            let result = match tokio::time::timeout(self.policy.attempt_timeout, call(server.client.clone())).await {
                Ok(result) => result,
                Err(_) => Err(Status::deadline_exceeded("no answer in time")),
            };
            let status = match result {
                Ok(value) => return Ok(value),
                Err(status) if is_transient(&status) => status,
                Err(status) if status.code() == Code::NotFound => {
                    return Err(ClientError::NotFound { what: what.to_owned() });
                }
                Err(status) => {
                    return Err(ClientError::bad(
                        what,
                        format!("{} answered {:?}: {}", server.url, status.code(), status.message()),
                    ));
                }
            };
            tracing::debug!(server = %server.url, what, code = ?status.code(), "chain call failed, trying again");
            self.preferred.store(index.wrapping_add(1), Ordering::Relaxed);
            if !backoff.wait().await {
                let reason = format!("{}: {:?}: {}", server.url, status.code(), status.message());
                return Err(ClientError::unreachable(what, reason));
            }
        }
    }
}

fn is_transient(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Unknown
            | Code::Cancelled
            | Code::Internal
    )
}

fn mask(paths: &[&str]) -> FieldMask {
    FieldMask::from_paths(paths)
}

fn object_request(id: &ObjectId) -> proto::GetObjectRequest {
    proto::GetObjectRequest::default().with_object_id(id.to_string())
}

impl ChainTransport for GrpcTransport {
    fn objects<'a>(&'a self, ids: &'a [ObjectId]) -> BoxFuture<'a, ClientResult<Vec<Option<ObjectInfo>>>> {
        async move {
            let mut found = Vec::with_capacity(ids.len());
            for batch in ids.chunks(BATCH) {
                let request = proto::BatchGetObjectsRequest::default()
                    .with_requests(batch.iter().map(object_request).collect())
                    .with_read_mask(mask(&OBJECT_MASK));
                let what = "objects of the chain";
                let answer = self
                    .call(what, |mut client| {
                        let request = request.clone();
                        async move { client.ledger_client().batch_get_objects(request).await }
                    })
                    .await?
                    .into_inner();
                if answer.objects.len() != batch.len() {
                    return Err(ClientError::bad(what, "another number of objects than was asked for"));
                }
                for (id, result) in batch.iter().zip(answer.objects) {
                    found.push(object_result(id, result)?);
                }
            }
            Ok(found)
        }
        .boxed()
    }

    fn object_everywhere<'a>(&'a self, id: &'a ObjectId) -> BoxFuture<'a, Vec<ClientResult<Option<ObjectInfo>>>> {
        async move {
            let request = object_request(id).with_read_mask(mask(&OBJECT_MASK));
            join_all(self.servers.iter().map(|server| {
                let request = request.clone();
                let mut client = server.client.clone();
                async move {
                    let asked = async { client.ledger_client().get_object(request).await };
                    match tokio::time::timeout(self.policy.attempt_timeout, asked).await {
                        Ok(Ok(answer)) => answer.into_inner().object.map(|o| object(id, o)).transpose(),
                        Ok(Err(status)) if status.code() == Code::NotFound => Ok(None),
                        Ok(Err(status)) => Err(ClientError::unreachable(&server.url, status.message())),
                        Err(_) => Err(ClientError::unreachable(&server.url, "no answer in time")),
                    }
                }
            }))
            .await
        }
        .boxed()
    }

    fn owned_objects<'a>(
        &'a self,
        owner: &'a Address,
        object_type: &'a StructTag,
    ) -> BoxFuture<'a, ClientResult<Vec<ObjectInfo>>> {
        async move {
            let what = "objects of the wallet";
            let mut found = Vec::new();
            let mut token: Option<Bytes> = None;
            for _ in 0..MAX_PAGES {
                let mut request = proto::ListOwnedObjectsRequest::default()
                    .with_owner(owner.to_string())
                    .with_object_type(object_type.to_string())
                    .with_page_size(PAGE_SIZE)
                    .with_read_mask(mask(&OBJECT_MASK));
                request.page_token = token.take();
                let answer = self
                    .call(what, |mut client| {
                        let request = request.clone();
                        async move { client.state_client().list_owned_objects(request).await }
                    })
                    .await?
                    .into_inner();
                for item in answer.objects {
                    let id = parse_id(what, item.object_id.as_deref())?;
                    found.push(object(&id, item)?);
                }
                token = answer.next_page_token.filter(|token| !token.is_empty());
                if token.is_none() {
                    return Ok(found);
                }
            }
            Err(ClientError::bad(what, "the list does not end"))
        }
        .boxed()
    }

    fn fields<'a>(&'a self, parent: &'a ObjectId) -> BoxFuture<'a, ClientResult<Vec<ObjectId>>> {
        async move {
            let what = "fields of an object";
            let mut found = Vec::new();
            let mut token: Option<Bytes> = None;
            for _ in 0..MAX_PAGES {
                let mut request = proto::ListDynamicFieldsRequest::default()
                    .with_parent(parent.to_string())
                    .with_page_size(PAGE_SIZE)
                    .with_read_mask(mask(&["field_id"]));
                request.page_token = token.take();
                let answer = self
                    .call(what, |mut client| {
                        let request = request.clone();
                        async move { client.state_client().list_dynamic_fields(request).await }
                    })
                    .await?
                    .into_inner();
                for field in answer.dynamic_fields {
                    found.push(parse_id(what, field.field_id.as_deref())?);
                }
                token = answer.next_page_token.filter(|token| !token.is_empty());
                if token.is_none() {
                    return Ok(found);
                }
            }
            Err(ClientError::bad(what, "the list does not end"))
        }
        .boxed()
    }

    fn gas_info(&self) -> BoxFuture<'_, ClientResult<GasInfo>> {
        async move {
            let what = "epoch and gas price of the chain";
            let request = proto::GetEpochRequest::default().with_read_mask(mask(&["epoch", "reference_gas_price"]));
            let answer = self
                .call(what, |mut client| {
                    let request = request.clone();
                    async move { client.ledger_client().get_epoch(request).await }
                })
                .await?
                .into_inner();
            let epoch = answer.epoch.ok_or_else(|| ClientError::bad(what, "no epoch"))?;
            let (Some(number), Some(price)) = (epoch.epoch, epoch.reference_gas_price) else {
                return Err(ClientError::bad(what, "number or price are missing"));
            };
            Ok(GasInfo { epoch: number, reference_price: price })
        }
        .boxed()
    }

    fn type_origins<'a>(&'a self, package: &'a ObjectId) -> BoxFuture<'a, ClientResult<Vec<TypeOrigin>>> {
        async move {
            let what = format!("package {package}");
            let request = proto::GetPackageRequest::default().with_package_id(package.to_string());
            let answer = self
                .call(&what, |mut client| {
                    let request = request.clone();
                    async move { client.package_client().get_package(request).await }
                })
                .await?
                .into_inner();
            let package = answer.package.ok_or_else(|| ClientError::NotFound { what: what.clone() })?;
            package
                .type_origins
                .into_iter()
                .map(|origin| {
                    Ok(TypeOrigin {
                        module: origin.module_name.unwrap_or_default(),
                        name: origin.datatype_name.unwrap_or_default(),
                        package: parse_id(&what, origin.package_id.as_deref())?,
                    })
                })
                .collect()
        }
        .boxed()
    }

    fn parameter_type_argument<'a>(
        &'a self,
        package: &'a ObjectId,
        module: &'a str,
        function: &'a str,
        index: usize,
    ) -> BoxFuture<'a, ClientResult<String>> {
        async move {
            let what = format!("function {package}::{module}::{function}");
            let request = proto::GetFunctionRequest::default()
                .with_package_id(package.to_string())
                .with_module_name(module)
                .with_name(function);
            let answer = self
                .call(&what, |mut client| {
                    let request = request.clone();
                    async move { client.package_client().get_function(request).await }
                })
                .await?
                .into_inner();
            answer
                .function
                .as_ref()
                .and_then(|function| function.parameters.get(index))
                .and_then(|parameter| parameter.body.as_ref())
                .and_then(|body| body.type_parameter_instantiation.first())
                .and_then(|argument| argument.type_name.clone())
                .ok_or_else(|| ClientError::bad(what, format!("parameter {index} has no type argument")))
        }
        .boxed()
    }

    fn simulate<'a>(&'a self, transaction: &'a Transaction) -> BoxFuture<'a, ClientResult<Effects>> {
        async move {
            let what = "simulation of a transaction";
            let request = proto::SimulateTransactionRequest::default()
                .with_transaction(proto::Transaction::from(transaction.clone()))
                .with_do_gas_selection(false)
                .with_read_mask(mask(&["transaction.effects"]));
            let answer = self
                .call(what, |mut client| {
                    let request = request.clone();
                    async move { client.execution_client().simulate_transaction(request).await }
                })
                .await?
                .into_inner();
            let executed = answer.transaction.ok_or_else(|| ClientError::bad(what, "no transaction"))?;
            effects(what, transaction.digest(), executed)
        }
        .boxed()
    }

    fn execute<'a>(&'a self, transaction: &'a [u8], signature: &'a [u8]) -> BoxFuture<'a, SendOutcome> {
        async move {
            let Ok(decoded) = bcs::from_bytes::<Transaction>(transaction) else {
                return SendOutcome::Refused("the bytes are no transaction".to_owned());
            };
            let digest = decoded.digest();
            let request = proto::ExecuteTransactionRequest::default()
                .with_transaction(proto::Transaction::default().with_bcs(named("TransactionData", transaction)))
                .with_signatures(vec![proto::UserSignature::default().with_bcs(named("UserSignatureBytes", signature))])
                .with_read_mask(mask(&EFFECTS_MASK));
            let index = self.preferred.load(Ordering::Relaxed) % self.servers.len();
            let server = &self.servers[index];
            let mut client = server.client.clone();
            let sent = async { client.execution_client().execute_transaction(request).await };
            let status = match tokio::time::timeout(self.policy.execute_timeout, sent).await {
                Ok(Ok(answer)) => {
                    let executed = answer.into_inner().transaction.unwrap_or_default();
                    return match effects("execution", digest, executed) {
                        Ok(effects) => SendOutcome::Final(effects),
                        Err(error) => SendOutcome::Unknown(error.to_string()),
                    };
                }
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer in time"),
            };
            self.preferred.store(index.wrapping_add(1), Ordering::Relaxed);
            let reason = format!("{}: {:?}: {}", server.url, status.code(), status.message());
            if is_transient(&status) { SendOutcome::Unknown(reason) } else { SendOutcome::Refused(reason) }
        }
        .boxed()
    }

    fn effects<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, ClientResult<Option<Effects>>> {
        async move {
            let what = format!("transaction {digest}");
            let request = proto::GetTransactionRequest::default()
                .with_digest(digest.to_string())
                .with_read_mask(mask(&EFFECTS_MASK));
            let answer = self
                .call(&what, |mut client| {
                    let request = request.clone();
                    async move { client.ledger_client().get_transaction(request).await }
                })
                .await;
            match answer {
                Ok(answer) => {
                    let executed = answer.into_inner().transaction;
                    executed.map(|executed| effects(&what, *digest, executed)).transpose()
                }
                Err(ClientError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }
}

fn named(name: &str, value: &[u8]) -> proto::Bcs {
    proto::Bcs::default().with_name(name).with_value(Bytes::copy_from_slice(value))
}

fn parse_id(what: &str, text: Option<&str>) -> ClientResult<ObjectId> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| ClientError::bad(what, format!("{text:?} is no object id")))
}

fn parse_digest(what: &str, text: Option<&str>) -> ClientResult<Digest> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| ClientError::bad(what, format!("{text:?} is no digest")))
}

fn object_result(id: &ObjectId, result: proto::GetObjectResult) -> ClientResult<Option<ObjectInfo>> {
    match result.result {
        Some(proto::get_object_result::Result::Object(found)) => object(id, found).map(Some),
        Some(proto::get_object_result::Result::Error(status)) if status.code == Code::NotFound as i32 => Ok(None),
        Some(proto::get_object_result::Result::Error(status)) => {
            Err(ClientError::bad(format!("object {id}"), status.message))
        }
        _ => Err(ClientError::bad(format!("object {id}"), "neither object nor error")),
    }
}

fn object(id: &ObjectId, found: proto::Object) -> ClientResult<ObjectInfo> {
    let what = format!("object {id}");
    if parse_id(&what, found.object_id.as_deref())? != *id {
        return Err(ClientError::bad(what, "another object than was asked for"));
    }
    let object_type = match found.object_type.as_deref() {
        None | Some("package") => None,
        Some(text) => {
            Some(text.parse::<StructTag>().map_err(|_| ClientError::bad(&what, format!("{text:?} is no type")))?)
        }
    };
    let contents = found.contents.and_then(|bcs| bcs.value).unwrap_or_default();
    if object_type.is_some() && contents.get(..32) != Some(id.as_bytes()) {
        return Err(ClientError::bad(what, "its contents do not begin with its id"));
    }
    Ok(ObjectInfo {
        id: *id,
        version: found.version.ok_or_else(|| ClientError::bad(&what, "no version"))?,
        digest: parse_digest(&what, found.digest.as_deref())?,
        owner: owner(&what, found.owner.as_ref())?,
        object_type,
        contents,
        previous_transaction: found.previous_transaction.as_deref().and_then(|text| text.parse().ok()),
    })
}

fn owner(what: &str, owner: Option<&proto::Owner>) -> ClientResult<Owner> {
    use proto::owner::OwnerKind;
    let owner = owner.ok_or_else(|| ClientError::bad(what, "no owner"))?;
    Ok(match owner.kind() {
        OwnerKind::Address => Owner::Address(parse_id(what, owner.address.as_deref())?),
        OwnerKind::Object => Owner::Object(parse_id(what, owner.address.as_deref())?),
        OwnerKind::Shared => Owner::Shared {
            initial_version: owner.version.ok_or_else(|| ClientError::bad(what, "shared without a version"))?,
        },
        OwnerKind::Immutable => Owner::Immutable,
        _ => Owner::Other,
    })
}

/// Reads effects and refuses those of another transaction.
fn effects(what: &str, digest: Digest, executed: proto::ExecutedTransaction) -> ClientResult<Effects> {
    let found = executed.effects.ok_or_else(|| ClientError::bad(what, "no effects"))?;
    let named = executed.digest.as_deref().or(found.transaction_digest.as_deref());
    if let Some(text) = named
        && parse_digest(what, Some(text))? != digest
    {
        return Err(ClientError::bad(what, format!("the effects are those of {text}, not of {digest}")));
    }
    let status = found.status.ok_or_else(|| ClientError::bad(what, "no status"))?;
    let failure = match status.success {
        Some(true) => None,
        Some(false) => Some(failure(status.error.unwrap_or_default())),
        None => return Err(ClientError::bad(what, "no status")),
    };
    let gas = found.gas_used.unwrap_or_default();
    let changed =
        found.changed_objects.into_iter().map(|item| changed(what, item)).collect::<ClientResult<Vec<_>>>()?;
    Ok(Effects {
        digest,
        failure,
        gas: GasCost {
            computation: gas.computation_cost.unwrap_or(0),
            storage: gas.storage_cost.unwrap_or(0),
            rebate: gas.storage_rebate.unwrap_or(0),
        },
        changed,
        // Nothing is decided by them: what cannot be read is left out.
        balances: executed.balance_changes.iter().filter_map(balance_change).collect(),
    })
}

fn balance_change(change: &proto::BalanceChange) -> Option<BalanceChange> {
    Some(BalanceChange {
        owner: change.address.as_deref()?.parse().ok()?,
        coin: change.coin_type.as_deref()?.parse().ok()?,
        amount: change.amount.as_deref()?.parse().ok()?,
    })
}

fn failure(error: proto::ExecutionError) -> Failure {
    let command = error.command;
    if let Some(proto::execution_error::ErrorDetails::Abort(abort)) = error.error_details {
        let location = abort.location.unwrap_or_default();
        return Failure::Abort(MoveAbort {
            package: location.package.unwrap_or_default(),
            module: location.module.unwrap_or_default(),
            function: location.function_name.unwrap_or_else(|| "?".to_owned()),
            code: abort.abort_code.unwrap_or(0),
            command,
        });
    }
    let kind = error.kind().as_str_name().to_owned();
    let at = command.map(|command| format!(" in command {command}")).unwrap_or_default();
    Failure::Other(match error.description {
        Some(text) if !text.is_empty() => format!("{text}{at}"),
        _ => format!("{kind}{at}"),
    })
}

fn changed(what: &str, item: proto::ChangedObject) -> ClientResult<ChangedObject> {
    use proto::changed_object::{IdOperation, OutputObjectState};
    let output = match (item.output_state(), item.output_version) {
        (OutputObjectState::ObjectWrite, Some(version)) => {
            Some((version, parse_digest(what, item.output_digest.as_deref())?))
        }
        _ => None,
    };
    Ok(ChangedObject {
        id: parse_id(what, item.object_id.as_deref())?,
        created: item.id_operation() == IdOperation::Created,
        owner: item.output_owner.as_ref().map(|found| owner(what, Some(found))).transpose()?,
        object_type: item.object_type.clone(),
        output,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executed(digest: &Digest) -> proto::ExecutedTransaction {
        let status = proto::ExecutionStatus::default().with_success(true);
        proto::ExecutedTransaction::default()
            .with_digest(digest.to_string())
            .with_effects(proto::TransactionEffects::default().with_status(status))
    }

    #[test]
    fn effects_of_another_transaction_are_refused() {
        let (mine, other) = (Digest::new([1; 32]), Digest::new([2; 32]));
        assert!(effects("t", mine, executed(&mine)).unwrap().failure.is_none());
        let error = effects("t", mine, executed(&other)).unwrap_err();
        assert!(matches!(error, ClientError::BadAnswer { .. }), "{error}");
        assert!(effects("t", mine, proto::ExecutedTransaction::default()).is_err());
    }

    #[test]
    fn an_object_that_is_not_the_one_asked_for_is_refused() {
        let id = ObjectId::new([7; 32]);
        let found = |named: ObjectId, contents: Vec<u8>| {
            proto::Object::default()
                .with_object_id(named.to_string())
                .with_version(3)
                .with_digest(Digest::new([1; 32]).to_string())
                .with_owner(proto::Owner::default().with_kind(proto::owner::OwnerKind::Shared).with_version(2))
                .with_object_type("0x2::clock::Clock")
                .with_contents(named_contents(contents))
        };
        fn named_contents(contents: Vec<u8>) -> proto::Bcs {
            proto::Bcs::default().with_value(contents)
        }
        let good = object(&id, found(id, [7; 40].to_vec())).unwrap();
        assert_eq!(good.owner, Owner::Shared { initial_version: 2 });
        assert!(object(&id, found(ObjectId::new([8; 32]), [8; 40].to_vec())).is_err());
        assert!(object(&id, found(id, [8; 40].to_vec())).is_err());
        assert!(object(&id, found(id, vec![7; 5])).is_err());
    }
}
