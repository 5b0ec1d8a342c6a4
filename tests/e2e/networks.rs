//! Keys and networks from the files of Sui's and Walrus's own command lines; the transaction that publishes the Drive package.

use crate::harness::{Machine, noise};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use sui_sdk_types::{Argument, Command, Transaction, TransactionKind};
use walrus_client::wallet::Wallet;

/// A file that only its owner reads, as Sui writes a keystore.
fn private(machine: &Machine, name: &str, text: &str) -> PathBuf {
    let path = machine.path(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn settings_of_sui_and_walrus_are_enough_to_store_and_read() {
    let machine = Machine::with_network(&["--nodes", "4", "--shards", "7"]);
    let status = machine.json(&["devnet", "status", "--json"]);
    let key = |seed: u8| STANDARD.encode([&[0][..], &[seed; 32]].concat());
    let (first, second) = (Wallet::from_seed(&[1; 32]).address(), Wallet::from_seed(&[2; 32]).address());
    let keystore = private(&machine, "sui.keystore", &serde_json::to_string(&[key(1), key(2)]).unwrap());
    let sui = format!(
        "---\nkeystore:\n  File: {}\nenvs:\n  - alias: here\n    rpc: \"{}\"\n    ws: ~\nactive_env: here\nactive_address: \"{second}\"\n",
        keystore.display(),
        status["rpc_url"].as_str().unwrap()
    );
    let sui = private(&machine, "client.yaml", &sui);
    let walrus = format!(
        "contexts:\n  other:\n    system_object: 0x{ones}\n    staking_object: 0x{twos}\n    rpc_urls:\n      - http://127.0.0.1:1\n  \
         here:\n    system_object: {}\n    staking_object: {}\n    exchange_objects:\n      - {}\n    wallet_config:\n      path: {}\n      \
         active_env: here\ndefault_context: other\n",
        status["system_object"].as_str().unwrap(),
        status["staking_object"].as_str().unwrap(),
        status["exchange_object"].as_str().unwrap(),
        sui.display(),
        ones = "1".repeat(64),
        twos = "2".repeat(64),
    );
    let walrus = private(&machine, "client_config.yaml", &walrus).to_str().unwrap().to_owned();

    // The key of the address in use, unless another one is named; never over a wallet that is there.
    let wrong =
        machine.run(&["wallet", "import", sui.to_str().unwrap(), "--address", &format!("0x{}", "7".repeat(64))]);
    assert!(stderr(&wrong).contains(&first.to_string()), "{}", stderr(&wrong));
    assert_eq!(machine.ok(&["wallet", "import", sui.to_str().unwrap()]).trim(), second.to_string());
    assert_eq!(machine.ok(&["wallet", "address"]).trim(), second.to_string());
    let again = machine.run(&["wallet", "import", keystore.to_str().unwrap(), "--address", &first.to_string()]);
    assert!(!again.status.success() && stderr(&again).contains("there is a wallet"), "{}", stderr(&again));
    let wallet = machine.home().join("keys/wallet.key");
    assert_eq!(fs::metadata(&wallet).unwrap().permissions().mode() & 0o777, 0o600);

    // A network by its context, without a Drive package: plain blobs work, drives say what is missing.
    machine.ok(&["wallet", "fund"]);
    let (file, bytes) = (machine.path("file"), noise(1, 30_000));
    fs::write(&file, &bytes).unwrap();
    let here = format!("{walrus}#here");
    let id = machine.ok(&["blob", "put", file.to_str().unwrap(), "--yes", "--network", &here]);
    let copy = machine.path("copy");
    machine.ok(&["blob", "get", id.trim(), "-o", copy.to_str().unwrap(), "--network", &here]);
    assert_eq!(fs::read(&copy).unwrap(), bytes);
    let drives = machine.run(&["drive", "list", "--network", &here]);
    assert!(stderr(&drives).contains("contract publish"), "{}", stderr(&drives));
    let nowhere = machine.run(&["wallet", "balance", "--network", &format!("{walrus}#moon")]);
    assert!(stderr(&nowhere).contains("here, other"), "{}", stderr(&nowhere));

    // The same network under a name of one's own.
    let own = machine.home().join("config/networks");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("mine.toml"), machine.ok(&["devnet", "status", "--network-file"])).unwrap();
    let balance = machine.json(&["wallet", "balance", "--network", "mine", "--json"]);
    assert_eq!(balance["address"], second.to_string());
}

#[test]
fn the_drive_package_is_published_by_a_transaction_that_can_be_looked_at() {
    let machine = Machine::with_network(&["--nodes", "4", "--shards", "7"]);
    let address = machine.ok(&["wallet", "address"]);
    let known = machine.run(&["contract", "publish"]);
    assert!(!known.status.success() && stderr(&known).contains("has the package"), "{}", stderr(&known));

    let text = machine.ok(&["contract", "publish", "--unsigned"]);
    let built: Transaction = bcs::from_bytes(&STANDARD.decode(text.trim()).unwrap()).unwrap();
    assert_eq!(built.sender.to_string(), address.trim());
    assert_eq!((built.gas_payment.owner, built.gas_payment.budget), (built.sender, 500_000_000));
    assert!(!built.gas_payment.objects.is_empty());
    let TransactionKind::ProgrammableTransaction(program) = &built.kind else { panic!("{built:?}") };
    let [Command::Publish(publish), Command::TransferObjects(transfer)] = program.commands.as_slice() else {
        panic!("{:?}", program.commands)
    };
    let shipped: Value = serde_json::from_str(include_str!("../../contracts/bytecode.json")).unwrap();
    let modules: Vec<Value> = publish.modules.iter().map(|module| STANDARD.encode(module).into()).collect();
    assert_eq!(Value::from(modules), shipped["modules"]);
    let dependencies: Vec<Value> = publish.dependencies.iter().map(|id| id.to_string().into()).collect();
    assert_eq!(Value::from(dependencies), shipped["dependencies"]);
    // What allows upgrades goes to the wallet, and nothing else happens.
    assert_eq!(transfer.objects, [Argument::Result(0)]);
    let [sui_sdk_types::Input::Pure(to)] = program.inputs.as_slice() else { panic!("{:?}", program.inputs) };
    assert_eq!(to, built.sender.as_bytes());

    // The local network runs no bytecode: it says so before anything is signed or paid.
    let before = machine.json(&["wallet", "balance", "--json"]);
    let refused = machine.run(&["contract", "publish", "--again", "--yes"]);
    assert!(!refused.status.success() && stderr(&refused).contains("cannot be published"), "{}", stderr(&refused));
    assert_eq!(machine.json(&["wallet", "balance", "--json"]), before);
}
