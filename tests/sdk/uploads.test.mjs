// Blobs in special circumstances: permanent, resumed, repeated, from several writers at once.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { User, blobGet, noise, same, status, storagePrice, stranger, writePrice } from './network.mjs';

let user;
before(async () => {
  user = await User.funded();
});

test('a permanent blob', async () => {
  const blob = noise('permanent', 5000);
  const { blobId, blobObject } = await user.client.walrus.writeBlob({
    blob,
    epochs: 3,
    deletable: false,
    signer: user.signer,
  });
  assert.equal(blobObject.deletable, false);
  const found = await stranger().walrus.getBlob({ blobId });
  assert.equal(await found.exists(), true);
  assert.equal(await found.storedUntil(), status.epoch + 3);
  same(await found.asFile().bytes(), blob, 'getBlob');
});

test('an upload that goes on where it was left', async () => {
  const blob = noise('resumed', 5000);
  const options = { epochs: 1, deletable: true, signer: user.signer };
  let saved;
  for await (const step of user.client.walrus.writeBlobFlow({ blob }).run(options)) {
    saved = structuredClone(step);
    if (step.step === 'registered') break;
  }
  // Somebody else goes on: nothing but the saved step is known. Storage and writing are paid already.
  const again = stranger().walrus.writeBlobFlow({ blob, resume: saved });
  const steps = [];
  await user.paying(0n, async () => {
    for await (const { step } of again.run(options)) steps.push(step);
  });
  assert.deepEqual(steps, ['uploaded', 'certified']);
  same(await blobGet(saved.blobId), blob, 'walrusfs blob get');
});

test('the same bytes twice are one blob with two objects', async () => {
  const blob = noise('twice', 5000);
  const options = { blob, epochs: 1, deletable: true, signer: user.signer };
  const first = await user.client.walrus.writeBlob(options);
  const second = await user.client.walrus.writeBlob(options);
  assert.equal(first.blobId, second.blobId);
  assert.notEqual(first.blobObject.id, second.blobObject.id);
});

test('three writers at once', async () => {
  const writers = await Promise.all([User.funded(), User.funded(), User.funded()]);
  await Promise.all(
    writers.map(async (writer, i) => {
      const blob = noise(`writer ${i}`, 200_000 + i);
      const price = storagePrice(blob.length, 1) + writePrice(blob.length);
      const { blobId } = await writer.paying(price, () =>
        writer.client.walrus.writeBlob({ blob, epochs: 1, deletable: true, signer: writer.signer }),
      );
      same(await stranger().walrus.readBlob({ blobId }), blob, `writer ${i}`);
    }),
  );
});
