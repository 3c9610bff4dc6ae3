import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../bytes/hex.ts';
import { MmrLog } from '../crypto/mmr.ts';
import { checkpointHash, type SubnetCheckpoint } from '../ledger/checkpoint.ts';
import { millis } from '../ledger/ids.ts';
import { subnetId } from '../ledger/bodies/subnet.ts';
import type { Body } from '../ledger/body.ts';
import { bitmapOf } from '../ledger/validators.ts';
import {
  fakeSign,
  memberSet,
  person,
  sortedMembers,
  subnetOfGenesis,
  transfer,
  World,
  type Person,
} from '../testing/state-world.ts';
import { precheck } from './admission.ts';
import { checkpointLeaf } from './checkpoint-range.ts';
import { checkpointRangeKey } from './keys.ts';
import { noChanges } from './ledger-state.ts';
import { NO_DEPOSIT } from './record-deposit.ts';

const alice = person('alice');
/** A member, as gateways are. */
const [gateway, second] = sortedMembers as [Person, Person];

const world = (): World => new World(['alice']);

const create = (changes: Partial<Extract<Body, { kind: 'create-subnet' }>> = {}): Body => ({
  kind: 'create-subnet',
  name: 'house',
  members: memberSet,
  powBits: 6,
  ...changes,
});

const placed = (w: World, checkpoint: SubnetCheckpoint, signers?: readonly number[]): Body => ({
  kind: 'checkpoint',
  certificate: w.certify(checkpoint, signers),
});

test('STATE-7.1: a subnet begins without checkpoints, under an id of its creator and name', () => {
  const w = world();
  assert.equal(w.send(alice, create()), 'ok');
  const id = subnetId(alice.address, 'house');
  assert.deepEqual(w.state.subnet(id), {
    name: 'house',
    members: memberSet,
    powBits: 6,
    lastSequence: 0,
    lastHash: id,
    lastTime: 0,
    lastHeight: 0,
    envelopes: 0,
    payloads: 0,
    deposit: { payer: alice.address, amount: 0n },
  });
  assert.deepEqual([...w.state.subnets()].map((entry) => entry.subnet.name).sort(), ['home', 'house']);
});

test('STATE-7.2: one name once per creator', () => {
  const w = new World(['alice', 'bob']);
  assert.equal(w.send(alice, create()), 'ok');
  assert.equal(w.send(alice, create({ powBits: 7 })), 'subnet.exists');
  assert.equal(w.send(person('bob'), create()), 'ok');
});

test('STATE-7.4: whatever its checkpoints ask for, the least bits of work of a subnet stay what it was made with', () => {
  const w = world();
  assert.equal(w.send(alice, create({ powBits: 3 })), 'ok');
  const id = subnetId(alice.address, 'house');
  const checkpoint = { ...w.nextCheckpoint(id), powBits: 9 };
  assert.equal(w.send(gateway, placed(w, checkpoint), { nonce: 0, fee: 0n }), 'ok');
  assert.deepEqual([w.state.subnet(id)?.powBits, w.state.basePowBits(id)], [9, 3]);
  assert.equal(w.state.basePowBits(subnetOfGenesis), undefined, 'the document of genesis says it');
});

test('STATE-7.3: a subnet without name, with too many members or too much work is refused', () => {
  const w = world();
  assert.equal(w.send(alice, create({ name: '' })), 'subnet.malformed');
  assert.equal(w.send(alice, create({ powBits: 25 })), 'subnet.malformed');
  const many = Array.from({ length: 33 }, (_, i) => ({
    key: { algorithm: 1 as const, bytes: new Uint8Array(32).fill(i) },
    weight: 1,
  }));
  assert.equal(w.send(alice, create({ members: many })), 'subnet.malformed');
  assert.equal(w.send(alice, create({ members: many.slice(0, 32) })), 'ok');
});

