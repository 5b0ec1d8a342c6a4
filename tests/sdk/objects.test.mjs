// What owners do with blobs and storage: attributes, extension, deletion, reservations, payments from many coins.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { bcs } from '@mysten/sui/bcs';
import { requestSuiFromFaucetV2 } from '@mysten/sui/faucet';
import { Transaction } from '@mysten/sui/transactions';
import {
  User,
  WAL,
  aborts,
  blobGet,
  encodedSize,
  noise,
  same,
  status,
  storagePrice,
  stranger,
  walrusfsFails,
  writePrice,
} from './network.mjs';

const SIZE = 5000;
const NOT_FOUND = 11;
let user;
before(async () => {
  user = await User.funded();
});

const write = (name, more = {}) =>
  user.client.walrus.writeBlob({
    blob: noise(name, SIZE),
    epochs: 2,
    deletable: true,
    signer: user.signer,
    ...more,
  });

/** The `Storage` objects of an address. */
async function storages(owner) {
  const blobType = await user.client.walrus.getBlobType();
  const type = blobType.replace('::blob::Blob', '::storage_resource::Storage');
  const { objects } = await user.client.core.listOwnedObjects({ owner, type, include: { content: true } });
  const Storage = bcs.struct('Storage', {
    id: bcs.Address,
    start_epoch: bcs.u32(),
    end_epoch: bcs.u32(),
    storage_size: bcs.u64(),
  });
  return objects.map((object) => Storage.parse(object.content));
}

test('attributes', async () => {
  const { blobObject } = await write('attributes', { attributes: { kind: 'picture', 'content-type': 'image/png' } });
  const [blobObjectId, client] = [blobObject.id, stranger().walrus];
  assert.deepEqual(await client.readBlobAttributes({ blobObjectId }), { kind: 'picture', 'content-type': 'image/png' });
  await user.paying(0n, () =>
    user.client.walrus.executeWriteBlobAttributesTransaction({
      blobObjectId,
      signer: user.signer,
      attributes: { kind: 'drawing', 'content-type': null, läuft: 'ja ✓' },
    }),
  );
  assert.deepEqual(await client.readBlobAttributes({ blobObjectId }), { kind: 'drawing', läuft: 'ja ✓' });
  const bare = await write('no attributes');
  await assert.rejects(client.readBlobAttributes({ blobObjectId: bare.blobObject.id }), /not found/i);
});

test('extend by epochs and to an epoch', async () => {
  const { blobId, blobObject } = await write('extended');
  const blobObjectId = blobObject.id;
  const end = status.epoch + 2;
  const endOf = async () => (await stranger().walrus.getBlobObject(blobObjectId)).storage.end_epoch;
  await user.paying(storagePrice(SIZE, 3), () =>
    user.client.walrus.executeExtendBlobTransaction({ blobObjectId, epochs: 3, signer: user.signer }),
  );
  assert.equal(await endOf(), end + 3);
  user.client.walrus.reset();
  await user.paying(storagePrice(SIZE, 2), () =>
    user.client.walrus.executeExtendBlobTransaction({ blobObjectId, endEpoch: end + 5, signer: user.signer }),
  );
  assert.equal(await endOf(), end + 5);
  const extended = await stranger().walrus.getBlobObject(blobObjectId);
  assert.equal(extended.certified_epoch, status.epoch, 'the first certification');
  same(await stranger().walrus.readBlob({ blobId }), noise('extended', SIZE), 'readBlob');
  await assert.rejects(
    user.client.walrus.executeExtendBlobTransaction({ blobObjectId, epochs: 60, signer: user.signer }),
    aborts('system_state_inner', 2),
    'further ahead than the network sells',
  );
});

