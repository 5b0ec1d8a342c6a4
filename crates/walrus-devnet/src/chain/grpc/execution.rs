//! `TransactionExecutionService`: execute and simulate.

use sui_rpc::merge::Merge;
use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_rpc::proto::sui::rpc::v2::simulate_transaction_request::TransactionChecks;
use sui_rpc::proto::sui::rpc::v2::transaction_execution_service_server::TransactionExecutionService;
use sui_sdk_types::{Transaction, TransactionEffects, UserSignature};
use tonic::{Request, Response, Status};

use super::ledger::executed;
use super::resolve::{self, WithMockCoin};
use super::{Service, mask};
use crate::chain::execute::{CommandOutput, Executed, Mode, REFERENCE_GAS_PRICE, execute};
use crate::chain::executor::now_ms;
use crate::chain::store::StoredTransaction;

fn outputs(outputs: Vec<CommandOutput>) -> Vec<proto::CommandResult> {
    let value = |argument: Option<sui_sdk_types::Argument>, ty: sui_sdk_types::TypeTag, bytes: Vec<u8>| {
        let mut output = proto::CommandOutput::default();
        output.argument = argument.map(Into::into);
        let mut bcs = proto::Bcs::from(bytes);
        bcs.name = Some(ty.to_string());
        output.value = Some(bcs);
        output
    };
    outputs
        .into_iter()
        .map(|output| {
            let mut result = proto::CommandResult::default();
            result.return_values = output.returned.into_iter().map(|(ty, bytes)| value(None, ty, bytes)).collect();
            result.mutated_by_ref =
                output.mutated.into_iter().map(|(argument, ty, bytes)| value(Some(argument), ty, bytes)).collect();
            result
        })
        .collect()
}

fn simulated(transaction: Transaction, executed_: Executed) -> proto::ExecutedTransaction {
    let stored = StoredTransaction {
        transaction,
        signatures: Vec::new(),
        effects: TransactionEffects::V2(Box::new(executed_.effects)),
        events: executed_.events,
        checkpoint: 0,
        timestamp_ms: 0,
        balance_changes: executed_.balance_changes,
        object_types: executed_.object_types,
    };
    let mut message = executed(&stored);
    message.checkpoint = None;
    message.timestamp = None;
    message.transaction_index = None;
    message
}

#[tonic::async_trait]
impl TransactionExecutionService for Service {
    async fn execute_transaction(
        &self,
        request: Request<proto::ExecuteTransactionRequest>,
    ) -> Result<Response<proto::ExecuteTransactionResponse>, Status> {
        let request = request.into_inner();
        let mask = mask::<proto::ExecutedTransaction>(request.read_mask, "effects.status,checkpoint")?;
        let transaction =
            request.transaction.as_ref().ok_or_else(|| Status::invalid_argument("missing transaction"))?;
        let transaction = Transaction::try_from(transaction)
            .map_err(|error| Status::invalid_argument(format!("invalid transaction: {error}")))?;
        let signatures = request
            .signatures
            .iter()
            .map(UserSignature::try_from)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Status::invalid_argument(format!("Invalid user signature: {error}")))?;
        let stored = self.chain.execute(transaction, signatures).await?;
        let mut response = proto::ExecuteTransactionResponse::default();
        response.transaction = Some(proto::ExecutedTransaction::merge_from(&executed(&stored), &mask));
        Ok(Response::new(response))
    }

    async fn simulate_transaction(
        &self,
        request: Request<proto::SimulateTransactionRequest>,
    ) -> Result<Response<proto::SimulateTransactionResponse>, Status> {
        let mut request = request.into_inner();
        let mask = mask::<proto::SimulateTransactionResponse>(request.read_mask.take(), "*")?;
        let message = request.transaction.as_ref().ok_or_else(|| Status::invalid_argument("missing transaction"))?;
        let unchecked = request.checks() == TransactionChecks::Disabled;
        let snapshot = self.chain.snapshot()?;
        let rules = self.chain.rules();
        let mut transaction = resolve::resolve(message, &snapshot, &rules.packages)?;
        let now = now_ms();
        let executed_ = if unchecked {
            execute(&rules.context(&snapshot, now), &transaction, Mode::Unchecked)?
        } else {
            if request.do_gas_selection() {
                resolve::select_gas(&mut transaction, &snapshot, rules, now)?;
            }
            if transaction.gas_payment.objects.is_empty() {
                let (source, paid) = WithMockCoin::new(&snapshot, &transaction);
                execute(&rules.context(&source, now), &paid, Mode::User)?
            } else {
                execute(&rules.context(&snapshot, now), &transaction, Mode::User)?
            }
        };
        let mut executed_ = executed_;
        let mut response = proto::SimulateTransactionResponse::default();
        if mask.contains("command_outputs") {
            response.command_outputs = outputs(std::mem::take(&mut executed_.outputs));
        }
        if let Some(submask) = mask.subtree("transaction") {
            let message = simulated(transaction, executed_);
            response.transaction = Some(proto::ExecutedTransaction::merge_from(&message, &submask));
        }
        if mask.contains("suggested_gas_price") {
            response.suggested_gas_price = Some(REFERENCE_GAS_PRICE);
        }
        Ok(Response::new(response))
    }
}
