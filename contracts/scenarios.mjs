// Turns scenarios.json into Move unit tests: one test a scenario. See docs/drive.md for the table's form.
import { createHash } from 'node:crypto';

// --- bytes and BCS ---

// "16*0a" is sixteen bytes 0x0a, "" none.
export function bytes(text) {
  if (text === '') return Buffer.alloc(0);
  const [, count, value] = /^(\d+)\*([0-9a-f]{2})$/.exec(text) ?? [];
  if (!value) throw new Error(`not bytes: ${text}`);
  return Buffer.alloc(Number(count), parseInt(value, 16));
}
function uint(value, size) {
  const out = Buffer.alloc(size);
  for (let i = 0, v = BigInt(value); i < size; i++, v >>= 8n) out[i] = Number(v & 255n);
  return out;
}
function length(count) {
  const out = [];
  for (; count >= 128; count >>>= 7) out.push((count & 127) | 128);
  return Buffer.from([...out, count]);
}
const vector = (items, encode) => Buffer.concat([length(items.length), ...items.map(encode)]);
const blob = (text) => Buffer.concat([length(bytes(text).length), bytes(text)]);
const option = (value, encode) => (value === null ? Buffer.from([0]) : Buffer.concat([Buffer.from([1]), encode(value)]));
const rootBytes = (r) => Buffer.concat([bytes(r.blob_id), uint(r.offset, 8), uint(r.length, 4), blob(r.salt), uint(r.key_epoch, 4)]);
const slotBytes = (s) => Buffer.concat([uint(s.kind, 1), uint(s.index, 4), uint(s.key_epoch, 4), blob(s.body)]);
const leaseBytes = (l) => Buffer.concat([blob(l.holder), uint(l.expires_at_ms, 8)]);
const driveBytes = (d) =>
  Buffer.concat([
    uint(d.format, 2), blob(d.uid), uint(d.sequence, 8), option(d.root, rootBytes), vector(d.log, blob), blob(d.seal),
    vector(d.keys, slotBytes), blob(d.keyring), option(d.writer, leaseBytes), blob(d.label),
  ]);

// --- Move text ---

const moveBytes = (text) => { const b = bytes(text); return b.length === 0 ? 'vector[]' : `fill(${b[0]}, ${b.length})`; };
const moveList = (items, each) => `vector[${items.map(each).join(', ')}]`;
const moveU256 = (text) => `0x${Buffer.from(bytes(text)).reverse().toString('hex')}`;

const write = {
  create: (c) =>
    `let drive_${c.drive} = drive::create<${c.type}>(${c.format}, ${moveBytes(c.uid)}, ${moveBytes(c.label)}, ${c.slot_kind}, ${c.key_epoch}, ${moveBytes(c.slot)}, ${moveBytes(c.seal)}, pool_${c.pool}, s.ctx());\n    let id_${c.drive} = object::id(&drive_${c.drive});`,
  new_pool: (c) => `let pool_${c.as} = ${c.type} { id: object::new(s.ctx()) };\n    let pool_id_${c.as} = object::id(&pool_${c.as});`,
  acquire_lease: (c) => `drive_${c.drive}.acquire_lease(${c.expected}, ${moveBytes(c.holder)}, ${c.steal}, &clock);`,
  renew_lease: (c) => `drive_${c.drive}.renew_lease(${c.expected}, ${moveBytes(c.holder)}, &clock);`,
  release_lease: (c) => `drive_${c.drive}.release_lease(${c.expected}, ${moveBytes(c.holder)});`,
  take_pool: (c) => `let (pool_${c.as}, receipt_${c.as}) = drive_${c.drive}.take_pool<${c.type}>(${c.expected}, ${moveBytes(c.holder)}, &clock);`,
  put_pool: (c) => `drive_${c.drive}.put_pool(pool_${c.pool}, receipt_${c.receipt});`,
  replace_pool: (c) => `let pool_${c.as} = drive_${c.drive}.replace_pool<${c.old_type}, ${c.new_type}>(${c.expected}, ${moveBytes(c.holder)}, pool_${c.pool}, &clock);`,
  drop_pool: (c) => `let ${c.type} { id } = pool_${c.pool};\n    id.delete();`,
  commit: (c) => {
    const root = c.root === null ? 'drive::same_root()' : `drive::root(${moveU256(c.root.blob_id)}, ${c.root.offset}, ${c.root.length}, ${moveBytes(c.root.salt)}, ${c.root.key_epoch})`;
    return `drive_${c.drive}.commit(${c.expected}, ${moveBytes(c.holder)}, ${root}, ${c.drop}, ${moveList(c.append, moveBytes)}, ${moveBytes(c.seal)}, &clock);`;
  },
  add_slot: (c) => `drive_${c.drive}.add_slot(${c.expected}, ${moveBytes(c.holder)}, ${c.kind}, ${c.index}, ${c.key_epoch}, ${moveBytes(c.body)}, ${moveBytes(c.seal)}, &clock);`,
  remove_slot: (c) => `drive_${c.drive}.remove_slot(${c.expected}, ${moveBytes(c.holder)}, ${c.index}, ${moveBytes(c.seal)}, &clock);`,
  rotate_keys: (c) =>
    `drive_${c.drive}.rotate_keys(${c.expected}, ${moveBytes(c.holder)}, ${c.key_epoch}, ${moveList(c.kinds, String)}, ${moveList(c.indices, String)}, ${moveList(c.bodies, moveBytes)}, ${moveBytes(c.keyring)}, ${moveBytes(c.label)}, ${moveBytes(c.seal)}, &clock);`,
  destroy: (c) => `let pool_${c.as} = drive_${c.drive}.destroy<${c.type}>(${c.expected}, ${moveBytes(c.holder)});`,
};

