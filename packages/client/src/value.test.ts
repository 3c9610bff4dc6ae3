import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { StateTree, writeStateProof } from '@itc/core/crypto/state-tree.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { balanceKey, encodeBalance } from '@itc/core/dag/ledger-records.js';
import { encodeCheckpoint, type SubnetCheckpoint } from '@itc/core/ledger/checkpoint.js';
import { amount, millis } from '@itc/core/ledger/ids.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import { valueOrderOf } from '@itc/core/ledger/value-order.js';
import { toBase64Url } from './base64url.ts';
import { seedSigner } from './keys.ts';
import { buildOrder, judgeBalance, readVoucherNote, type ValueOrder } from './value.ts';

const chain = asHash(new Uint8Array(32).fill(5));
const subnet = asHash(new Uint8Array(32).fill(6));
const ann = seedSigner(new Uint8Array(32).fill(1));
const bob = seedSigner(new Uint8Array(32).fill(2));
const note: ValueOrder = {
  kind: 'voucher',
  lane: 2,
  to: bob.address,
  amount: amount(5_000_000n),
  expiresAt: millis(99),
};

test('CLIENT-8.1: an order is a payload of its holder for one subnet, under the id it is known by', async () => {
  const order: ValueOrder = {
    kind: 'transfer',
    to: bob.address,
    amount: amount(7n),
    expiresAt: millis(9),
  };
  const { id, bytes } = await buildOrder({ chain, subnet, signer: ann, sequence: 4, order });
  const parsed = parsePayload(chain, bytes);
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value.id, id);
  assert.deepEqual([parsed.value.device, parsed.value.sequence], [ann.address, 4]);
  assert.ok(verifySignature(parsed.value.signer, parsed.value.signedBytes, parsed.value.signature));
  const read = valueOrderOf(subnet, parsed.value);
  assert.deepEqual(read.ok && read.value, order);
  assert.equal(valueOrderOf(chain, parsed.value).ok, false);
});

test('CLIENT-8.2: who is handed a voucher reads what it promises; another subnet, chain, kind or a changed byte is refused', async () => {
  const { bytes } = await buildOrder({ chain, subnet, signer: ann, sequence: 31, order: note });
  const at = { chain, subnet, verify: verifySignature };
  const read = readVoucherNote(at, bytes);
  assert.ok(read.ok);
  assert.deepEqual(read.value, {
    from: ann.address,
    to: bob.address,
    lane: 2,
    number: 31,
    amount: 5_000_000n,
    expiresAt: 99,
  });
  const codeOf = (o: Partial<typeof at>, of = bytes): string => {
    const result = readVoucherNote({ ...at, ...o }, of);
    return result.ok ? 'ok' : result.code;
  };
  assert.equal(codeOf({ subnet: chain }), 'payload.malformed');
  assert.equal(codeOf({ chain: subnet }), 'payload.signature');
  const last = bytes.length - 1;
  assert.equal(codeOf({}, bytes.with(last, (bytes[last] as number) ^ 1)), 'payload.signature');
  const release: ValueOrder = { kind: 'release', lane: 2 };
  const other = await buildOrder({ chain, subnet, signer: ann, sequence: 32, order: release });
  assert.equal(codeOf({}, other.bytes), 'payload.malformed');
});

test('CLIENT-8.3: a balance is believed by its proof only', () => {
  const { address } = ann;
  const tree = StateTree.empty.update([
    { key: balanceKey(address), value: encodeBalance({ address, balance: 12n }) },
    { key: balanceKey(bob.address), value: encodeBalance({ address: bob.address, balance: 13n }) },
  ]);
  const checkpoint: SubnetCheckpoint = {
    subnet,
    sequence: 3,
    previous: subnet,
    time: millis(5),
    anchors: [chain],
    inclusionRoot: chain,
    appliedRoot: chain,
    stateRoot: tree.root,
    envelopeCount: 1,
    payloadCount: 0,
    powBits: 0,
  };
  const writer = new Writer(256);
  writeStateProof(writer, tree.prove(balanceKey(address)));
  const told = {
    balance: '12',
    checkpoint: toBase64Url(encodeCheckpoint(checkpoint)),
    proof: toBase64Url(writer.finish()),
  };
  assert.deepEqual(judgeBalance(address, told), { balance: 12n, checkpoint });
  for (const changes of [
    { balance: '13' },
    { balance: '0' },
    { balance: '012' },
    { balance: '-12' },
    { proof: '' },
    { checkpoint: toBase64Url(encodeCheckpoint({ ...checkpoint, stateRoot: chain })) },
  ])
    assert.equal(judgeBalance(address, { ...told, ...changes }), undefined, JSON.stringify(changes));
  assert.equal(judgeBalance(bob.address, told), undefined);
});
