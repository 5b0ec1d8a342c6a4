// Quilts: many files in one blob, written by the SDK, each read by the SDK and by us.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { WalrusFile } from '@mysten/walrus';
import { User, blobGet, noise, same, status, stranger, walrusfs, walrusfsFails } from './network.mjs';

const NOT_FOUND = 11;
const FILES = [
  { identifier: 'a.txt', contents: noise('a', 1), tags: {} },
  { identifier: 'b/ö ü.bin', contents: noise('b', 70_001), tags: { kind: 'photo', year: '2024' } },
  { identifier: 'c', contents: noise('c', 0), tags: {} },
  { identifier: 'd', contents: noise('d', 400_000), tags: { kind: 'film' } },
  { identifier: 'e', contents: noise('e', 333), tags: { kind: 'photo' } },
];

let user;
let quiltId;
let patches;
before(async () => {
  user = await User.funded();
  const written = await user.client.walrus.writeFiles({
    files: FILES.map((file) => WalrusFile.from(file)),
    epochs: 2,
    deletable: true,
    signer: user.signer,
  });
  quiltId = written[0].blobId;
  patches = written.map(({ id }) => id);
  assert.equal(patches.length, FILES.length);
  const attributes = await stranger().walrus.readBlobAttributes({ blobObjectId: written[0].blobObject.id });
  assert.deepEqual(attributes, { _walrusBlobType: 'quilt' });
});

test('patches read by the SDK', async () => {
  const files = await stranger().walrus.getFiles({ ids: patches });
  for (const [i, expected] of FILES.entries()) {
    same(await files[i].bytes(), expected.contents, expected.identifier);
    assert.equal(await files[i].getIdentifier(), expected.identifier);
    assert.deepEqual(await files[i].getTags(), expected.tags);
  }
});

test('files of a quilt listed and chosen by the SDK', async () => {
  const quilt = await stranger().walrus.getBlob({ blobId: quiltId });
  const names = async (filter) => Promise.all((await quilt.files(filter)).map((file) => file.getIdentifier()));
  assert.deepEqual(await names(), FILES.map(({ identifier }) => identifier));
  assert.deepEqual(await names({ tags: [{ kind: 'photo' }] }), ['b/ö ü.bin', 'e']);
  assert.deepEqual(await names({ identifiers: ['d'] }), ['d']);
});

test('patches read by walrusfs', async () => {
  for (const [i, { identifier, contents }] of FILES.entries()) {
    same(await blobGet(patches[i]), contents, `the patch id of ${identifier}`);
    same(await blobGet(quiltId, '--patch', identifier), contents, `the identifier ${identifier}`);
  }
  same(await blobGet(patches[3], '--range', '1000-70000'), FILES[3].contents.subarray(1000, 70_000), 'a range');
  assert.equal(await walrusfsFails('blob', 'get', quiltId, '--patch', 'nobody'), NOT_FOUND);
});

test('patches listed by walrusfs', async () => {
  const listed = JSON.parse(await walrusfs('blob', 'patches', quiltId, '--json'));
  const expected = FILES.map(({ identifier, tags }, i) => ({ identifier, patch_id: patches[i], tags }));
  assert.deepEqual(listed, expected);
});

test('a quilt with every column taken', async () => {
  const columns = status.n_shards - Math.floor((status.n_shards - 1) / 3);
  const blobs = Array.from({ length: columns - 10 }, (_, i) => ({
    identifier: `file ${String(i).padStart(4, '0')}`,
    contents: noise(`small ${i}`, i),
  }));
  const { blobId, index } = await user.client.walrus.writeQuilt({
    blobs,
    epochs: 1,
    deletable: true,
    signer: user.signer,
  });
  for (const i of [0, 1, blobs.length >> 1, blobs.length - 1]) {
    const { patchId } = index.patches[i];
    const [file] = await stranger().walrus.getFiles({ ids: [patchId] });
    same(await file.bytes(), blobs[i].contents, `file ${i} by the SDK`);
    same(await blobGet(patchId), blobs[i].contents, `file ${i} by walrusfs`);
  }
  const listed = JSON.parse(await walrusfs('blob', 'patches', blobId, '--json'));
  assert.deepEqual(listed.map(({ patch_id }) => patch_id), index.patches.map(({ patchId }) => patchId));
});
