// Blobs of the sizes in SDK_SIZES: written by the SDK and read by us, written by us and read by the SDK;
// extended and deleted, and every unit of what that costs.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import {
  User,
  blobGet,
  noise,
  same,
  status,
  storagePrice,
  stranger,
  walrusfs,
  walrusfsFails,
  withFile,
  writePrice,
} from './network.mjs';

const NOT_FOUND = 11;

let user;
before(async () => {
  user = await User.funded();
});

for (const size of process.env.SDK_SIZES.split(',').map(Number)) {
  test(`${size} bytes written by the SDK`, async (t) => {
    const blob = noise(`written by the SDK ${size}`, size);
    const steps = [];
    const epochs = 2;
    const price = storagePrice(size, epochs) + writePrice(size);
    const quote = await user.client.walrus.storageCost(size, epochs);
    assert.equal(quote.totalCost, price, 'the quote');
    const begun = performance.now();
    const { blobId, blobObject } = await user.paying(price, () =>
      user.client.walrus.writeBlob({
        blob,
        epochs,
        deletable: true,
        attributes: { kind: 'noise' },
        signer: user.signer,
        onStep: ({ step }) => steps.push(step),
      }),
    );
    t.diagnostic(`written in ${Math.round(performance.now() - begun)} ms`);
    assert.deepEqual(steps, ['encoded', 'registered', 'uploaded', 'certified']);
    const { epoch } = status;
    assert.equal(blobObject.size, String(size));
    assert.equal(blobObject.deletable, true);
    assert.equal(blobObject.certified_epoch, epoch);
    assert.deepEqual([blobObject.storage.start_epoch, blobObject.storage.end_epoch], [epoch, epoch + epochs]);

    const reading = performance.now();
    same(await stranger().walrus.readBlob({ blobId }), blob, 'readBlob');
    t.diagnostic(`read in ${Math.round(performance.now() - reading)} ms`);
    same(await blobGet(blobId), blob, 'walrusfs blob get');
    const range = [Math.floor(size / 3), Math.ceil(size / 2)];
    same(await blobGet(blobId, '--range', range.join('-')), blob.subarray(...range), 'walrusfs blob get --range');
    const id = await withFile(blob, (name) => walrusfs('blob', 'id', name, '--shards', String(status.n_shards)));
    assert.equal(id, blobId, 'walrusfs blob id');

    const blobObjectId = blobObject.id;
    assert.deepEqual(await stranger().walrus.readBlobAttributes({ blobObjectId }), { kind: 'noise' });
    await user.paying(storagePrice(size, 4), () =>
      user.client.walrus.executeExtendBlobTransaction({ blobObjectId, epochs: 4, signer: user.signer }),
    );
    const extended = await stranger().walrus.getBlobObject(blobObjectId);
    assert.equal(extended.storage.end_epoch, epoch + epochs + 4);
    await user.paying(0n, () =>
      user.client.walrus.executeDeleteBlobTransaction({ blobObjectId, signer: user.signer }),
    );
    assert.equal(await walrusfsFails('blob', 'get', blobId), NOT_FOUND);
  });

  test(`${size} bytes written by walrusfs`, async (t) => {
    const blob = noise(`written by walrusfs ${size}`, size);
    const blobId = await withFile(blob, (name) => walrusfs('blob', 'put', name, '--yes'));
    const reading = performance.now();
    const found = await stranger().walrus.getBlob({ blobId });
    same(await found.asFile().bytes(), blob, 'getBlob');
    t.diagnostic(`read in ${Math.round(performance.now() - reading)} ms`);
    assert.equal(await found.exists(), true);
    assert.equal(await found.storedUntil(), status.epoch + 1);
  });
}
