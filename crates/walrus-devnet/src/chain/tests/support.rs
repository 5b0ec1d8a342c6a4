//! A chain in a temporary directory, wallets, and short ways to write transactions.

use std::sync::atomic::{AtomicU8, Ordering};

use sui_crypto::SuiSigner;
use sui_crypto::ed25519::Ed25519PrivateKey;
use sui_sdk_types::{
    Address, Argument, ChangedObject, Command, ExecutionError, ExecutionStatus, GasPayment, IdOperation, Identifier,
    Input, MakeMoveVector, MergeCoins, MoveCall, Mutability, Object, ObjectOut, ObjectReference, Owner,
    ProgrammableTransaction, SharedInput, SplitCoins, StructTag, Transaction, TransactionEffects, TransactionEffectsV2,
    TransactionExpiration, TransactionKind, TransferObjects, TypeTag,
};
use walrus_client::wire::bls::{BlsPublicKey, BlsSecretKey, BlsSignature};
use walrus_client::wire::chain::{Coin, U256};
use walrus_client::wire::message::{Certificate, Persistence, StorageConfirmation, proof_of_possession_message};

use crate::chain::api::Chain;
use crate::chain::execute::{CLOCK, Refused};
use crate::chain::genesis::{GenesisConfig, GenesisNode};
use crate::chain::store::{ObjectSource, StoredTransaction};

pub(super) const SUI: u64 = 1_000_000_000;
pub(super) const WAL: u64 = 1_000_000_000;

/// The BLS key of node `index`.
pub(super) fn bls_key(index: u8) -> BlsSecretKey {
    BlsSecretKey::from_seed(&[index + 1; 32]).unwrap()
}

/// A network of `weights.len()` nodes.
pub(super) fn config(weights: &[u16]) -> GenesisConfig {
    let node = |(index, weight): (usize, &u16)| {
        let key = bls_key(index as u8);
        let operator = Address::new([index as u8 + 1; 32]);
        let proof = key.sign(&proof_of_possession_message(0, &operator, &key.public_key()));
        GenesisNode {
            name: format!("node-{index}"),
            network_address: format!("127.0.0.1:{}", 9000 + index),
            operator,
            bls_public_key: key.public_key().to_compressed().0,
            proof_of_possession: proof.to_bytes(),
            network_public_key: [2; 33],
            weight: *weight,
            node_capacity: 1 << 40,
        }
    };
    GenesisConfig::new(weights.iter().enumerate().map(node).collect())
}

/// A chain that goes with its directory.
pub(super) struct TestChain {
    pub(super) dir: tempfile::TempDir,
    pub(super) chain: Chain,
    pub(super) config: GenesisConfig,
}

impl TestChain {
    /// An expiration that has passed.
    pub(super) fn long_expired(&self) -> TransactionExpiration {
        TransactionExpiration::ValidDuring {
            min_epoch: None,
            max_epoch: None,
            min_timestamp: None,
            max_timestamp: Some(1),
            chain: self.chain.ids().unwrap().chain_id,
            nonce: 0,
        }
    }

    pub(super) fn new() -> Self {
        Self::with(config(&[3, 3, 2, 2]))
    }

    pub(super) fn with(config: GenesisConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let chain = Chain::open(dir.path(), &config).unwrap();
        Self { dir, chain, config }
    }

    pub(super) fn object(&self, id: Address) -> Option<Object> {
        self.chain.snapshot().unwrap().object(&id).unwrap()
    }

    pub(super) fn contents<T: serde::de::DeserializeOwned>(&self, id: Address) -> T {
        let object = self.object(id).unwrap_or_else(|| panic!("no object {id}"));
        bcs::from_bytes(object.as_struct().unwrap().contents()).unwrap()
    }

    /// A wallet with 1000 SUI and 100 WAL, which are its two coins.
    pub(super) async fn wallet(&self) -> Wallet {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let key = Ed25519PrivateKey::new([NEXT.fetch_add(1, Ordering::Relaxed); 32]);
        let address = key.public_key().derive_address();
        let gas = self.chain.give(address, 1000 * SUI, false).await.unwrap().coin;
        let wal = self.chain.give(address, 100 * WAL, true).await.unwrap().coin;
        Wallet { key, address, gas, wal }
    }

    /// Signs and executes; the transaction's own outcome is inside.
    pub(super) async fn run(&self, wallet: &Wallet, tx: Tx) -> Result<StoredTransaction, Refused> {
        self.send(wallet, self.build(wallet, tx)).await
    }

