import assert from 'node:assert/strict';
import { test } from 'node:test';
import { equalBytes } from '../bytes/hex.ts';
import { decode } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { evidenceOf, readEvidence, writeEvidence, type Evidence } from '../ledger/evidence.ts';
import { epoch, height, SUPPLY, view } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Evidence as Accused } from '../pbft/effects.ts';
import type { Checkpoint, PrePrepare, Vote } from '../pbft/messages.ts';
import { checkpointBytes, prePrepareSigningBytes, voteBytes } from '../pbft/signing.ts';
import { anyEvidence, assertStrict } from '../testing/arbitraries.ts';
import { makeBlock } from '../testing/pbft.ts';
import { fakeSign, person, type Person } from '../testing/state-world.ts';
import { consensusOf, contradiction, PER_WEIGHT, ValidatorWorld } from '../testing/validator-world.ts';
import { precheck } from './admission.ts';

const alice = person('alice');
const world = (): ValidatorWorld => new ValidatorWorld({ others: ['alice', 'bob'] });

/** Of the receipt, and the pool's word on the same transaction. */
function accuse(w: ValidatorWorld, evidence: Evidence, by: Person = alice): string {
  const transaction = w.transaction(by, { kind: 'evidence', evidence });
  const pool = precheck(w.state, w.context, transaction);
  const before = w.state;
  const [receipt] = w.block(transaction).receipts;
  assert.ok(receipt);
  const code = receipt.outcome.ok ? 'ok' : receipt.outcome.code;
  assert.equal(pool.ok ? 'ok' : pool.code, code, 'the pool says what the block says');
  if (!receipt.outcome.ok)
    assert.deepEqual(
      [...w.state.validators()],
      [...before.validators()],
      'a refused accusation harms nobody',
    );
  assert.equal(w.state.supply(), SUPPLY);
  return code;
}

test('WIRE-1.4, WIRE-3.4: evidence has one encoding', () => {
  const encode = (evidence: Evidence): Uint8Array => {
    const writer = new Writer();
    writeEvidence(writer, evidence);
    return writer.finish();
  };
  assertStrict(anyEvidence, { encode, decode: (bytes) => decode(readEvidence, bytes) });
  const bytes = encode(contradiction(world(), alice));
  for (const kind of [0, 5])
    assert.equal(decode(readEvidence, bytes.with(0, kind)).ok, false, `statement ${kind}`);
});

for (const kind of ['pre-prepare', 'prepare', 'commit', 'checkpoint'] as const) {
  test(`STATE-12.1, STATE-12.4: two ${kind} statements that differ burn half of the bond and take the weight`, () => {
    const w = world();
    const [, v1] = w.validators as [Person, Person];
    const { receipts, events } = w.block(
      w.transaction(alice, { kind: 'evidence', evidence: contradiction(w, v1, kind) }),
    );
    assert.deepEqual(receipts[0]?.outcome, { ok: true });
    const [event] = events;
    assert.ok(event?.kind === 'validator-jailed');
    assert.equal(event.statement, kind);
    assert.equal(event.burned, PER_WEIGHT / 2n);
    assert.equal(w.record(v1)?.bond, PER_WEIGHT / 2n);
    assert.equal(w.record(v1)?.jailed, true);
    assert.equal(w.record(v1)?.weight, 0);
    assert.equal(w.state.epoch.burned, PER_WEIGHT / 2n);
    assert.equal(w.state.supply(), SUPPLY);
    assert.equal(w.weights()['v1'], 1, 'the set of an epoch does not change within it');
    w.nextEpoch();
    assert.deepEqual(w.weights(), { v0: 1, v2: 1, v3: 1 });
  });
}

test('STATE-12.2: what consensus signs is what the ledger verifies, for every kind of statement', () => {
  const w = world();
  const [v0] = w.validators as [Person];
  const at = { sender: 0, epoch: epoch(0), view: view(2) };
  const blocks = [makeBlock(7, w.chain, 1), makeBlock(7, w.chain, 2)] as const;
  const proposals = blocks.map((block): PrePrepare => {
    const message = { kind: 'pre-prepare' as const, ...at, block };
    return { ...message, signature: fakeSign(v0.key, prePrepareSigningBytes(w.chain, message)) };
  });
  const votes = (kind: 'prepare' | 'commit'): Vote[] =>
    blocks.map(({ hash }) => {
      const message = { kind, ...at, height: height(7), hash };
      return { ...message, signature: fakeSign(v0.key, voteBytes(w.chain, message)) };
    });
  const checkpoints = blocks.map(({ hash }): Checkpoint => {
    const own = { sender: 0, epoch: epoch(0), height: height(32), hash, stateRoot: w.chain };
    const message = { kind: 'checkpoint' as const, ...own };
    return { ...message, signature: fakeSign(v0.key, checkpointBytes(w.chain, message)) };
  });
  const pair = <T>(
    both: readonly T[],
  ): { readonly culprit: number; readonly first: T; readonly second: T } => ({
    culprit: 0,
    first: both[0] as T,
    second: both[1] as T,
  });
  // As consensus hands them out: the compiler sees here that it does.
  const found: readonly Accused[] = [
    { kind: 'pre-prepare', ...pair(proposals) },
    { kind: 'vote', ...pair(votes('prepare')) },
    { kind: 'vote', ...pair(votes('commit')) },
    { kind: 'checkpoint', ...pair(checkpoints) },
  ];
  for (const accusation of found) {
    const evidence = evidenceOf(v0.key, accusation);
    const code = precheck(w.state, w.context, w.transaction(alice, { kind: 'evidence', evidence }));
    assert.ok(code.ok, `${accusation.kind}: ${code.ok ? '' : code.message}`);
  }
});