test('delete gives the storage back and ends the blob', async () => {
  const { blobId, blobObject } = await write('deleted');
  await user.paying(0n, () =>
    user.client.walrus.executeDeleteBlobTransaction({ blobObjectId: blobObject.id, signer: user.signer }),
  );
  const [storage] = await storages(user.address);
  assert.deepEqual(storage, { ...blobObject.storage, storage_size: String(encodedSize(SIZE)) });
  await assert.rejects(stranger().walrus.getBlobObject(blobObject.id), /not found/i);
  assert.equal(await (await stranger().walrus.getBlob({ blobId })).exists(), false);
  await assert.rejects(stranger().walrus.readBlob({ blobId }));
  assert.equal(await walrusfsFails('blob', 'get', blobId), NOT_FOUND);

  const { blobObject: kept } = await write('permanent', { deletable: false });
  await assert.rejects(
    user.client.walrus.executeDeleteBlobTransaction({ blobObjectId: kept.id, signer: user.signer }),
    aborts('blob', 1),
  );
});

test('a storage reservation', async () => {
  const owner = new User();
  const size = 3_000_000;
  await user.paying(storagePrice(size, 4), async () => {
    const transaction = user.client.walrus.createStorageTransaction({ size, epochs: 4, owner: owner.address });
    await user.execute(transaction);
  });
  const [storage, ...more] = await storages(owner.address);
  assert.equal(more.length, 0);
  assert.deepEqual(
    [storage.start_epoch, storage.end_epoch, storage.storage_size],
    [status.epoch, status.epoch + 4, String(encodedSize(size))],
  );
});

test('registered by hand, confirmed and certified step by step', async () => {
  const { walrus } = user.client;
  const blob = noise('by hand', SIZE);
  const { blobId, metadata, rootHash, sliversByNode } = await walrus.encodeBlob(blob);
  const registration = { size: SIZE, epochs: 1, blobId, rootHash, deletable: true, signer: user.signer };
  const price = storagePrice(SIZE, 1) + writePrice(SIZE);
  const { blob: object } = await user.paying(price, () => walrus.executeRegisterBlobTransaction(registration));
  assert.equal(object.certified_epoch, null);
  const target = { blobId, deletable: true, objectId: object.id };
  const early = await walrus.getStorageConfirmations(target);
  assert.ok(early.every((confirmation) => confirmation === null), 'nobody confirms what it does not hold');
  await walrus.writeEncodedBlobToNodes({ ...target, metadata, sliversByNode });
  const confirmations = await walrus.getStorageConfirmations(target);
  assert.ok(confirmations.every((confirmation) => confirmation?.signature));
  const certification = { blobId, blobObjectId: object.id, confirmations, deletable: true, signer: user.signer };
  await user.paying(0n, () => walrus.executeCertifyBlobTransaction(certification));
  assert.equal((await stranger().walrus.getBlobObject(object.id)).certified_epoch, status.epoch);
  same(await blobGet(blobId), blob, 'walrusfs blob get');
  await assert.rejects(walrus.executeCertifyBlobTransaction(certification), aborts('blob', 5));
});

test('WAL in many coins, down to the last unit', async () => {
  const poor = new User();
  await requestSuiFromFaucetV2({ host: status.faucet_url, recipient: poor.address });
  const price = storagePrice(SIZE, 1) + writePrice(SIZE);
  // Seven coins that together are exactly what the blob costs.
  const part = price / 7n;
  const parts = [...Array(6).fill(part), price - 6n * part];
  const transaction = new Transaction();
  const { objects: coins } = await user.client.core.listCoins({ owner: user.address, coinType: WAL });
  const pieces = transaction.splitCoins(transaction.object(coins[0].objectId), parts);
  transaction.transferObjects(parts.map((_, i) => pieces[i]), poor.address);
  await user.execute(transaction);
  assert.equal(await poor.balance(WAL), price);

  const options = { epochs: 1, deletable: true, signer: poor.signer };
  const tooLong = { ...options, blob: noise('too long', SIZE), epochs: 2 };
  await assert.rejects(poor.client.walrus.writeBlob(tooLong), /balance/i, 'not enough WAL');
  const blob = noise('the last WAL', SIZE);
  const { blobId } = await poor.paying(price, () => poor.client.walrus.writeBlob({ ...options, blob }));
  assert.equal(await poor.balance(WAL), 0n);
  same(await blobGet(blobId), blob, 'walrusfs blob get');
});
