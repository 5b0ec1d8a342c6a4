// Blobs across epochs: a client that was there before the change, one that comes after, and the end of what was paid.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { User, blobGet, noise, same, status, stranger, walrusfs, walrusfsFails } from './network.mjs';

const NOT_FOUND = 11;
const SIZE = 200_000;
let user;
before(async () => {
  user = await User.funded();
});

const advance = async () => Number(await walrusfs('devnet', 'epoch', 'advance'));

test('blobs outlive the epoch of their certification and end when paid', async () => {
  const write = (name, epochs) =>
    user.client.walrus.writeBlob({
      blob: noise(name, SIZE),
      epochs,
      deletable: true,
      signer: user.signer,
    });
  const short = await write('one epoch', 1);
  const long = await write('two epochs', 2);
  assert.equal(await advance(), status.epoch + 1);

  for (const client of [user.client.walrus, stranger().walrus]) {
    same(await client.readBlob({ blobId: long.blobId }), noise('two epochs', SIZE), 'readBlob');
  }
  const after = await stranger().walrus.getBlobObject(long.blobObject.id);
  assert.equal(after.certified_epoch, status.epoch);
  assert.equal(await (await stranger().walrus.getBlob({ blobId: short.blobId })).exists(), false);
  assert.equal(await walrusfsFails('blob', 'get', short.blobId), NOT_FOUND);

  // The writer's client has cached the committee of the epoch before.
  user.client.walrus.reset();
  const { blobId, blobObject } = await write('after the change', 1);
  assert.equal(blobObject.certified_epoch, status.epoch + 1);
  same(await blobGet(blobId), noise('after the change', SIZE), 'walrusfs blob get');

  assert.equal(await advance(), status.epoch + 2);
  assert.equal(await walrusfsFails('blob', 'get', long.blobId), NOT_FOUND);
  await assert.rejects(stranger().walrus.readBlob({ blobId: long.blobId }));
});