test('STATE-8.1: the next checkpoint with a quorum is committed, without fee, nonce or account', () => {
  const w = world();
  const checkpoint = w.nextCheckpoint(subnetOfGenesis);
  const body = placed(w, checkpoint);
  const { receipts, events } = w.block(w.transaction(gateway, body, { fee: 0n, nonce: 77 }));
  assert.deepEqual([receipts[0]?.fee, receipts[0]?.outcome], [0n, { ok: true }]);
  assert.equal(w.state.account(gateway.address), undefined);
  const subnet = w.state.subnet(subnetOfGenesis);
  assert.deepEqual(
    { ...subnet, members: undefined },
    {
      name: 'home',
      members: undefined,
      powBits: 5,
      lastSequence: 1,
      lastHash: checkpointHash(checkpoint),
      lastTime: 500,
      lastHeight: 1,
      envelopes: 3,
      payloads: 7,
      deposit: NO_DEPOSIT,
    },
  );
  const [event] = events;
  assert.equal(event?.kind, 'checkpoint-committed');
  if (event?.kind !== 'checkpoint-committed') return;
  assert.deepEqual(
    [event.sequence, event.hash, event.payloadCount, event.weight, event.total],
    [1, checkpointHash(checkpoint), 7, 3, 4],
  );
});

/** Sends a checkpoint that must be refused and checks that it left no trace at all. */
function refusedUntouched(w: World, code: string, body: Body): void {
  const { root } = w.state;
  assert.equal(w.send(gateway, body), code);
  assert.deepEqual(w.state.root, root);
}

test('STATE-8.2: only the next sequence is accepted: no repetition, no gap', () => {
  const w = world();
  const first = placed(w, w.nextCheckpoint(subnetOfGenesis));
  refusedUntouched(w, 'checkpoint.sequence', placed(w, w.nextCheckpoint(subnetOfGenesis, { sequence: 2 })));
  refusedUntouched(w, 'checkpoint.sequence', placed(w, w.nextCheckpoint(subnetOfGenesis, { sequence: 0 })));
  assert.equal(w.send(gateway, first), 'ok');
  refusedUntouched(w, 'checkpoint.sequence', first);
  assert.equal(w.send(gateway, placed(w, w.nextCheckpoint(subnetOfGenesis))), 'ok');
});

test('STATE-8.2: of two certificates for one sequence the first executed wins, also inside one block', () => {
  const w = world();
  const a = w.nextCheckpoint(subnetOfGenesis);
  const b = w.nextCheckpoint(subnetOfGenesis, { payloadCount: 8 });
  const { receipts } = w.block(w.transaction(gateway, placed(w, a)), w.transaction(second, placed(w, b)));
  assert.deepEqual(
    receipts.map(({ outcome }) => (outcome.ok ? 'ok' : outcome.code)),
    ['ok', 'checkpoint.sequence'],
  );
  assert.deepEqual(w.state.subnet(subnetOfGenesis)?.lastHash, checkpointHash(a));
});

test('STATE-8.3: a checkpoint on another branch than the committed one is refused', () => {
  const w = world();
  refusedUntouched(
    w,
    'checkpoint.previous',
    placed(w, w.nextCheckpoint(subnetOfGenesis, { previous: w.chain })),
  );
  assert.equal(w.send(gateway, placed(w, w.nextCheckpoint(subnetOfGenesis))), 'ok');
  refusedUntouched(
    w,
    'checkpoint.previous',
    placed(w, w.nextCheckpoint(subnetOfGenesis, { previous: subnetOfGenesis })),
  );
});

test('STATE-8.3: the time of checkpoints does not go back', () => {
  const w = world();
  assert.equal(w.send(gateway, placed(w, w.nextCheckpoint(subnetOfGenesis, { time: millis(9000) }))), 'ok');
  refusedUntouched(
    w,
    'checkpoint.previous',
    placed(w, w.nextCheckpoint(subnetOfGenesis, { time: millis(8999) })),
  );
  assert.equal(w.send(gateway, placed(w, w.nextCheckpoint(subnetOfGenesis, { time: millis(9000) }))), 'ok');
});

test('STATE-8.4: less than the quorum of stake is refused before a signature is verified', () => {
  const w = world();
  const checkpoint = w.nextCheckpoint(subnetOfGenesis);
  refusedUntouched(w, 'checkpoint.quorum', placed(w, checkpoint, [0, 3]));
  refusedUntouched(w, 'checkpoint.quorum', placed(w, checkpoint, []));
  assert.equal(w.send(gateway, placed(w, checkpoint, [0, 1, 2, 3])), 'ok');
});

