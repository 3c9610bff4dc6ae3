import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ZERO_HASH, type Hash } from '../crypto/hash.ts';
import { merkleRoot } from '../crypto/merkle.ts';
import { AMOUNT_MAX, millis, SUPPLY } from '../ledger/ids.ts';
import { ownershipLink } from '../ledger/bodies/device-life.ts';
import { batchId, batchLeaf, claimSigningBytes, endorsementSigningBytes } from '../ledger/bodies/device.ts';
import type { Body } from '../ledger/body.ts';
import {
  endorse,
  fakeSign,
  makeBatch,
  person,
  transfer,
  World,
  type Batch,
  type Person,
} from '../testing/state-world.ts';
import { precheck } from './admission.ts';
import { claimFlaw } from './apply-device.ts';
import { STATE_LIMITS } from './limits.ts';

const maker = person('maker');
const alice = person('alice');
const mallory = person('mallory');
const DEPOSIT = 1_000_000n;

function world(): World {
  return new World(['maker', 'alice', 'mallory']);
}

/** A registered maker with one registered batch. */
function shipped(count = 5): { readonly w: World; readonly batch: Batch } {
  const w = world();
  const batch = makeBatch(maker, 'lamp', count);
  assert.equal(w.send(maker, { kind: 'register-maker', name: 'Lumen' }), 'ok');
  assert.equal(w.send(maker, w.registerBatch(maker, batch, DEPOSIT)), 'ok');
  return { w, batch };
}

const claimed = (w: World, batch: Batch, index: number, owner = alice): Body => ({
  kind: 'claim',
  claim: w.claim(batch, index, owner),
});

test('STATE-4.1: whoever has a name becomes a maker, once', () => {
  const w = world();
  assert.equal(w.send(maker, { kind: 'register-maker', name: '' }), 'maker.malformed');
  assert.equal(w.send(maker, { kind: 'register-maker', name: 'Lumen' }), 'ok');
  assert.equal(w.send(maker, { kind: 'register-maker', name: 'Lumen 2' }), 'maker.exists');
  const { deposit: _, ...record } = w.state.maker(maker.address) ?? assert.fail();
  assert.deepEqual(record, { name: 'Lumen', registeredAt: 2, attestation: undefined });
});

test('STATE-4.2: only a maker registers batches', () => {
  const w = world();
  assert.equal(w.send(maker, w.registerBatch(maker, makeBatch(maker, 'lamp', 1), 0n)), 'maker.unknown');
});

test('STATE-4.3: the maker pays the built-in ITC of the whole batch, and the batch holds it', () => {
  const { w, batch } = shipped(5);
  const { deposit: _, ...record } = w.state.batch(batch.id) ?? assert.fail();
  assert.deepEqual(record, {
    maker: maker.address,
    root: batch.root,
    count: 5,
    model: w.state.batch(batch.id)?.model,
    depositPerDevice: DEPOSIT,
    claimed: 0,
    registeredAt: 2,
    attestation: undefined,
  });
  const { fees } = w.state.epoch;
  assert.equal(w.balance(maker), 1_000_000_000_000n - 5n * DEPOSIT - fees);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-4.3: a deposit beyond the balance is refused, also where 64 bits would wrap', () => {
  const w = world();
  assert.equal(w.send(maker, { kind: 'register-maker', name: 'Lumen' }), 'ok');
  const batch = makeBatch(maker, 'lamp', 4);
  // 4 · 2^62 = 2^64, which a wrapping multiplication takes for nothing.
  for (const deposit of [SUPPLY, 1n << 62n, 1n << 63n, AMOUNT_MAX]) {
    assert.equal(w.send(maker, w.registerBatch(maker, batch, deposit)), 'transaction.balance');
  }
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-4.4: a batch has between one device and the limit', () => {
  const { w, batch } = shipped();
  const body = w.registerBatch(maker, batch, 0n);
  assert.equal(body.kind, 'register-batch');
  if (body.kind !== 'register-batch') return;
  for (const count of [0, STATE_LIMITS.batchDevicesMax + 1, 0xffff_ffff]) {
    assert.equal(w.send(maker, { ...body, batch: { ...body.batch, count } }), 'batch.malformed');
  }
});

test('STATE-4.5: one root registers once per maker', () => {
  const { w, batch } = shipped();
  assert.equal(w.send(maker, w.registerBatch(maker, batch, 0n)), 'batch.exists');
  assert.equal(w.send(alice, { kind: 'register-maker', name: 'Copy' }), 'ok');
  assert.equal(w.send(alice, w.registerBatch(alice, batch, 0n)), 'ok');
});

