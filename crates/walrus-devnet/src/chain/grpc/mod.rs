//! `sui.rpc.v2` over the store: native gRPC and gRPC-web on one clear-text port, with the faucet beside it.
//!
//! Mechanism: the generated service traits of `sui-rpc`, one file a service; each call takes a snapshot, builds the full message
//! and cuts it to the caller's field mask. gRPC-web (binary and text) is a layer around the services; every answer carries the
//! headers of a full node.

mod execution;
mod ledger;
mod packages;
mod resolve;
mod state;
mod subscription;

use std::future::Future;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use prost_types::{FieldMask, Timestamp};
use sui_rpc::field::{FieldMaskTree, FieldMaskUtil, MessageFields};
use sui_rpc::proto::sui::rpc::v2::ledger_service_server::LedgerServiceServer;
use sui_rpc::proto::sui::rpc::v2::move_package_service_server::MovePackageServiceServer;
use sui_rpc::proto::sui::rpc::v2::state_service_server::StateServiceServer;
use sui_rpc::proto::sui::rpc::v2::subscription_service_server::SubscriptionServiceServer;
use sui_rpc::proto::sui::rpc::v2::transaction_execution_service_server::TransactionExecutionServiceServer;
use sui_sdk_types::{Address, StructTag, TypeTag};
use tokio::net::TcpListener;
use tonic::Status;
use tonic::service::Routes;
use tonic_web::GrpcWebLayer;

use super::api::{Chain, ChainError};
use super::execute::Refused;
use super::store::StoreError;

/// The name of this chain in answers; real ones are `mainnet` and `testnet`.
const CHAIN_NAME: &str = "localnet";
/// The largest request, bytes: a transaction of 128 KiB in both forms, base64, with room.
const MAX_REQUEST: usize = 4 << 20;

/// The services' state.
#[derive(Clone)]
struct Service {
    chain: Chain,
}

/// Serves until `shutdown`.
pub(crate) async fn serve(
    chain: Chain,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ChainError> {
    let service = Service { chain: chain.clone() };
    let grpc = Routes::new(LedgerServiceServer::new(service.clone()).max_decoding_message_size(MAX_REQUEST))
        .add_service(StateServiceServer::new(service.clone()).max_decoding_message_size(MAX_REQUEST))
        .add_service(MovePackageServiceServer::new(service.clone()).max_decoding_message_size(MAX_REQUEST))
        .add_service(TransactionExecutionServiceServer::new(service.clone()).max_decoding_message_size(MAX_REQUEST))
        .add_service(SubscriptionServiceServer::new(service).max_decoding_message_size(MAX_REQUEST))
        .into_axum_router()
        .layer(GrpcWebLayer::new());
    let router = super::faucet::routes(chain.clone()).merge(grpc).layer(from_fn_with_state(chain.clone(), headers));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let ticking = tokio::spawn(tick(chain, stopped.clone()));
    let mut until = stopped;
    // An answer ends with trailers in a frame of their own, which would wait 40 ms for the other side's delayed acknowledgement.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        let _ = until.wait_for(|stop| *stop).await;
    });
    let mut server = tokio::spawn(server.into_future());
    let result = tokio::select! {
        ended = &mut server => ended,
        () = shutdown => {
            stop.send_replace(true);
            // Subscriptions never end by themselves: open connections get a moment, then they are cut.
            match tokio::time::timeout(Duration::from_secs(1), &mut server).await {
                Ok(ended) => ended,
                Err(_) => {
                    server.abort();
                    Ok(Ok(()))
                }
            }
        }
    };
    stop.send_replace(true);
    let _ = ticking.await;
    match result {
        Ok(served) => Ok(served?),
        Err(error) => Err(ChainError::Serve(std::io::Error::other(error))),
    }
}

/// Lets epochs advance by the clock.
async fn tick(chain: Chain, mut stopped: tokio::sync::watch::Receiver<bool>) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            _ = every.tick() => {}
        }
        if let Err(error) = chain.tick().await {
            tracing::warn!(%error, "the epoch could not be advanced by the clock");
        }
    }
}

/// Adds a full node's headers and what browsers want.
async fn headers(State(chain): State<Chain>, request: Request, next: Next) -> Response {
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let head = *chain.head().borrow();
    let headers = response.headers_mut();
    let chain_id = chain.rules().ids.chain_id.to_string();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set(sui_rpc::headers::X_SUI_CHAIN_ID, &chain_id);
    set(sui_rpc::headers::X_SUI_CHAIN, CHAIN_NAME);
    set(sui_rpc::headers::X_SUI_CHECKPOINT_HEIGHT, &head.checkpoint.to_string());
    set(sui_rpc::headers::X_SUI_LOWEST_AVAILABLE_CHECKPOINT, "0");
    set(sui_rpc::headers::X_SUI_LOWEST_AVAILABLE_CHECKPOINT_OBJECTS, "0");
    set(sui_rpc::headers::X_SUI_EPOCH, &head.epoch.to_string());
    set(sui_rpc::headers::X_SUI_TIMESTAMP_MS, &head.timestamp_ms.to_string());
    set(sui_rpc::headers::X_SUI_TIMESTAMP, &timestamp(head.timestamp_ms).to_string());
    cors(headers);
    response
}

fn cors(headers: &mut HeaderMap) {
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET, OPTIONS"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "content-type, x-grpc-web, x-user-agent, x-sui-client-protocol-version, grpc-timeout, \
             client-sdk-type, client-sdk-version",
        ),
    );
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("grpc-status, grpc-message, grpc-status-details-bin"),
    );
}

fn timestamp(ms: u64) -> Timestamp {
    sui_rpc::proto::timestamp_ms_to_proto(ms)
}

/// A caller's field mask, or the default of the method.
fn mask<M: MessageFields>(mask: Option<FieldMask>, default: &str) -> Result<FieldMaskTree, Status> {
    let mask = mask.unwrap_or_else(|| <FieldMask as FieldMaskUtil>::from_str(default));
    mask.validate::<M>().map_err(|path| Status::invalid_argument(format!("invalid read_mask path: {path}")))?;
    Ok(FieldMaskTree::from(mask))
}

fn address(field: &str, value: Option<&str>) -> Result<Address, Status> {
    value
        .ok_or_else(|| Status::invalid_argument(format!("missing {field}")))?
        .parse()
        .map_err(|error| Status::invalid_argument(format!("invalid {field}: {error}")))
}

fn type_tag(field: &str, value: &str) -> Result<TypeTag, Status> {
    value.parse().map_err(|error| Status::invalid_argument(format!("invalid {field}: {error}")))
}

fn struct_tag(field: &str, value: &str) -> Result<StructTag, Status> {
    match type_tag(field, value)? {
        TypeTag::Struct(tag) => Ok(*tag),
        other => Err(Status::invalid_argument(format!("invalid {field}: {other} is no struct"))),
    }
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "chain store");
        Status::internal("the chain's store failed")
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(reason) => Status::invalid_argument(reason),
            Refused::NotFound(reason) => Status::not_found(reason),
            Refused::Store(error) => error.into(),
        }
    }
}