test('STATE-8.4: one member listed for many cannot make a quorum: the bitmap has one bit each', () => {
  const w = world();
  const { checkpoint, signatures } = w.certify(w.nextCheckpoint(subnetOfGenesis), [0]);
  const thrice = [signatures[0], signatures[0], signatures[0]] as Uint8Array[];
  refusedUntouched(w, 'checkpoint.quorum', {
    kind: 'checkpoint',
    certificate: { checkpoint, signers: bitmapOf([0], 4), signatures: thrice },
  });
  refusedUntouched(w, 'checkpoint.signature', {
    kind: 'checkpoint',
    certificate: { checkpoint, signers: bitmapOf([0, 1, 2], 4), signatures: thrice },
  });
  // A bit beyond the members, and a bitmap of another width.
  refusedUntouched(w, 'checkpoint.quorum', {
    kind: 'checkpoint',
    certificate: { checkpoint, signers: Uint8Array.of(0b1_0011), signatures: thrice },
  });
  refusedUntouched(w, 'checkpoint.quorum', {
    kind: 'checkpoint',
    certificate: { checkpoint, signers: Uint8Array.of(7, 0), signatures: thrice },
  });
});

test('STATE-8.5: every listed signature must hold, also beyond the quorum, and be for this chain', () => {
  const w = world();
  const good = w.certify(w.nextCheckpoint(subnetOfGenesis), [0, 1, 2, 3]);
  for (const broken of [0, 3]) {
    const signatures = good.signatures.map((signature, i) =>
      i === broken ? fakeSign((sortedMembers[i] as (typeof sortedMembers)[number]).key, w.chain) : signature,
    );
    refusedUntouched(w, 'checkpoint.signature', { kind: 'checkpoint', certificate: { ...good, signatures } });
  }
  const elsewhere = new World(['alice'], 11n);
  refusedUntouched(w, 'checkpoint.signature', placed(elsewhere, w.nextCheckpoint(subnetOfGenesis)));
});

test('STATE-8.5: signatures of another subnet’s checkpoint do not serve here', () => {
  const w = world();
  assert.equal(w.send(alice, create()), 'ok');
  const there = w.certify(w.nextCheckpoint(subnetId(alice.address, 'house')));
  refusedUntouched(w, 'checkpoint.signature', {
    kind: 'checkpoint',
    certificate: { ...there, checkpoint: w.nextCheckpoint(subnetOfGenesis) },
  });
  refusedUntouched(w, 'subnet.unknown', placed(w, w.nextCheckpoint(w.chain)));
});

test('STATE-8.6: totals stop at the largest number that can be written, they do not break the chain', () => {
  const w = world();
  const huge = { envelopeCount: 0xffff_ffff, payloadCount: 0xffff_ffff };
  const nearly = w.state.subnet(subnetOfGenesis);
  assert.ok(nearly);
  const changes = noChanges();
  changes.subnet.set(String.fromCharCode(...subnetOfGenesis), {
    ...nearly,
    payloads: Number.MAX_SAFE_INTEGER - 1,
  });
  w.state = w.state.advance(changes).state;
  assert.equal(w.send(gateway, placed(w, w.nextCheckpoint(subnetOfGenesis, huge))), 'ok');
  assert.equal(w.state.subnet(subnetOfGenesis)?.payloads, Number.MAX_SAFE_INTEGER);
});

test('STATE-2.2: a checkpoint expires like any transaction', () => {
  const w = world();
  const root = w.state.root;
  assert.equal(
    w.send(gateway, placed(w, w.nextCheckpoint(subnetOfGenesis)), { validUntil: 0 }),
    'transaction.expired',
  );
  assert.deepEqual(w.state.root, root);
});

test('STATE-8.8: only a member places checkpoints of its subnet, whoever signed them', () => {
  const w = world();
  assert.equal(w.send(alice, create({ name: 'alone', members: [{ key: alice.key, weight: 1 }] })), 'ok');
  const body = placed(w, w.nextCheckpoint(subnetOfGenesis));
  // Membership elsewhere, ownership of another subnet and a funded account do not count.
  for (const stranger of [alice, person('nobody')]) {
    const { root } = w.state;
    const checked = precheck(w.state, w.context, w.transaction(stranger, body));
    assert.equal(checked.ok ? 'ok' : checked.code, 'checkpoint.sender');
    assert.equal(w.send(stranger, body), 'checkpoint.sender');
    assert.deepEqual(w.state.root, root);
  }
  assert.equal(w.send(second, body), 'ok');
});