test('STATE-12.3: attack evidence replay: a culprit is punished once, whoever sends what again', () => {
  const w = world();
  const [, v1] = w.validators as [Person, Person];
  const evidence = contradiction(w, v1);
  assert.equal(accuse(w, evidence), 'ok');
  const bond = w.record(v1)?.bond;
  assert.equal(accuse(w, evidence), 'validator.jailed');
  assert.equal(accuse(w, evidence, person('bob')), 'validator.jailed');
  assert.equal(accuse(w, contradiction(w, v1, 'commit', { height: 9 })), 'validator.jailed');
  assert.equal(w.record(v1)?.bond, bond);
});

test('STATE-12.1: attack on an innocent: the same statement twice is refused', () => {
  const w = world();
  const [, v1] = w.validators as [Person, Person];
  assert.equal(
    accuse(w, contradiction(w, v1, 'prepare', { hashes: ['this', 'this'] })),
    'evidence.malformed',
  );
  assert.equal(
    accuse(w, contradiction(w, v1, 'checkpoint', { hashes: ['this', 'this'] })),
    'evidence.malformed',
  );
});

test('STATE-12.1: a checkpoint of one block with two state roots is a contradiction', () => {
  const w = world();
  const [, v1] = w.validators as [Person, Person];
  const one = contradiction(w, v1, 'checkpoint');
  assert.ok(one.kind === 'checkpoint');
  const stateRoot = one.second.hash;
  const second = { hash: one.first.hash, stateRoot, epoch: one.epoch, height: one.height };
  const signature = fakeSign(v1.key, checkpointBytes(w.chain, second));
  assert.equal(accuse(w, { ...one, second: { hash: second.hash, stateRoot, signature } }), 'ok');
});

test('STATE-12.2: attack on an innocent: statements about different heights, views or epochs, or of different kinds, do not combine', () => {
  const w = world();
  const [v0, v1] = w.validators as [Person, Person];
  const of = (
    kind: 'prepare' | 'commit' | 'pre-prepare',
    o: Parameters<typeof contradiction>[3],
  ): Extract<Evidence, { kind: 'prepare' | 'commit' | 'pre-prepare' }> => {
    const evidence = contradiction(w, v1, kind, o);
    assert.ok(evidence.kind !== 'checkpoint');
    return evidence;
  };
  // An honest validator votes for one block per height and view: `this` at height 3, `that` at height 4.
  const here = of('prepare', { height: 3 });
  for (const there of [
    of('prepare', { height: 4 }),
    of('prepare', { height: 3, view: 1 }),
    of('prepare', { height: 3, epoch: 1 }),
    of('commit', { height: 3 }),
    of('pre-prepare', { height: 3 }),
  ]) {
    assert.equal(accuse(w, { ...here, second: there.second }), 'evidence.signature');
    assert.equal(accuse(w, { ...here, first: there.first }), 'evidence.signature');
  }
  assert.equal(accuse(w, { ...here, culprit: v0.key }), 'evidence.signature', 'nor do they fall on another');
  assert.equal(accuse(w, { ...here, kind: 'commit' }), 'evidence.signature');
});

test('STATE-12.2: attack replay from another chain: what was signed there is no evidence here', () => {
  const w = world();
  const there = new ValidatorWorld({ reserve: 5n });
  assert.ok(!equalBytes(w.chain, there.chain));
  const [, v1] = w.validators as [Person, Person];
  assert.equal(accuse(w, contradiction(w, v1, 'commit', { chain: there.chain })), 'evidence.signature');
});

test('STATE-12.3: the accused is a bonded key, and the epoch has begun', () => {
  const w = world();
  const [, v1] = w.validators as [Person, Person];
  assert.equal(accuse(w, contradiction(w, person('nobody'))), 'validator.unknown');
  assert.equal(accuse(w, contradiction(w, v1, 'prepare', { epoch: 1 })), 'evidence.stale');
  w.send(v1, { kind: 'restart' });
  w.nextEpoch();
  // Evidence of a closed epoch counts as well: it is the key that is judged, not the index.
  assert.equal(w.state.epoch.epoch, 1);
  assert.equal(accuse(w, contradiction(w, v1, 'prepare', { epoch: 0 })), 'ok');
});