test('STATE-5.1: a claim makes the sender the owner and gives the device its built-in ITC', () => {
  const { w, batch } = shipped();
  const { device } = batch.devices[2] as Batch['devices'][number];
  const { events } = w.block(w.transaction(alice, claimed(w, batch, 2)));
  const model = w.state.batch(batch.id)?.model;
  const { deposit: _, history, recoveryDelay, ...record } = w.state.device(device.address) ?? assert.fail();
  const at = millis(1_003_000);
  assert.deepEqual(record, {
    key: device.key,
    owner: alice.address,
    batch: batch.id,
    model,
    claimedAt: at,
    state: 'owned',
    transfers: 0,
    ownedSince: at,
  });
  assert.equal(recoveryDelay, STATE_LIMITS.deviceRecoveryMs);
  assert.deepEqual(
    history,
    ownershipLink(ZERO_HASH, { transfers: 0, how: 'claimed', owner: alice.address, at }),
  );
  assert.equal(w.balance(device), DEPOSIT);
  assert.equal(w.state.batch(batch.id)?.claimed, 1);
  assert.equal(w.state.supply(), SUPPLY);
  assert.equal(events[0]?.kind, 'device-claimed');
});

test('STATE-5.1: every device of a batch of any size can be claimed, and then the batch holds nothing', () => {
  for (const count of [1, 2, 3, 7]) {
    const { w, batch } = shipped(count);
    for (const { index } of batch.devices)
      assert.equal(w.send(alice, claimed(w, batch, index)), 'ok', `${index} of ${count}`);
    assert.equal(w.state.batch(batch.id)?.claimed, count);
    assert.equal(w.state.count('device'), count);
    assert.equal(w.state.supply(), SUPPLY);
  }
});

test('STATE-5.2: a claim from a batch that is not registered is refused', () => {
  const { w } = shipped();
  const other = makeBatch(maker, 'other', 2);
  assert.equal(w.send(alice, claimed(w, other, 0)), 'batch.unknown');
});

test('STATE-5.3: device, claim key, index and path must lead to the root', () => {
  const { w, batch } = shipped();
  const claim = w.claim(batch, 1, alice);
  const { device, claimKey } = batch.devices[1] as Batch['devices'][number];
  const spare = person('spare');
  const wrong = [
    { ...claim, index: 2 },
    { ...claim, index: 5 },
    { ...claim, path: claim.path.slice(1) },
    { ...claim, path: [...claim.path, batch.root] },
    { ...claim, path: claim.path.toReversed() },
    { ...claim, device: spare.key, endorsement: endorse(spare, claimKey.key) },
    { ...claim, claimKey: spare.key, endorsement: endorse(device, spare.key) },
  ];
  for (const forged of wrong)
    assert.equal(w.send(alice, { kind: 'claim', claim: forged }), 'device.not-in-batch');
  assert.equal(w.state.count('device'), 0);
});

test('STATE-5.4: a claim seen in the pool cannot be redirected to another sender (front running)', () => {
  const { w, batch } = shipped();
  const body = claimed(w, batch, 0, alice);
  assert.equal(w.send(mallory, body), 'claim.signature');
  assert.equal(w.send(alice, body), 'ok');
});

test('STATE-5.4: a claim made out on another chain is refused', () => {
  const { w, batch } = shipped();
  const elsewhere = new World(['maker', 'alice', 'mallory'], 11n);
  assert.equal(w.send(alice, claimed(elsewhere, batch, 0)), 'claim.signature');
});

/** A batch of one at mallory's: the device key of the first lamp beside a claim key of mallory's. */
function copied(w: World, batch: Batch): { readonly id: Hash; readonly own: Person } {
  const { device } = batch.devices[0] as Batch['devices'][number];
  const own = person('mallory claim');
  const root = merkleRoot([batchLeaf(device.key, own.key)]);
  const copy: Batch = {
    id: batchId(mallory.address, root),
    root,
    devices: [{ device, claimKey: own, index: 0, path: [] }],
  };
  assert.equal(w.send(mallory, { kind: 'register-maker', name: 'Copy' }), 'ok');
  assert.equal(w.send(mallory, w.registerBatch(mallory, copy, 0n)), 'ok');
  return { id: copy.id, own };
}

test('STATE-5.6: front-running: a batch registered with somebody else’s device key cannot be claimed', () => {
  const { w, batch } = shipped();
  // What mallory sees in the pool: all of alice's claim, with the device's endorsement of the true claim key.
  const seen = w.claim(batch, 0, alice);
  const { id, own } = copied(w, batch);
  const proof = fakeSign(own.key, claimSigningBytes(w.chain, seen.device, mallory.address));
  const forged = { ...seen, batch: id, claimKey: own.key, index: 0, path: [], proof };
  const words = endorsementSigningBytes(seen.device, own.key);
  const endorsements = [seen.endorsement, seen.proof, fakeSign(own.key, words), fakeSign(mallory.key, words)];
  for (const endorsement of endorsements) {
    const body: Body = { kind: 'claim', claim: { ...forged, endorsement } };
    const checked = precheck(w.state, w.context, w.transaction(mallory, body));
    assert.equal(checked.ok ? 'ok' : checked.code, 'claim.endorsement');
    assert.equal(w.send(mallory, body), 'claim.endorsement');
  }
  assert.equal(w.state.count('device'), 0);
  assert.equal(w.send(alice, { kind: 'claim', claim: seen }), 'ok');
});