    pub(super) async fn send(&self, wallet: &Wallet, transaction: Transaction) -> Result<StoredTransaction, Refused> {
        let signature = wallet.key.sign_transaction(&transaction).unwrap();
        self.chain.execute(transaction, vec![signature]).await
    }

    pub(super) fn build(&self, wallet: &Wallet, tx: Tx) -> Transaction {
        let gas = self.reference(wallet.gas);
        Transaction {
            kind: TransactionKind::ProgrammableTransaction(ProgrammableTransaction {
                inputs: tx.inputs,
                commands: tx.commands,
            }),
            sender: wallet.address,
            gas_payment: GasPayment { objects: vec![gas], owner: wallet.address, price: 1000, budget: SUI },
            expiration: TransactionExpiration::None,
        }
    }

    pub(super) fn reference(&self, id: Address) -> ObjectReference {
        let object = self.object(id).unwrap_or_else(|| panic!("no object {id}"));
        ObjectReference::new(id, object.version(), object.digest())
    }

    /// Executes and expects success.
    pub(super) async fn ok(&self, wallet: &Wallet, tx: Tx) -> StoredTransaction {
        let stored = self.run(wallet, tx).await.unwrap();
        assert_eq!(*stored.effects.status(), ExecutionStatus::Success);
        stored
    }

    /// Executes and returns module and code of the abort, or the error's debug form.
    pub(super) async fn fails(&self, wallet: &Wallet, tx: Tx) -> String {
        failure(&self.run(wallet, tx).await.unwrap())
    }

    pub(super) fn balance(&self, coin: Address) -> u64 {
        self.contents::<Coin>(coin).balance
    }
}

/// `module:code` of an abort, otherwise the error.
pub(super) fn failure(stored: &StoredTransaction) -> String {
    match stored.effects.status() {
        ExecutionStatus::Success => "success".into(),
        ExecutionStatus::Failure { error: ExecutionError::MoveAbort { location, code }, .. } => {
            format!("{}:{code}", location.module)
        }
        ExecutionStatus::Failure { error, .. } => format!("{error:?}"),
    }
}

pub(super) fn effects(stored: &StoredTransaction) -> &TransactionEffectsV2 {
    match &stored.effects {
        TransactionEffects::V2(effects) => effects,
        TransactionEffects::V1(_) => panic!("effects V1"),
    }
}

/// The created object whose type has this name and that exists now.
pub(super) fn created(stored: &StoredTransaction, name: &str) -> Address {
    let alive = |change: &&ChangedObject| {
        change.id_operation == IdOperation::Created
            && matches!(change.output_state, ObjectOut::ObjectWrite { .. })
            && stored
                .object_types
                .iter()
                .any(|(id, ty)| *id == change.object_id && ty.parse::<StructTag>().unwrap().name().as_str() == name)
    };
    effects(stored).changed_objects.iter().find(alive).unwrap_or_else(|| panic!("no new {name}")).object_id
}

/// The names of the events, in order.
pub(super) fn events(stored: &StoredTransaction) -> Vec<String> {
    stored.events.iter().map(|event| event.type_.name().to_string()).collect()
}

pub(super) struct Wallet {
    pub(super) key: Ed25519PrivateKey,
    pub(super) address: Address,
    pub(super) gas: Address,
    pub(super) wal: Address,
}

/// A transaction being written.
#[derive(Clone, Default)]
pub(super) struct Tx {
    pub(super) inputs: Vec<Input>,
    pub(super) commands: Vec<Command>,
}

impl Tx {
    pub(super) fn new() -> Self {
        Self::default()
    }

    fn input(&mut self, input: Input) -> Argument {
        if let Some(index) = self.inputs.iter().position(|known| *known == input) {
            return Argument::Input(index as u16);
        }
        self.inputs.push(input);
        Argument::Input(self.inputs.len() as u16 - 1)
    }

    pub(super) fn pure<T: serde::Serialize>(&mut self, value: &T) -> Argument {
        self.inputs.push(Input::Pure(bcs::to_bytes(value).unwrap()));
        Argument::Input(self.inputs.len() as u16 - 1)
    }

    pub(super) fn owned(&mut self, chain: &TestChain, id: Address) -> Argument {
        self.input(Input::ImmutableOrOwned(chain.reference(id)))
    }