const eventFields = {
  Created: (e) => [[], e.pool],
  Committed: (e) => [[Buffer.from([e.new_root ? 1 : 0])]],
  LeaseChanged: (e, d) => [[option(d.writer, leaseBytes)]],
  KeysChanged: () => [[]],
  PoolReplaced: (e) => [[], e.old, e.new],
  Destroyed: (e) => [[], e.pool],
};

// A state as a Move expression: itself when short, its hash when long.
function expectState(name, buffer) {
  if (buffer.length <= 600) return `assert!(drive_${name}.state() == x"${buffer.toString('hex')}");`;
  return `assert!(sha2_256(drive_${name}.state()) == x"${createHash('sha256').update(buffer).digest('hex')}");`;
}

function writeScenario(table, scenario) {
  const lines = [];
  const drives = {}; // expected state by name; the last one of a Drive that is no more
  const txs = [...(scenario.given ? table.setups[scenario.given] : []), ...scenario.txs];
  let clock = 0;
  txs.forEach((tx, n) => {
    const sender = tx.sender ?? 'alice';
    const calls = tx.calls.map((call) => {
      const [op, args] = Object.entries(call)[0];
      return [op, { ...table.defaults[op], ...args }];
    });
    const fails = tx.expect !== undefined;
    if (fails && n !== txs.length - 1) throw new Error(`${scenario.name}: only the last transaction may fail`);
    clock = tx.at_ms ?? clock;
    lines.push(`// transaction ${n + 1}`, `s.next_tx(${sender.toUpperCase()});`, `clock.set_for_testing(${clock});`);
    const created = new Set(calls.filter(([op]) => op === 'create').map(([, c]) => c.drive));
    const destroyed = new Set(calls.filter(([op]) => op === 'destroy').map(([, c]) => c.drive));
    const used = new Set(calls.map(([, c]) => c.drive).filter((d) => d && !created.has(d)));
    for (const d of used) lines.push(`let mut drive_${d} = s.take_from_sender_by_id<Drive>(id_${d});`);
    const owner = {};
    for (const d of [...used, ...created]) owner[d] = sender.toUpperCase();
    for (const [op, c] of calls) {
      if (op === 'transfer') owner[c.drive] = c.to.toUpperCase();
      else lines.push(write[op](c));
    }
    if (fails) return lines.push('abort 999');
    for (const [d, changes] of Object.entries(tx.then ?? {})) drives[d] = { ...drives[d], ...changes };
    for (const [d] of Object.entries(owner)) if (!destroyed.has(d)) lines.push(expectState(d, driveBytes(drives[d])));
    const total = (tx.events ?? []).length;
    lines.push(`assert!(num_events() == ${total});`);
    for (const [d, name, fields] of tx.events ?? []) {
      const state = { ...drives[d], ...fields };
      const [more, ...pools] = eventFields[name](fields ?? {}, state);
      const prefix = Buffer.concat([blob(state.uid), uint(state.sequence, 8), ...more]).toString('hex');
      const tail = pools.map((p) => `pool_id_${p}`).join(', ');
      lines.push(`assert!(drive::emitted<drive::${name}>(id_${d}) == with_ids(x"${prefix}", vector[${tail}]));`);
    }
    for (const [d, to] of Object.entries(owner)) if (!destroyed.has(d)) lines.push(`transfer::public_transfer(drive_${d}, ${to});`);
  });
  const last = txs.at(-1).expect;
  let attribute = '#[test]';
  if (last === 'not_owner') attribute = '#[test, expected_failure(abort_code = ::sui::test_scenario::EObjectNotFound)]';
  else if (last !== undefined) {
    if (!(last in table.aborts)) throw new Error(`${scenario.name}: unknown abort ${last}`);
    attribute = `#[test, expected_failure(abort_code = ${table.aborts[last]}, location = walrusfs::drive)] // ${last}`;
  } else lines.push('clock.destroy_for_testing();', 's.end();');
  const name = scenario.name.replace(/[^a-z0-9]+/g, '_').replace(/_$/, '');
  const body = lines.join('\n').split('\n').map((line) => `    ${line.trim()}`).join('\n');
  return `/// ${scenario.name}\n${attribute}\nfun ${name}() {\n    let mut s = test_scenario::begin(ALICE);\n    let mut clock = clock::create_for_testing(s.ctx());\n${body}\n}\n`;
}

// A Move test can say how it aborts, but not where: what must succeed before the abort is a test of its own.
function parts(scenario) {
  if (scenario.txs.length === 1 || scenario.txs.at(-1).expect === undefined) return [scenario];
  return [{ ...scenario, name: `${scenario.name} (until then)`, txs: scenario.txs.slice(0, -1) }, scenario];
}

export function generateTests(table) {
  return `// Generated from scenarios.json by contracts/test.sh update. Do not edit.
#[test_only, allow(unused_variable, unused_let_mut)]
module walrusfs::scenarios;

use std::hash::sha2_256;
use sui::clock;
use sui::event::num_events;
use sui::test_scenario;
use walrusfs::drive::{Self, Drive};

const ALICE: address = @0xa;
const BOB: address = @0xb;

public struct Pool has key, store { id: UID }
public struct OtherPool has key, store { id: UID }

fun fill(byte: u8, count: u64): vector<u8> {
    vector::tabulate!(count, |_| byte)
}

fun with_ids(bytes: vector<u8>, ids: vector<ID>): vector<u8> {
    let mut bytes = bytes;
    ids.do!(|id| bytes.append(id.to_bytes()));
    bytes
}

${table.scenarios.flatMap(parts).map((scenario) => writeScenario(table, scenario)).join('\n')}`;
}