test('STATE-5.6: only the endorsement stands between that batch and the device', () => {
  const { w, batch } = shipped();
  const { device } = batch.devices[0] as Batch['devices'][number];
  const { id, own } = copied(w, batch);
  const proof = fakeSign(own.key, claimSigningBytes(w.chain, device.key, mallory.address));
  const endorsement = endorse(device, own.key);
  const claim = { batch: id, device: device.key, claimKey: own.key, index: 0, path: [], endorsement, proof };
  assert.equal(w.send(mallory, { kind: 'claim', claim }), 'ok');
});

test('STATE-5.6: an endorsement holds for one device and one claim key, in every byte', () => {
  const { w, batch } = shipped();
  const claim = w.claim(batch, 1, alice);
  const { device, claimKey } = batch.devices[1] as Batch['devices'][number];
  const [other] = batch.devices as [Batch['devices'][number]];
  const bytes = endorsementSigningBytes(device.key, claimKey.key);
  assert.equal(claimFlaw(w.context, claim), undefined);
  const wrong = [
    endorse(other.device, claimKey.key),
    endorse(device, other.claimKey.key),
    fakeSign(claimKey.key, bytes),
    fakeSign(device.key, claimSigningBytes(w.chain, device.key, alice.address)),
  ];
  for (const endorsement of wrong)
    assert.equal(w.send(alice, { kind: 'claim', claim: { ...claim, endorsement } }), 'claim.endorsement');
  fc.assert(
    fc.property(fc.nat(claim.endorsement.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
      const endorsement = claim.endorsement.with(at, (claim.endorsement[at] as number) ^ bits);
      assert.equal(claimFlaw(w.context, { ...claim, endorsement })?.code, 'claim.endorsement');
    }),
  );
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
      const endorsement = fakeSign(device.key, bytes.with(at, (bytes[at] as number) ^ bits));
      assert.equal(claimFlaw(w.context, { ...claim, endorsement })?.code, 'claim.endorsement');
    }),
  );
});

test('STATE-5.6: an endorsement is of no chain, since none is known in the factory: it serves on each', () => {
  const elsewhere = new World(['maker', 'alice', 'mallory'], 11n);
  const { w, batch } = shipped();
  const { endorsement } = elsewhere.claim(batch, 0, alice);
  assert.equal(w.send(alice, { kind: 'claim', claim: { ...w.claim(batch, 0, alice), endorsement } }), 'ok');
});

test('STATE-5.5: a device is claimed once, by whichever claim comes first (double claim)', () => {
  const { w, batch } = shipped();
  const { receipts } = w.block(
    w.transaction(alice, claimed(w, batch, 0, alice)),
    w.transaction(mallory, claimed(w, batch, 0, mallory)),
    w.transaction(alice, claimed(w, batch, 0, alice), { nonce: 1 }),
  );
  assert.deepEqual(
    receipts.map(({ outcome }) => (outcome.ok ? 'ok' : outcome.code)),
    ['ok', 'device.claimed', 'device.claimed'],
  );
  const { device } = batch.devices[0] as Batch['devices'][number];
  assert.deepEqual(w.state.device(device.address)?.owner, alice.address);
  assert.equal(w.balance(device), DEPOSIT);
});

test('STATE-5.5: a second batch that holds a claimed device gives no second owner', () => {
  const { w, batch } = shipped();
  assert.equal(w.send(alice, claimed(w, batch, 0)), 'ok');
  assert.equal(w.send(mallory, { kind: 'register-maker', name: 'Copy' }), 'ok');
  const copy = { ...makeBatch(mallory, 'lamp', 5) };
  assert.equal(w.send(mallory, w.registerBatch(mallory, copy, 0n)), 'ok');
  assert.equal(w.send(mallory, claimed(w, copy, 0, mallory)), 'device.claimed');
});

test('STATE-5.1: money that lies at a device’s address already stays there beside the deposit', () => {
  const { w, batch } = shipped();
  const { device } = batch.devices[0] as Batch['devices'][number];
  assert.equal(w.send(alice, transfer(device, 5n)), 'ok');
  assert.equal(w.send(alice, claimed(w, batch, 0)), 'ok');
  assert.equal(w.balance(device), DEPOSIT + 5n);
});
