//! Runs `contracts/scenarios.json`, the table that also drives the Move tests, against the rules of this module.

use super::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const TABLE: &str = include_str!("../../../../contracts/scenarios.json");
const MOVE_FUNCTIONS: &str = include_str!("../../../../contracts/functions.json");

fn table() -> Value {
    serde_json::from_str(TABLE).unwrap()
}

/// `16*0a` is sixteen bytes 0x0a, the empty string none.
fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    match text.split_once('*') {
        None => {
            assert_eq!(text, "");
            Vec::new()
        }
        Some((count, byte)) => vec![u8::from_str_radix(byte, 16).unwrap(); count.parse().unwrap()],
    }
}

/// A number, or a number as a string when it is above what every JSON reader keeps exact.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok())).unwrap()
}

fn number32(value: &Value) -> u32 {
    u32::try_from(number(value)).unwrap()
}

fn list<T>(value: &Value, each: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(each).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn root_of(value: &Value) -> RootRef {
    RootRef {
        blob_id: bytes(&value["blob_id"]).try_into().unwrap(),
        offset: number(&value["offset"]),
        length: number32(&value["length"]),
        salt: bytes(&value["salt"]),
        key_epoch: number32(&value["key_epoch"]),
    }
}

fn slot_of(value: &Value) -> KeySlot {
    KeySlot {
        kind: u8::try_from(number(&value["kind"])).unwrap(),
        index: number32(&value["index"]),
        key_epoch: number32(&value["key_epoch"]),
        body: bytes(&value["body"]),
    }
}

fn lease_of(value: &Value) -> Lease {
    Lease { holder: bytes(&value["holder"]), expires_at_ms: number(&value["expires_at_ms"]) }
}

fn option<T>(value: &Value, each: impl Fn(&Value) -> T) -> Option<T> {
    if value.is_null() { None } else { Some(each(value)) }
}

/// Applies what a row's `then` says about a Drive to what was expected of it before.
fn expect(drive: &mut Drive, changes: &Value) {
    for (field, value) in changes.as_object().unwrap() {
        match field.as_str() {
            "format" => drive.format = u16::try_from(number(value)).unwrap(),
            "uid" => drive.uid = bytes(value),
            "sequence" => drive.sequence = number(value),
            "root" => drive.root = option(value, root_of),
            "log" => drive.log = list(value, bytes),
            "seal" => drive.seal = bytes(value),
            "keys" => drive.keys = list(value, slot_of),
            "keyring" => drive.keyring = bytes(value),
            "writer" => drive.writer = option(value, lease_of),
            "label" => drive.label = bytes(value),
            other => panic!("unknown field {other}"),
        }
    }
}

/// An object that plays the pool.
#[derive(Clone, Debug, PartialEq)]
struct Pool {
    id: ObjectId,
    kind: String,
}

#[derive(Clone, Debug)]
struct Owned {
    drive: Drive,
    owner: String,
    pool: Option<Pool>,
}

impl Owned {
    fn field(&self, kind: &Value) -> PoolField {
        match &self.pool {
            None => PoolField::Empty,
            Some(pool) if kind != pool.kind.as_str() => PoolField::OtherType,
            Some(pool) => PoolField::Holds(pool.id),
        }
    }
}

/// A chain small enough to see that it is right: it has owners, a clock, and transactions that happen or do not.
#[derive(Clone, Default)]
struct World {
    drives: BTreeMap<String, Owned>,
    expected: BTreeMap<String, Drive>,
    pools: BTreeMap<String, ObjectId>,
    now_ms: u64,
    objects: u8,
}

/// What one transaction holds in its hands.
#[derive(Default)]
struct Hands {
    pools: BTreeMap<String, Pool>,
    receipts: BTreeMap<String, Receipt>,
    events: Vec<(String, Event)>,
}

/// Why a transaction did not happen.
#[derive(Debug, PartialEq)]
enum Refusal {
    NotOwner,
    Abort(Abort),
    /// A value without the ability to be dropped was left over.
    LeftOver,
}

impl From<Abort> for Refusal {
    fn from(abort: Abort) -> Self {
        Refusal::Abort(abort)
    }
}

impl World {
    fn new_id(&mut self) -> ObjectId {
        self.objects += 1;
        [self.objects; 32]
    }

    fn transaction(&mut self, defaults: &Value, row: &Value) -> Result<Hands, Refusal> {
        let sender = row["sender"].as_str().unwrap_or("alice").to_owned();
        if let Some(at) = row["at_ms"].as_u64() {
            self.now_ms = at;
        }
        let mut hands = Hands::default();
        for call in row["calls"].as_array().unwrap() {
            let (op, given) = call.as_object().unwrap().iter().next().unwrap();
            let mut args = defaults[op].clone();
            for (name, value) in given.as_object().unwrap() {
                args[name] = value.clone();
            }
            self.call(&mut hands, &sender, op, &args)?;
        }
        if hands.pools.is_empty() && hands.receipts.is_empty() { Ok(hands) } else { Err(Refusal::LeftOver) }
    }

    fn call(&mut self, hands: &mut Hands, sender: &str, op: &str, args: &Value) -> Result<(), Refusal> {
        match op {
            "new_pool" => {
                let pool = Pool { id: self.new_id(), kind: text(&args["type"]) };
                self.pools.insert(text(&args["as"]), pool.id);
                hands.pools.insert(text(&args["as"]), pool);
            }
            "drop_pool" => {
                let pool = hands.pools.remove(args["pool"].as_str().unwrap()).unwrap();
                assert_eq!(args["type"], pool.kind.as_str());
            }
            "create" => {
                let id = self.new_id();
                let pool = hands.pools.remove(args["pool"].as_str().unwrap()).unwrap();
                let args_ = CreateArgs {
                    format: u16::try_from(number(&args["format"])).unwrap(),
                    uid: bytes(&args["uid"]),
                    label: bytes(&args["label"]),
                    slot_kind: u8::try_from(number(&args["slot_kind"])).unwrap(),
                    key_epoch: number32(&args["key_epoch"]),
                    slot: bytes(&args["slot"]),
                    seal: bytes(&args["seal"]),
                };
                let (drive, event) = create(id, pool.id, args_)?;
                let name = text(&args["drive"]);
                self.expected.insert(name.clone(), drive.clone());
                self.drives.insert(name.clone(), Owned { drive, owner: sender.to_owned(), pool: Some(pool) });
                hands.events.push((name, event));
            }
            _ => {
                let name = text(&args["drive"]);
                // The chain's own rule: an owned object is an input only of its owner's transactions.
                let owned = self.drives.get(&name).filter(|owned| owned.owner == sender);
                let mut owned = owned.cloned().ok_or(Refusal::NotOwner)?;
                let before = owned.drive.clone();
                let result = self.method(hands, &mut owned, op, args);
                if result.is_err() {
                    assert_eq!(owned.drive, before, "{op}: an abort changed the Drive");
                }
                let event = result?;
                hands.events.extend(event.map(|event| (name.clone(), event)));
                if op == "destroy" {
                    self.drives.remove(&name);
                } else {
                    self.drives.insert(name, owned);
                }
            }
        }
        Ok(())
    }

    fn method(&self, hands: &mut Hands, owned: &mut Owned, op: &str, args: &Value) -> Result<Option<Event>, Abort> {
        let now = self.now_ms;
        let Owned { drive, .. } = &owned;
        let uses_lease = !matches!(op, "put_pool" | "transfer");
        let (expected, holder) =
            if uses_lease { (number(&args["expected"]), bytes(&args["holder"])) } else { (0, Vec::new()) };
        let seal = || bytes(&args["seal"]);
        let event = match op {
            "transfer" => {
                owned.owner = text(&args["to"]);
                return Ok(None);
            }
            "acquire_lease" => owned.drive.acquire_lease(expected, &holder, args["steal"].as_bool().unwrap(), now)?,
            "renew_lease" => owned.drive.renew_lease(expected, &holder, now)?,
            "release_lease" => owned.drive.release_lease(expected, &holder)?,
            "take_pool" => {
                let field = owned.field(&args["type"]);
                let receipt = owned.drive.take_pool(field, expected, &holder, now)?;
                hands.receipts.insert(text(&args["as"]), receipt);
                hands.pools.insert(text(&args["as"]), owned.pool.take().unwrap());
                return Ok(None);
            }
            "put_pool" => {
                let pool = hands.pools.remove(args["pool"].as_str().unwrap()).unwrap();
                let receipt = hands.receipts.remove(args["receipt"].as_str().unwrap()).unwrap();
                drive.put_pool(pool.id, receipt)?;
                owned.pool = Some(pool);
                return Ok(None);
            }
            "replace_pool" => {
                let new = hands.pools.remove(args["pool"].as_str().unwrap()).unwrap();
                assert_eq!(args["new_type"], new.kind.as_str());
                let field = owned.field(&args["old_type"]);
                let event = owned.drive.replace_pool(field, new.id, expected, &holder, now)?;
                hands.pools.insert(text(&args["as"]), owned.pool.replace(new).unwrap());
                event
            }
            "commit" => {
                let new_root = match &args["root"] {
                    Value::Null => same_root(),
                    given => {
                        let given = root_of(given);
                        root(given.blob_id, given.offset, given.length, given.salt, given.key_epoch)?
                    }
                };
                let field = owned.pool.as_ref().map_or(PoolField::Empty, |pool| PoolField::Holds(pool.id));
                let append = list(&args["append"], bytes);
                owned.drive.commit(field, expected, &holder, new_root, number(&args["drop"]), append, seal(), now)?
            }
            "add_slot" => {
                let slot = slot_of(args);
                owned.drive.add_slot(
                    expected,
                    &holder,
                    slot.kind,
                    slot.index,
                    slot.key_epoch,
                    slot.body,
                    seal(),
                    now,
                )?
            }
            "remove_slot" => owned.drive.remove_slot(expected, &holder, number32(&args["index"]), seal(), now)?,
            "rotate_keys" => owned.drive.rotate_keys(
                expected,
                &holder,
                number32(&args["key_epoch"]),
                list(&args["kinds"], |kind| u8::try_from(number(kind)).unwrap()),
                list(&args["indices"], number32),
                list(&args["bodies"], bytes),
                bytes(&args["keyring"]),
                bytes(&args["label"]),
                seal(),
                now,
            )?,
            "destroy" => {
                let field = owned.field(&args["type"]);
                let event = owned.drive.clone().destroy(field, expected, &holder)?;
                hands.pools.insert(text(&args["as"]), owned.pool.take().unwrap());
                event
            }
            other => panic!("unknown operation {other}"),
        };
        Ok(Some(event))
    }

    fn expected_event(&self, row: &Value) -> (String, Event) {
        let name = text(&row[0]);
        let state = &self.expected[&name];
        let (drive, uid, sequence) = (state.id, state.uid.clone(), state.sequence);
        let pool = |field: &str| self.pools[row[2][field].as_str().unwrap()];
        let event = match row[1].as_str().unwrap() {
            "Created" => Event::Created(Created { drive, uid, sequence, pool: pool("pool") }),
            "Committed" => {
                Event::Committed(Committed { drive, uid, sequence, new_root: row[2]["new_root"].as_bool().unwrap() })
            }
            "LeaseChanged" => Event::LeaseChanged(LeaseChanged { drive, uid, sequence, writer: state.writer.clone() }),
            "KeysChanged" => Event::KeysChanged(KeysChanged { drive, uid, sequence }),
            "PoolReplaced" => {
                Event::PoolReplaced(PoolReplaced { drive, uid, sequence, old: pool("old"), new: pool("new") })
            }
            "Destroyed" => Event::Destroyed(Destroyed { drive, uid, sequence, pool: pool("pool") }),
            other => panic!("unknown event {other}"),
        };
        (name, event)
    }

    fn check(&mut self, name: &str, row: &Value, hands: &Hands) {
        if let Some(changes) = row["then"].as_object() {
            for (drive, changes) in changes {
                expect(self.expected.get_mut(drive).unwrap(), changes);
            }
        }
        for (drive, owned) in &self.drives {
            assert_eq!(owned.drive, self.expected[drive], "{name}");
            assert!(owned.pool.is_some(), "{name}: the pool is away after the transaction");
        }
        let expected: Vec<_> =
            row["events"].as_array().unwrap().iter().map(|event| self.expected_event(event)).collect();
        assert_eq!(hands.events, expected, "{name}");
    }
}

#[test]
fn scenarios() {
    let table = table();
    let aborts: BTreeMap<&str, Abort> = Abort::ALL.iter().copied().collect();
    let mut seen = BTreeSet::new();
    for scenario in table["scenarios"].as_array().unwrap() {
        let name = scenario["name"].as_str().unwrap();
        let given = scenario["given"].as_str().map_or(&[][..], |given| table["setups"][given].as_array().unwrap());
        let mut world = World::default();
        for row in given.iter().chain(scenario["txs"].as_array().unwrap()) {
            let mut after = world.clone();
            let result = after.transaction(&table["defaults"], row);
            match row["expect"].as_str() {
                None => {
                    let hands = result.unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
                    after.check(name, row, &hands);
                    world = after;
                }
                Some(expected) => {
                    let expected_refusal = match expected {
                        "not_owner" => Refusal::NotOwner,
                        abort => Refusal::Abort(aborts[abort]),
                    };
                    assert_eq!(result.err(), Some(expected_refusal), "{name}");
                    seen.insert(expected);
                }
            }
        }
    }
    for (name, _) in Abort::ALL {
        assert!(seen.contains(name), "no scenario ends with {name}");
    }
}

/// A transaction that ends with the pool or the receipt in its hands does not happen.
#[test]
fn a_loan_ends_within_its_transaction() {
    let table = table();
    let mut world = World::default();
    for row in table["setups"]["leased"].as_array().unwrap() {
        world.transaction(&table["defaults"], row).unwrap();
    }
    let lend = serde_json::json!({"calls": [{"take_pool": {"as": "x"}}]});
    assert_eq!(world.clone().transaction(&table["defaults"], &lend).err(), Some(Refusal::LeftOver));
    let keep = serde_json::json!({"calls": [{"take_pool": {"as": "x"}}, {"drop_pool": {"pool": "x"}}]});
    assert_eq!(world.transaction(&table["defaults"], &keep).err(), Some(Refusal::LeftOver));
}

#[test]
fn aborts_and_limits_are_those_of_the_table() {
    let table = table();
    let ours: BTreeMap<&str, u64> = Abort::ALL.iter().map(|(name, abort)| (*name, abort.code)).collect();
    let theirs: BTreeMap<&str, u64> =
        table["aborts"].as_object().unwrap().iter().map(|(name, code)| (name.as_str(), number(code))).collect();
    assert_eq!(ours, theirs);
    let limits = serde_json::json!({
        "UID_BYTES": UID_BYTES, "HOLDER_BYTES": HOLDER_BYTES, "SALT_BYTES": SALT_BYTES, "MAX_LABEL": MAX_LABEL,
        "MAX_SEAL": MAX_SEAL, "MAX_SLOTS": MAX_SLOTS, "MAX_SLOT": MAX_SLOT, "MAX_KEYRING": MAX_KEYRING,
        "MAX_APPEND": MAX_APPEND, "MAX_LOG": MAX_LOG, "LEASE_MS": LEASE_MS, "GRACE_MS": GRACE_MS,
    });
    assert_eq!(table["limits"], limits);
}

fn move_type(param: Param) -> String {
    match param {
        Param::U8 => "u8",
        Param::U16 => "u16",
        Param::U32 => "u32",
        Param::U64 => "u64",
        Param::U256 => "u256",
        Param::Bool => "bool",
        Param::Bytes => "vector<u8>",
        Param::U32List => "vector<u32>",
        Param::BytesList => "vector<vector<u8>>",
        Param::DriveMut => "&mut Drive",
        Param::Drive => "Drive",
        Param::OptionRoot => "Option<RootRef>",
        Param::Receipt => "Receipt",
        Param::Type(n) => return format!("T{n}"),
        Param::Clock => "&Clock",
        Param::TxContext => "&mut TxContext",
    }
    .to_owned()
}

#[test]
fn signatures_are_those_of_the_move_source() {
    let theirs: Value = serde_json::from_str(MOVE_FUNCTIONS).unwrap();
    let ours: serde_json::Map<String, Value> = FUNCTIONS
        .iter()
        .map(|function| {
            let types = |params: &[Param]| params.iter().map(|param| move_type(*param)).collect::<Vec<_>>();
            let signature = serde_json::json!({
                "type_params": function.type_params,
                "params": types(function.params),
                "returns": types(function.returns),
            });
            (function.name.to_owned(), signature)
        })
        .collect();
    assert_eq!(Value::Object(ours), theirs);
}

/// The layout is the one that the Move tests compare byte for byte (`expectState` of `contracts/scenarios.mjs`).
#[test]
fn layout() {
    let drive = Drive {
        id: [9; 32],
        format: 0x0102,
        uid: vec![1; 2],
        sequence: 3,
        root: Some(RootRef { blob_id: [7; 32], offset: 4, length: 5, salt: vec![8], key_epoch: 6 }),
        log: vec![vec![1], vec![]],
        seal: vec![2],
        keys: vec![KeySlot { kind: 1, index: 2, key_epoch: 3, body: vec![4] }],
        keyring: vec![5],
        writer: Some(Lease { holder: vec![6], expires_at_ms: 7 }),
        label: vec![],
    };
    let hex = [
        &"09".repeat(32),
        "0201",
        "020101",
        "0300000000000000",
        "01",
        &"07".repeat(32),
        "0400000000000000",
        "05000000",
        "0108",
        "06000000",
        "02010100",
        "0102",
        "0101020000000300000001",
        "04",
        "0105",
        "010106",
        "0700000000000000",
        "00",
    ]
    .concat();
    assert_eq!(hex::encode(bcs::to_bytes(&drive).unwrap()), hex);
}
