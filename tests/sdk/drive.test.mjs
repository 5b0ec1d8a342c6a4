// The packs of a drive that tests/e2e/sdk.rs mounted and filled (SDK_DRIVE is its object) are blobs like any other.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bcs } from '@mysten/sui/bcs';
import { blobGet, same, stranger } from './network.mjs';

const client = stranger();

async function fields(parentId) {
  const all = [];
  for (let cursor = null, more = true; more; ) {
    const page = await client.core.listDynamicFields({ parentId, cursor, limit: 5 });
    all.push(...page.dynamicFields);
    ({ cursor, hasNextPage: more } = page);
  }
  return all;
}

/** The ids of the blobs in the drive's storage pool, found as anybody can: by the fields of its objects. */
async function packs(driveId) {
  const [pool] = await fields(driveId);
  const [inner] = await fields(pool.childId);
  const { dynamicField } = await client.core.getDynamicField({ parentId: pool.childId, name: inner.name });
  // Ends with used_encoded_bytes, blob_count and the table of blobs: its id and its size.
  const value = dynamicField.value.bcs;
  const table = bcs.Address.parse(value.slice(-40, -8));
  const size = bcs.u64().parse(value.slice(-8));
  const blobs = await fields(table);
  assert.equal(String(blobs.length), size);
  return blobs.map(({ name }) => Buffer.from(name.bcs).toString('base64url'));
}

test('packs of a drive read by the SDK', async (t) => {
  const ids = await packs(process.env.SDK_DRIVE);
  t.diagnostic(`${ids.length} packs`);
  assert.ok(ids.length > 1, 'more than one pack');
  let bytes = 0;
  for (const blobId of ids) {
    const read = await stranger().walrus.readBlob({ blobId });
    same(read, await blobGet(blobId), `pack ${blobId}`);
    bytes += read.length;
  }
  assert.ok(bytes >= Number(process.env.SDK_DRIVE_BYTES), `the packs hold what was copied: ${bytes}`);
});
