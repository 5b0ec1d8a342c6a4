// A wallet and clients of the local network that tests/e2e/sdk.rs started, made with the SDK's public configuration alone.
//
// In the environment: WALRUSFS (the program), WALRUSFS_HOME (the home whose network runs), SDK_NETWORK (what
// `walrusfs devnet status --json` says), SDK_DIR (a folder for files).
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createCipheriv, createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { requestSuiFromFaucetV2 } from '@mysten/sui/faucet';
import { SuiGrpcClient } from '@mysten/sui/grpc';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Transaction } from '@mysten/sui/transactions';
import { walrus } from '@mysten/walrus';

export const status = JSON.parse(process.env.SDK_NETWORK);

/** Bytes in one unit of storage that is paid for. */
const UNIT = 1n << 20n;
export const SUI = '0x2::sui::SUI';
export const WAL = status.wal_type;

/** A client that has cached nothing: `client.core` is the chain's, `client.walrus` the storage network's. */
export function stranger() {
  // The extension asks for the name of a network it knows; everything else is the local network's.
  const sui = new SuiGrpcClient({ network: 'testnet', baseUrl: status.rpc_url });
  return sui.$extend(
    walrus({
      packageConfig: { systemObjectId: status.system_object, stakingPoolId: status.staking_object },
      storageNodeUrlScheme: 'http',
    }),
  );
}

/** A key pair that remembers which transactions it signed, for the account of gas. */
class Signer extends Ed25519Keypair {
  digests = [];

  async signAndExecuteTransaction(options) {
    const result = await super.signAndExecuteTransaction(options);
    this.digests.push((result.Transaction ?? result.FailedTransaction).digest);
    return result;
  }
}

/** The owner of coins of its own, and a client. */
export class User {
  signer = new Signer();
  client = stranger();
  address = this.signer.toSuiAddress();

  /** A user with 1000 SUI, of which 200 were turned into WAL at the exchange. */
  static async funded() {
    const user = new User();
    await requestSuiFromFaucetV2({ host: status.faucet_url, recipient: user.address });
    await user.buyWal(200_000_000_000n);
    return user;
  }

  async execute(transaction) {
    const { Transaction: done, FailedTransaction: failed } = await this.signer.signAndExecuteTransaction({
      transaction,
      client: this.client,
    });
    assert.equal(failed, undefined, JSON.stringify(failed?.status));
    await this.client.core.waitForTransaction({ digest: done.digest });
    return done;
  }

  async buyWal(mist) {
    const { object } = await this.client.core.getObject({ objectId: status.exchange_object });
    const transaction = new Transaction();
    const [sui] = transaction.splitCoins(transaction.gas, [mist]);
    const target = `${object.type.split('::')[0]}::wal_exchange::exchange_all_for_wal`;
    const wal = transaction.moveCall({ target, arguments: [transaction.object(object.objectId), sui] });
    transaction.transferObjects([wal], this.address);
    return this.execute(transaction);
  }

  async balance(coinType) {
    const { balance } = await this.client.core.getBalance({ owner: this.address, coinType });
    let sum = 0n;
    for (let cursor = null, more = true; more; ) {
      const page = await this.client.core.listCoins({ owner: this.address, coinType, cursor, limit: 3 });
      for (const coin of page.objects) sum += BigInt(coin.balance);
      ({ cursor, hasNextPage: more } = page);
    }
    assert.equal(sum, BigInt(balance.balance), `the coins make up the balance of ${coinType}`);
    return sum;
  }

  /** Gas of everything signed since `from` transactions were, in MIST, as the effects tell it. */
  async gas(from) {
    let sum = 0n;
    for (const digest of this.signer.digests.slice(from)) {
      const { Transaction: done } = await this.client.core.getTransaction({ digest, include: { effects: true } });
      const { computationCost, storageCost, storageRebate } = done.effects.gasUsed;
      sum += BigInt(computationCost) + BigInt(storageCost) - BigInt(storageRebate);
    }
    return sum;
  }

  /** Runs `action`, which must cost exactly `frost` and the gas that its transactions name. */
  async paying(frost, action) {
    const [wal, sui, from] = [await this.balance(WAL), await this.balance(SUI), this.signer.digests.length];
    const result = await action();
    assert.equal(wal - (await this.balance(WAL)), frost, 'FROST paid');
    assert.ok(this.signer.digests.length > from, 'something was signed');
    assert.equal(sui - (await this.balance(SUI)), await this.gas(from), 'MIST paid');
    return result;
  }
}

/** Encoded bytes of a blob, by the formula of the contracts and not the SDK's. */
export function encodedSize(size) {
  const n = BigInt(status.n_shards);
  const f = (n - 1n) / 3n;
  const [primary, secondary] = [n - 2n * f, n - f];
  const symbols = primary * secondary;
  let symbol = (BigInt(Math.max(size, 1)) + symbols - 1n) / symbols;
  symbol += symbol % 2n;
  return n * ((primary + secondary) * symbol + 64n * n + 32n);
}

const units = (size) => (encodedSize(size) + UNIT - 1n) / UNIT;

/** The prices of the local network, FROST for a unit: per epoch, and for writing. */
const [STORAGE_PRICE, WRITE_PRICE] = [100_000n, 20_000n];
export const storagePrice = (size, epochs) => units(size) * STORAGE_PRICE * BigInt(epochs);
export const writePrice = (size) => units(size) * WRITE_PRICE;

/** `size` bytes that are the same for the same seed. */
export function noise(seed, size) {
  const cipher = createCipheriv('aes-128-ctr', createHash('md5').update(seed).digest(), Buffer.alloc(16));
  return new Uint8Array(cipher.update(Buffer.alloc(size)));
}

/** What the SDK says when a function of the Walrus package aborts. */
export const aborts = (module, code) => new RegExp(`abort code: ${code}, in '0x[0-9a-f]+::${module}\\b`);

/** Compares bytes without printing megabytes when they differ. */
export function same(actual, expected, what) {
  assert.equal(actual.length, expected.length, `${what}: length`);
  const at = Buffer.compare(actual, expected) === 0 ? -1 : actual.findIndex((byte, i) => byte !== expected[i]);
  assert.equal(at, -1, `${what}: the first byte that differs`);
}

const run = promisify(execFile);

/** Runs the program, which must succeed; what it printed. */
export async function walrusfs(...args) {
  const { stdout } = await run(process.env.WALRUSFS, args, { maxBuffer: 1 << 24 });
  return stdout.trim();
}

/** Runs the program, which must fail; its exit code. */
export async function walrusfsFails(...args) {
  const error = await run(process.env.WALRUSFS, args).then(() => null, (error) => error);
  assert.ok(error, `walrusfs ${args.join(' ')} succeeded`);
  return error.code;
}

const file = (name) => path.join(process.env.SDK_DIR, name);

/** `walrusfs blob get ARGS`. */
export async function blobGet(...args) {
  const output = file(`get-${process.pid}`);
  await walrusfs('blob', 'get', ...args, '-o', output);
  const bytes = new Uint8Array(await readFile(output));
  await rm(output);
  return bytes;
}

/** Writes a file, for `action` only. */
export async function withFile(bytes, action) {
  const name = file(`put-${process.pid}`);
  await writeFile(name, bytes);
  return action(name).finally(() => rm(name));
}