test('STATE-12.3: a candidate without weight is answerable too', () => {
  const w = world();
  assert.equal(w.bond(alice, PER_WEIGHT), 'ok');
  const evidence = contradiction(w, consensusOf(alice), 'prepare', { height: w.height });
  assert.equal(accuse(w, evidence, person('bob')), 'ok');
  assert.equal(w.grant(alice, 1)[0], 'validator.jailed');
  assert.equal(w.bond(alice, PER_WEIGHT), 'validator.jailed');
});

test('STATE-12.5: attack unbonding to escape punishment: what is on its way back burns like the bond', () => {
  const w = world();
  const [, v1] = w.validators as [Person, Person];
  assert.equal(w.unbond(v1, PER_WEIGHT), 'ok');
  w.nextEpoch();
  assert.equal(w.weights()['v1'], undefined);
  w.height += LIMITS.unbondBlocks - 100;
  assert.equal(accuse(w, contradiction(w, v1)), 'ok');
  assert.deepEqual(
    w.record(v1)?.unbonding.map((part) => part.amount),
    [PER_WEIGHT / 2n],
  );
  assert.equal(w.state.epoch.burned, PER_WEIGHT / 2n);
});

test('STATE-12.5: attack long range: when the last of the bond has returned, old keys can no longer be accused, nor vote', () => {
  const w = world();
  const [v0, v1] = w.validators as [Person, Person];
  assert.equal(w.unbond(v1, PER_WEIGHT), 'ok');
  w.nextEpoch();
  w.height = Math.ceil((w.height + LIMITS.unbondBlocks) / 32) * 32 - 1;
  w.block();
  assert.equal(accuse(w, contradiction(w, v1)), 'validator.unknown');
  assert.equal(w.vote(v1, v0, 1), 'validator.inactive');
});

test('STATE-12.3: after a punishment and a new bond of the same key the old contradiction does not count again', () => {
  const w = world();
  const [, v1] = w.validators as [Person, Person];
  const evidence = contradiction(w, v1);
  assert.equal(accuse(w, evidence), 'ok');
  w.nextEpoch();
  assert.equal(w.unbond(v1, PER_WEIGHT / 2n), 'ok', 'what is left may be withdrawn');
  w.height = Math.ceil((w.height + LIMITS.unbondBlocks) / 32) * 32 - 1;
  w.block();
  assert.equal(w.record(v1), undefined);
  assert.equal(w.bond(v1, PER_WEIGHT), 'ok');
  assert.equal(accuse(w, evidence), 'evidence.stale');
  assert.equal(w.record(v1)?.bond, PER_WEIGHT);
});

test('STATE-12.4: a culprit votes no more, and its votes count no more', () => {
  const w = world();
  const [v0, v1, v2, v3] = w.validators as [Person, Person, Person, Person];
  assert.equal(w.bond(person('bob'), PER_WEIGHT), 'ok');
  w.grant(person('bob'), 1, [v1, v2]);
  assert.equal(accuse(w, contradiction(w, v1)), 'ok');
  assert.equal(w.vote(v1, v0, 1), 'validator.inactive');
  assert.equal(w.vote(v3, person('bob'), 1), 'ok');
  assert.equal(w.record(person('bob'))?.weight, 0, 'two of four, not three');
  assert.equal(w.send(v1, { kind: 'restart' }), 'validator.inactive');
});

test('STATE-12.4: an odd unit burns, and a part too small to halve is gone', () => {
  const w = world();
  assert.equal(w.bond(alice, PER_WEIGHT + 2n), 'ok');
  assert.equal(w.unbond(alice, 1n), 'ok');
  const evidence = contradiction(w, consensusOf(alice), 'prepare', { height: w.height });
  assert.equal(accuse(w, evidence, person('bob')), 'ok');
  assert.equal(w.record(alice)?.bond, PER_WEIGHT / 2n);
  assert.deepEqual(w.record(alice)?.unbonding, []);
  assert.equal(w.state.epoch.burned, PER_WEIGHT / 2n + 2n);
});

test('STATE-12.6: anyone may accuse, and pays for the bytes', () => {
  const w = new ValidatorWorld({ feePerByte: 10n });
  const [, v1] = w.validators as [Person, Person];
  const body = { kind: 'evidence' as const, evidence: contradiction(w, v1) };
  assert.equal(w.send(alice, body, { fee: 1n }), 'transaction.fee');
  assert.equal(w.send(alice, body), 'ok');
  assert.ok(w.state.epoch.fees > 0n);
});
