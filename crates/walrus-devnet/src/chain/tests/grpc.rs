//! The services over a real socket, driven by the Rust client.

use std::time::Duration;

use sui_crypto::SuiSigner;
use sui_rpc::Client;
use sui_rpc::field::{FieldMask, FieldMaskUtil};
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_sdk_types::{Input, StructTag, Transaction, TransactionKind, TypeTag};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::support::{SUI, TestChain, Tx, WAL, Wallet};
use crate::chain::execute::CLOCK;

struct Served {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn start(chain: &TestChain) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let chain = chain.chain.clone();
        let task = tokio::spawn(async move {
            let shutdown = async move {
                let _ = stopped.await;
            };
            chain.serve(listener, shutdown).await.unwrap();
        });
        Self { url, stop: Some(stop), task }
    }

    fn client(&self) -> Client {
        Client::new(self.url.as_str()).unwrap()
    }

    async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(10), self.task).await.unwrap().unwrap();
    }
}

fn mask(paths: &str) -> FieldMask {
    <FieldMask as FieldMaskUtil>::from_str(paths)
}

/// What the clients send: sender, commands and bare inputs, nothing else.
fn unresolved(wallet: &Wallet, tx: Tx) -> proto::Transaction {
    let mut program = proto::ProgrammableTransaction::default();
    for input in tx.inputs {
        let mut message = proto::Input::default();
        match input {
            Input::Pure(bytes) => message.pure = Some(bytes.into()),
            Input::ImmutableOrOwned(reference) => message.object_id = Some(reference.object_id().to_string()),
            Input::Shared(shared) => message.object_id = Some(shared.object_id().to_string()),
            _ => panic!("unexpected input"),
        }
        program.inputs.push(message);
    }
    program.commands = tx.commands.into_iter().map(Into::into).collect();
    let mut message = proto::Transaction::default();
    message.kind = Some(program.into());
    message.sender = Some(wallet.address.to_string());
    message
}

async fn simulate(
    client: &mut Client,
    message: proto::Transaction,
) -> Result<proto::ExecutedTransaction, tonic::Status> {
    let mut request = proto::SimulateTransactionRequest::default();
    request.transaction = Some(message);
    request.do_gas_selection = Some(true);
    request.read_mask = Some(mask("transaction.transaction,transaction.effects"));
    let response = client.execution_client().simulate_transaction(request).await?;
    Ok(response.into_inner().transaction.unwrap())
}

#[tokio::test]
async fn a_transaction_is_resolved_signed_executed_and_seen() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let served = Served::start(&chain).await;
    let mut client = served.client();

    let mut tx = Tx::new();
    let system = tx.system(&chain);
    let wal = tx.owned(&chain, wallet.wal);
    let (size, epochs) = (tx.pure(&1_000_000u64), tx.pure(&3u32));
    let storage = tx.walrus(&chain, "system::reserve_space", &[system, size, epochs, wal]);
    tx.transfer(&[storage], wallet.address);
    let simulated = simulate(&mut client, unresolved(&wallet, tx)).await.unwrap();
    assert_eq!(simulated.effects.as_ref().unwrap().status.as_ref().unwrap().success, Some(true));
    let resolved = simulated.transaction.unwrap();
    let transaction = Transaction::try_from(&resolved).unwrap();
    assert_eq!(resolved.digest.as_deref(), Some(transaction.digest().to_string().as_str()));
    let TransactionKind::ProgrammableTransaction(program) = &transaction.kind else { panic!("kind") };
    let Input::Shared(system) = &program.inputs[0] else { panic!("System must be shared") };
    assert!(system.mutability().is_mutable());
    assert_eq!(transaction.gas_payment.objects.len(), 1);

    let mut request = proto::ExecuteTransactionRequest::default();
    request.transaction = Some(transaction.clone().into());
    request.signatures = vec![wallet.key.sign_transaction(&transaction).unwrap().into()];
    request.read_mask = Some(mask("*"));
    let executed = client
        .execute_transaction_and_wait_for_checkpoint(request, Duration::from_secs(10))
        .await
        .unwrap()
        .into_inner();
    let executed = executed.transaction.unwrap();
    assert_eq!(executed.effects.as_ref().unwrap().status.as_ref().unwrap().success, Some(true));
    let checkpoint = executed.checkpoint.unwrap();
    assert!(checkpoint > 0);

    // Objects, by owner and by id.
    let ids = chain.chain.ids().unwrap();
    let mut list = proto::ListOwnedObjectsRequest::default();
    list.owner = Some(wallet.address.to_string());
    list.object_type = Some(format!("{}::storage_resource::Storage", ids.walrus_package));
    list.read_mask = Some(mask("object_id,object_type,contents,owner,version,digest"));
    let owned = client.state_client().list_owned_objects(list).await.unwrap().into_inner();
    assert_eq!(owned.objects.len(), 1);
    assert!(owned.next_page_token.is_none());
    let storage_id = owned.objects[0].object_id.clone().unwrap();
    let mut get = proto::BatchGetObjectsRequest::default();
    for id in [storage_id.as_str(), "0x5"] {
        let mut one = proto::GetObjectRequest::default();
        one.object_id = Some(id.into());
        get.requests.push(one);
    }
    get.read_mask = Some(mask("object_id,contents"));
    let batch = client.ledger_client().batch_get_objects(get).await.unwrap().into_inner();
    assert!(matches!(batch.objects[0].result, Some(proto::get_object_result::Result::Object(_))));
    let Some(proto::get_object_result::Result::Error(error)) = &batch.objects[1].result else { panic!("no error") };
    assert_eq!(error.code, 5, "NOT_FOUND is what the TypeScript client looks for");

    let mut balance = proto::GetBalanceRequest::default();
    balance.owner = Some(wallet.address.to_string());
    balance.coin_type = Some(ids.wal_type.to_string());
    let balance = client.state_client().get_balance(balance).await.unwrap().into_inner().balance.unwrap();
    assert_eq!(balance.balance, Some(100 * WAL - 3 * 100_000));
    served.stop().await;
}