    pub(super) fn shared(&mut self, chain: &TestChain, id: Address, mutable: bool) -> Argument {
        let Owner::Shared(initial) = *chain.object(id).unwrap().owner() else { panic!("{id} is not shared") };
        self.input(Input::Shared(SharedInput::new(id, initial, Mutability::from(mutable))))
    }

    pub(super) fn system(&mut self, chain: &TestChain) -> Argument {
        self.shared(chain, chain.chain.ids().unwrap().system_object, true)
    }

    pub(super) fn staking(&mut self, chain: &TestChain) -> Argument {
        self.shared(chain, chain.chain.ids().unwrap().staking_object, true)
    }

    pub(super) fn clock(&mut self, chain: &TestChain) -> Argument {
        self.shared(chain, CLOCK, false)
    }

    fn push(&mut self, command: Command) -> u16 {
        self.commands.push(command);
        self.commands.len() as u16 - 1
    }

    /// A Move call; the result is its command's index.
    pub(super) fn call(&mut self, package: Address, path: &str, targs: &[TypeTag], args: &[Argument]) -> u16 {
        let (module, function) = path.split_once("::").unwrap();
        self.push(Command::MoveCall(MoveCall {
            package,
            module: Identifier::new(module).unwrap(),
            function: Identifier::new(function).unwrap(),
            type_arguments: targs.to_vec(),
            arguments: args.to_vec(),
        }))
    }

    pub(super) fn walrus(&mut self, chain: &TestChain, path: &str, args: &[Argument]) -> Argument {
        let package = chain.chain.ids().unwrap().walrus_package;
        Argument::Result(self.call(package, path, &[], args))
    }

    pub(super) fn framework(&mut self, path: &str, targs: &[TypeTag], args: &[Argument]) -> Argument {
        Argument::Result(self.call(Address::TWO, path, targs, args))
    }

    pub(super) fn split(&mut self, coin: Argument, amounts: &[u64]) -> u16 {
        let amounts = amounts.iter().map(|amount| self.pure(amount)).collect();
        self.push(Command::SplitCoins(SplitCoins { coin, amounts }))
    }

    pub(super) fn merge(&mut self, coin: Argument, coins_to_merge: Vec<Argument>) -> u16 {
        self.push(Command::MergeCoins(MergeCoins { coin, coins_to_merge }))
    }

    pub(super) fn transfer(&mut self, objects: &[Argument], to: Address) -> u16 {
        let address = self.pure(&to);
        self.push(Command::TransferObjects(TransferObjects { objects: objects.to_vec(), address }))
    }

    pub(super) fn vector(&mut self, type_: Option<TypeTag>, elements: Vec<Argument>) -> Argument {
        Argument::Result(self.push(Command::MakeMoveVector(MakeMoveVector { type_, elements })))
    }
}

/// A blob that exists only as numbers.
#[derive(Clone, Copy)]
pub(super) struct FakeBlob {
    pub(super) root: U256,
    pub(super) size: u64,
    pub(super) id: U256,
}

impl FakeBlob {
    pub(super) fn new(seed: u8, size: u64) -> Self {
        let mut hasher = sui_sdk_types::hash::Hasher::new();
        hasher.update([1u8]);
        hasher.update(size.to_le_bytes());
        hasher.update([seed; 32]);
        Self { root: U256([seed; 32]), size, id: U256(hasher.finalize().into_inner()) }
    }
}

/// A certificate by the nodes at these places of the committee.
pub(super) fn certificate(
    chain: &TestChain,
    epoch: u32,
    blob_id: U256,
    persistence: Persistence,
    signers: &[u16],
) -> Certificate {
    let message = StorageConfirmation::new(epoch, blob_id, persistence).to_bytes();
    sign(chain, message, signers)
}

/// Signs bytes with the keys of the nodes at these places.
pub(super) fn sign(chain: &TestChain, message: Vec<u8>, signers: &[u16]) -> Certificate {
    let members = chain.chain.committee().unwrap().members;
    let part = |signer: &u16| -> (u16, BlsSignature) {
        let wanted = members[usize::from(*signer)].bls_public_key;
        let key = (0..20)
            .map(bls_key)
            .find(|key| {
                let public: BlsPublicKey = key.public_key();
                public.to_compressed().0 == wanted
            })
            .unwrap();
        (*signer, key.sign(&message))
    };
    let parts = signers.iter().map(part).collect();
    Certificate::aggregate(message.clone(), members.len(), parts).unwrap()
}
