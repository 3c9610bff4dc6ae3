/** Ten million accounts in seconds: addresses that follow from a number, and records in the order of the tree. */
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, TAGS } from '@itc/core/crypto/hash.js';
import { asAddress, type Address } from '@itc/core/ledger/address.js';
import { amount } from '@itc/core/ledger/ids.js';
import { accountKey } from '@itc/core/state/keys.js';
import type { StateEntry } from '@itc/core/state/record-store.js';
import { encodeRecord } from '@itc/core/state/records.js';
import { laneHasher } from '@itc/node/crypto/sha256-lanes.js';

/** Of every account: one that has sent once. */
export const FIRST_NONCE = 1;
const BALANCE = 1_000_000_000n;

/** 32 bytes that look like chance, the number among them, so that no two are the same. */
export function addressAt(n: number): Address {
  const bytes = new Uint8Array(HASH_BYTES);
  const words = new Uint32Array(bytes.buffer);
  let state = Math.imul(n + 1, 0x9e37_79b1) >>> 0;
  for (let i = 0; i < words.length; i += 1) {
    state = Math.imul(state ^ (state >>> 15), 0x85eb_ca6b) + 0x6d2b_79f5;
    words[i] = state ^ (state >>> 13);
  }
  words[7] = n;
  return asAddress(bytes);
}

const TAG = Uint8Array.of(...utf8Encode(TAGS.stateKey), 0);
const BATCH = 4_096;
const BUCKETS = 65_536;

/** Numbers of accounts in the order of the hashes of their keys, as far as their first 16 bits say. */
function inTreeOrder(count: number): Uint32Array {
  const hashes = new Uint32Array(count);
  const digests = new Uint8Array(HASH_BYTES * BATCH);
  const length = TAG.length + 1 + HASH_BYTES;
  const inputs = new Uint8Array(length * BATCH);
  for (let i = 0; i < BATCH; i += 1) inputs.set(TAG, length * i);
  const places = new Uint32Array(2 * BATCH);
  for (let from = 0; from < count; from += BATCH) {
    const batch = Math.min(BATCH, count - from);
    for (let i = 0; i < batch; i += 1) {
      inputs.set(accountKey(addressAt(from + i)), length * i + TAG.length);
      places.set([length * i, length], 2 * i);
    }
    laneHasher().stretches(inputs, places, batch, digests);
    const view = new DataView(digests.buffer);
    for (let i = 0; i < batch; i += 1) hashes[from + i] = view.getUint32(HASH_BYTES * i);
  }
  // By counting: a comparison for each of 10^7 accounts and each of 24 levels would take longer than all else.
  const starts = new Uint32Array(BUCKETS + 1);
  for (const hash of hashes) starts[(hash >>> 16) + 1] = (starts[(hash >>> 16) + 1] as number) + 1;
  for (let i = 0; i < BUCKETS; i += 1) starts[i + 1] = (starts[i + 1] as number) + (starts[i] as number);
  const numbers = new Uint32Array(count);
  for (let n = 0; n < count; n += 1) {
    const bucket = (hashes[n] as number) >>> 16;
    numbers[starts[bucket] as number] = n;
    starts[bucket] = (starts[bucket] as number) + 1;
  }
  return numbers;
}

/** Their records, some tens of thousands at a time. */
export function* accountsInTreeOrder(count: number, pieces = 50_000): Iterable<StateEntry[]> {
  const value = encodeRecord('account', { balance: amount(BALANCE), nonces: [FIRST_NONCE] });
  const order = inTreeOrder(count);
  for (let from = 0; from < count; from += pieces)
    yield Array.from(order.subarray(from, from + pieces), (n) => ({ key: accountKey(addressAt(n)), value }));
}