#[tokio::test]
async fn an_abort_is_an_answer_and_a_lie_is_an_error() {
    let chain = TestChain::new();
    let wallet = chain.wallet().await;
    let served = Served::start(&chain).await;
    let mut client = served.client();
    let mut tx = Tx::new();
    let system = tx.system(&chain);
    let wal = tx.owned(&chain, wallet.wal);
    let (size, epochs) = (tx.pure(&1_000_000u64), tx.pure(&99u32));
    let storage = tx.walrus(&chain, "system::reserve_space", &[system, size, epochs, wal]);
    tx.transfer(&[storage], wallet.address);
    let simulated = simulate(&mut client, unresolved(&wallet, tx.clone())).await.unwrap();
    let status = simulated.effects.unwrap().status.unwrap();
    assert_eq!(status.success, Some(false));
    let error = status.error.unwrap();
    assert_eq!(error.command, Some(0));
    let Some(proto::execution_error::ErrorDetails::Abort(abort)) = error.error_details else { panic!("no abort") };
    assert_eq!(abort.abort_code, Some(2));
    assert_eq!(abort.location.unwrap().module.as_deref(), Some("system_state_inner"));

    let missing = unresolved(&wallet, {
        let mut tx = tx.clone();
        tx.inputs[0] = Input::Shared(sui_sdk_types::SharedInput::new(sui_sdk_types::Address::THREE, 1, false));
        tx
    });
    assert_eq!(simulate(&mut client, missing).await.unwrap_err().code(), tonic::Code::NotFound);

    // Signed by somebody else.
    let transaction = chain.build(&wallet, tx);
    let stranger = chain.wallet().await;
    let mut request = proto::ExecuteTransactionRequest::default();
    request.transaction = Some(transaction.clone().into());
    request.signatures = vec![stranger.key.sign_transaction(&transaction).unwrap().into()];
    let refused = client.execution_client().execute_transaction(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    assert!(refused.message().contains("signature"), "{refused}");
    let mut bad = proto::GetObjectRequest::default();
    bad.object_id = Some("0x6".into());
    bad.read_mask = Some(mask("no_such_field"));
    assert_eq!(client.ledger_client().get_object(bad).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    served.stop().await;
}

#[tokio::test]
async fn packages_epochs_and_checkpoints_answer() {
    let chain = TestChain::new();
    chain.wallet().await;
    let served = Served::start(&chain).await;
    let mut client = served.client();
    let ids = chain.chain.ids().unwrap();

    let mut function = proto::GetFunctionRequest::default();
    function.package_id = Some(ids.walrus_package.to_string());
    function.module_name = Some("system".into());
    function.name = Some("certify_blob".into());
    let function = client.package_client().get_function(function).await.unwrap().into_inner().function.unwrap();
    let references: Vec<_> = function.parameters.iter().map(|p| p.reference).collect();
    assert_eq!(references, [Some(1), Some(2), None, None, None], "&System, &mut Blob, three vectors");

    let mut package = proto::GetPackageRequest::default();
    package.package_id = Some(ids.walrus_package.to_string());
    let package = client.package_client().get_package(package).await.unwrap().into_inner().package.unwrap();
    assert!(package.type_origins.iter().any(|origin| origin.datatype_name.as_deref() == Some("StoragePool")));

    let mut datatype = proto::GetDatatypeRequest::default();
    datatype.package_id = Some(ids.walrus_package.to_string());
    datatype.module_name = Some("staked_wal".into());
    datatype.name = Some("StakedWal".into());
    let datatype = client.package_client().get_datatype(datatype).await.unwrap().into_inner().datatype.unwrap();
    let principal = datatype.fields.iter().find(|field| field.name.as_deref() == Some("principal")).unwrap();
    let inner = &principal.r#type.as_ref().unwrap().type_parameter_instantiation[0];
    assert_eq!(inner.type_name.as_deref(), Some(ids.wal_type.to_string().as_str()));

    assert_eq!(client.get_reference_gas_price().await.unwrap(), 1000);
    let info = client.ledger_client().get_service_info(proto::GetServiceInfoRequest::default()).await.unwrap();
    assert_eq!(info.metadata().get("x-sui-chain-id").unwrap(), ids.chain_id.to_string().as_str());
    let height = info.into_inner().checkpoint_height.unwrap();
    assert_eq!(height, 2, "genesis is 0, then two gifts");
    let mut fields = proto::ListDynamicFieldsRequest::default();
    fields.parent = Some(ids.system_object.to_string());
    fields.read_mask = Some(mask("*"));
    let fields = client.state_client().list_dynamic_fields(fields).await.unwrap().into_inner();
    assert_eq!(fields.dynamic_fields.len(), 1);
    let name = fields.dynamic_fields[0].name.as_ref().unwrap().value.as_ref().unwrap();
    assert_eq!(name.as_ref(), 3u64.to_le_bytes());
    let mut stream = client
        .subscription_client()
        .subscribe_checkpoints(proto::SubscribeCheckpointsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().cursor, Some(height));
    chain.wallet().await;
    for next in [height + 1, height + 2, height + 3] {
        // The third one is a heartbeat: nothing else happens.
        let message = tokio::time::timeout(Duration::from_secs(9), stream.message()).await.unwrap();
        assert_eq!(message.unwrap().unwrap().cursor, Some(next));
    }
    drop(stream);
    served.stop().await;
}

/// gRPC-web in its text form over HTTP/1.1, byte by byte as browsers and the TypeScript client send it.
#[tokio::test]
async fn grpc_web_text_and_the_faucet_answer_on_the_same_port() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use prost::Message;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let chain = TestChain::new();
    let served = Served::start(&chain).await;
    let host = served.url.trim_start_matches("http://").to_owned();
    let post = async |path: &str, kind: &str, body: &str| {
        let mut stream = tokio::net::TcpStream::connect(&host).await.unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {kind}\r\naccept: {kind}\r\nx-grpc-web: 1\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let mut get = proto::GetObjectRequest::default();
    get.object_id = Some(CLOCK.to_string());
    let message = get.encode_to_vec();
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&message);
    let path = "/sui.rpc.v2.LedgerService/GetObject";
    let answer = post(path, "application/grpc-web-text", &STANDARD.encode(&frame)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: *"), "{answer}");
    assert!(answer.contains("application/grpc-web-text"), "{answer}");

    let recipient = "0x00000000000000000000000000000000000000000000000000000000000000aa";
    let body = format!("{{\"FixedAmountRequest\":{{\"recipient\":\"{recipient}\"}}}}");
    let answer = post("/v2/gas", "application/json", &body).await;
    assert!(answer.starts_with("HTTP/1.1 201") && answer.contains("\"Success\""), "{answer}");
    let mut client = served.client();
    let mut balance = proto::GetBalanceRequest::default();
    balance.owner = Some("0xaa".into());
    balance.coin_type = Some(TypeTag::from(StructTag::sui()).to_string());
    let balance = client.state_client().get_balance(balance).await.unwrap().into_inner().balance.unwrap();
    assert_eq!(balance.balance, Some(1000 * SUI));
    let answer = post("/v2/gas", "application/json", "{\"FixedAmountRequest\":{\"recipient\":\"x\"}}").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    served.stop().await;
}