test('STATE-8.8: a member that did not sign may place what the others signed', () => {
  for (const [index, sender] of sortedMembers.entries()) {
    const w = world();
    const others = [0, 1, 2, 3].filter((other) => other !== index);
    assert.equal(w.send(sender, placed(w, w.nextCheckpoint(subnetOfGenesis), others)), 'ok');
  }
});

test('STATE-8.9: attack checkpoint flood: a block takes one checkpoint of a subnet, the next waits for the next block', () => {
  const w = world();
  const first = w.nextCheckpoint(subnetOfGenesis);
  const next = w.nextCheckpoint(subnetOfGenesis, {
    sequence: 2,
    previous: checkpointHash(first),
    time: millis(1000),
  });
  const transactions = [w.transaction(gateway, placed(w, first)), w.transaction(second, placed(w, next))];
  const codes = w.block(...transactions).receipts.map(({ outcome }) => (outcome.ok ? 'ok' : outcome.code));
  assert.deepEqual(codes, ['ok', 'checkpoint.sequence']);
  assert.equal(w.state.subnet(subnetOfGenesis)?.lastSequence, 1);
  assert.equal(w.send(second, placed(w, next)), 'ok');
});

test('STATE-8.9: checkpoints of different subnets share a block', () => {
  const w = world();
  assert.equal(w.send(alice, create()), 'ok');
  const { receipts } = w.block(
    w.transaction(gateway, placed(w, w.nextCheckpoint(subnetOfGenesis))),
    w.transaction(gateway, placed(w, w.nextCheckpoint(subnetId(alice.address, 'house')))),
  );
  assert.ok(receipts.every(({ outcome }) => outcome.ok));
});

test('STATE-8.7: a pool takes only checkpoints that carry a quorum, since they pay nothing', () => {
  const w = world();
  const codeOf = (body: Body): string => {
    const checked = precheck(w.state, w.context, w.transaction(gateway, body));
    return checked.ok ? 'ok' : checked.code;
  };
  assert.equal(codeOf(placed(w, w.nextCheckpoint(subnetOfGenesis))), 'ok');
  assert.equal(codeOf(placed(w, w.nextCheckpoint(subnetOfGenesis, { sequence: 64 }))), 'ok');
  assert.equal(codeOf(placed(w, w.nextCheckpoint(subnetOfGenesis, { sequence: 65 }))), 'checkpoint.sequence');
  assert.equal(codeOf(placed(w, w.nextCheckpoint(subnetOfGenesis, { sequence: 0 }))), 'checkpoint.sequence');
  assert.equal(codeOf(placed(w, w.nextCheckpoint(subnetOfGenesis), [1, 2])), 'checkpoint.quorum');
  assert.equal(codeOf(placed(w, w.nextCheckpoint(w.chain))), 'subnet.unknown');
  assert.equal(w.send(alice, transfer(gateway, 1n)), 'ok');
});

test('STATE-8.10: a record holds the root over all checkpoints of a subnet, and another what it grows from', () => {
  const w = world();
  const log = new MmrLog();
  const rangeOf = (): string => toHex(w.state.get(checkpointRangeKey(subnetOfGenesis)) ?? new Uint8Array(0));
  assert.equal(rangeOf(), '');
  for (let sequence = 1; sequence <= 9; sequence += 1) {
    const checkpoint = w.nextCheckpoint(subnetOfGenesis, { payloadCount: sequence });
    assert.equal(w.send(gateway, placed(w, checkpoint)), 'ok');
    log.append(checkpointLeaf(checkpoint));
    assert.equal(rangeOf(), toHex(log.root()));
    assert.equal(w.state.checkpointPeaks(subnetOfGenesis)?.count, sequence);
  }
  // What is refused is not in it.
  const old = w.nextCheckpoint(subnetOfGenesis, { sequence: 9 });
  assert.equal(w.send(gateway, placed(w, old)), 'checkpoint.sequence');
  assert.equal(rangeOf(), toHex(log.root()));
});
