import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { concatBytes, toHex } from '../bytes/hex.ts';
import { asHash, ZERO_HASH } from '../crypto/hash.ts';
import { MerkleTree } from '../crypto/merkle.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import { verifySignature } from '../crypto/ed25519.ts';
import { verifyMlDsa } from '../crypto/ml-dsa.ts';
import { headerHash, type Header } from '../ledger/block.ts';
import { hasCoSigner, NO_CO_SIGNER, type CoSigners } from '../ledger/co-signers.ts';
import { amount } from '../ledger/ids.ts';
import { transactionId } from '../ledger/transaction.ts';
import { bitmapOf } from '../ledger/validators.ts';
import { accountKey, CO_SIGNERS_KEY, stateKeyHash } from '../state/keys.ts';
import { decodeRecord } from '../state/records.ts';
import type { CertifiedBlock } from '../testing/chain.ts';
import { asFarAsItGoes } from '../testing/co-signed-vectors.ts';
import { coSign, CoSignedWorld, coSignersOf, slidingMembers } from '../testing/co-signed-world.ts';
import { keyPair, rememberingVerifier } from '../testing/keys.ts';
import {
  decodeCoSignedTrust,
  encodeCoSignedTrust,
  openCheckpoint,
  trustCoSigned,
  type CoSignedTrust,
} from './co-signed.ts';
import { CoSignedReader, type CoSignedEvent } from './co-signed-reader.ts';
import {
  CO_SIGNED_FRAME_BYTES_MAX,
  coSignedFrames,
  encodeCoSignedStream,
  enoughOf,
  FRAME,
  type CoSignedCheckpoint,
  type CoSignedStream,
} from './co-signed-stream.ts';
import { coSignedWay } from './co-signed-way.ts';
import { showIn } from './shown-record.ts';

const verify: SignatureVerifier = rememberingVerifier((key, message, signature) =>
  key.algorithm === 3 ? verifyMlDsa(key.bytes, message, signature) : verifySignature(key, message, signature),
);

const of = new CoSignedWorld([slidingMembers(0), slidingMembers(1), slidingMembers(2)]);
const newest = of.first[2] as CertifiedBlock;

function read(trust: CoSignedTrust, bytes: Uint8Array, piece = bytes.length): CoSignedEvent[] {
  const reader = new CoSignedReader({ trust: encodeCoSignedTrust(trust), verify });
  const events: CoSignedEvent[] = [];
  for (let at = 0; at < bytes.length; at += piece)
    events.push(...reader.push(bytes.subarray(at, at + piece)));
  assert.equal(reader.isDone, events.at(-1)?.kind === 'done');
  return events;
}

/** `ok`, or the check that failed; nothing may be believed then. */
function verdict(trust: CoSignedTrust, stream: CoSignedStream | Uint8Array): string {
  const bytes = stream instanceof Uint8Array ? stream : concatBytes(...asFarAsItGoes(stream));
  const events = read(trust, bytes);
  const last = events.at(-1);
  return last?.kind === 'refused' ? last.check : last?.kind === 'done' ? 'ok' : 'incomplete';
}

const stream = (changes: Partial<CoSignedStream> = {}): CoSignedStream => ({
  trusted: of.start.coSigners,
  hops: [of.hop(0), of.hop(1)],
  checkpoint: of.checkpoint(newest),
  items: [],
  ...changes,
});

const frames = (one: CoSignedStream): Uint8Array[] => [...coSignedFrames(one)];
/** A frame of a kind with this body. */
const frame = (kind: number, body: Uint8Array): Uint8Array =>
  concatBytes(Uint8Array.of(kind, body.length >> 8, body.length & 255), body);
const bodyOf = (one: Uint8Array): Uint8Array => one.subarray(3);

/** The first checkpoint's frame, said to be signed by others. */
function withSigners(one: CoSignedStream, signers: Uint8Array): Uint8Array[] {
  const all = frames(one);
  const body = bodyOf(all[1] as Uint8Array);
  const bitmap = concatBytes(Uint8Array.of(0, 0, 0, signers.length), signers);
  all[1] = frame(FRAME.checkpoint, concatBytes(body.subarray(0, body.length - 5), bitmap));
  return all;
}

test('QUANTUM-3.1: from the co-signers of genesis each hop leads to those its state names, and the newest checkpoint is believed', () => {
  const bytes = encodeCoSignedStream(stream());
  const events = read(of.start, bytes);
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['believed', 'done'],
  );
  const [believed] = events;
  assert.ok(believed?.kind === 'believed');
  assert.equal(believed.height, newest.block.header.height);
  assert.equal(believed.hops, 2);
  const kept = decodeCoSignedTrust(believed.trust, of.coSigners(2));
  assert.equal(kept.ok && kept.value.coSigners.epoch, 2);
  // The bytes may come in any pieces.
  for (const piece of [1, 7, 1000]) assert.deepEqual(read(of.start, bytes, piece), events);
  // What is kept goes on where it ended.
  const next = of.append(2);
  assert.ok(kept.ok);
  const further = { trusted: of.coSigners(2), hops: [], checkpoint: of.checkpoint(next), items: [] };
  assert.equal(verdict(kept.value, further), 'ok');
  assert.equal(verdict(kept.value, { ...further, checkpoint: of.checkpoint(newest) }), 'ok');
});

test('QUANTUM-3.2: items: a record or its absence in the state after the checkpoint, an earlier header, a transaction in it', () => {
  const world = new CoSignedWorld([slidingMembers(0)]);
  const bytes = [Uint8Array.of(1, 2), Uint8Array.of(3)];
  const earlier = world.append(0, false, bytes).block.header;
  const last = world.append(0);
  const checkpoint = world.checkpoint(last);
  const tree = world.tree(world.coSigners(0));
  const [held, empty] = [accountKey(world.world.treasury.address), accountKey(keyPair(5).address)];
  const ids = bytes.map(transactionId);
  const one: CoSignedStream = {
    trusted: world.start.coSigners,
    hops: [],
    checkpoint,
    items: [
      { kind: 'state', key: held, shown: showIn(tree, held) },
      { kind: 'state', key: empty, shown: showIn(tree, empty) },
      {
        kind: 'history',
        header: earlier,
        path: world.history.path(earlier.height - 1, last.block.header.height - 1),
      },
      {
        kind: 'transaction',
        id: ids[1] as (typeof ids)[number],
        index: 1,
        count: 2,
        path: new MerkleTree(ids).path(1),
      },
    ],
  };
  const events = read(world.start, encodeCoSignedStream(one));
  const [, state, absent, history, transaction] = events;
  assert.ok(state?.kind === 'state' && state.value);
  const account = decodeRecord('account', state.value);
  assert.equal(account.ok && account.value.balance, amount(7n));
  assert.equal(state.height, last.block.header.height);
  assert.ok(absent?.kind === 'state' && absent.value === undefined);
  assert.ok(history?.kind === 'history' && history.height === earlier.height);
  assert.ok(transaction?.kind === 'transaction' && transaction.height === earlier.height);
  assert.equal(events.at(-1)?.kind, 'done');
  const [stateItem, absence, historyItem, transactionItem] = one.items;
  assert.ok(stateItem?.kind === 'state' && absence?.kind === 'state' && historyItem && transactionItem);
  const lie = (item: CoSignedStream['items'][number]): string =>
    verdict(world.start, { ...one, items: [item] });
  assert.equal(lie({ ...stateItem, shown: { ...stateItem.shown, record: undefined } }), 'state');
  assert.equal(lie({ ...absence, shown: { ...absence.shown, record: Uint8Array.of(1) } }), 'state');
  assert.equal(lie({ ...stateItem, key: empty }), 'state');
  const other: Header = { ...earlier, txRoot: ZERO_HASH };
  assert.equal(lie({ ...historyItem, header: other } as typeof historyItem), 'history');
  // Not under the checkpoint's own header, which holds no transactions.
  assert.equal(lie(transactionItem), 'transaction');
});

test('QUANTUM-3.3: with every Ed25519 key broken nothing new is believed', () => {
  // The attacker has the secrets of all validators, gateways and accounts, and certifies what it likes; ML-DSA keys it has none.
  const attacker = new CoSignedWorld(of.members);
  const forged = attacker.append(2).block;
  assert.ok(attacker.builder.blocks.every(({ certificate }) => certificate.signatures.length === 4));
  const header: Header = { ...forged.header, time: (forged.header.time + 1) as Header['time'] };
  const stateRoot = attacker.tree(attacker.coSigners(2)).root;
  const honest = of.checkpoint(newest);
  const own = [90, 91, 92].map((seed) => coSign(of.chain, header, stateRoot, seed));
  // Signatures taken from elsewhere, under the names of those who are trusted.
  const borrowed = honest.coSignatures.map((one) => ({ ...one }));
  const named = honest.coSignatures.map(({ signer, key }, i) => ({
    signer,
    key,
    signature: own[i % 3]?.signature as Uint8Array,
  }));
  assert.equal(
    verdict(of.start, stream({ checkpoint: { header, stateRoot, coSignatures: borrowed } })),
    'signature',
  );
  assert.equal(
    verdict(of.start, stream({ checkpoint: { header, stateRoot, coSignatures: named } })),
    'signature',
  );
  const masked = honest.coSignatures.map(({ signer }, i) => ({
    ...(own[i % 3] as (typeof own)[number]),
    signer,
  }));
  const alone = { trusted: of.coSigners(2), hops: [], items: [] };
  assert.equal(
    verdict(of.trustAt(2), { ...alone, checkpoint: { header, stateRoot, coSignatures: masked } }),
    'key',
  );
  // Ed25519 signatures have no place in the stream, whatever bytes they are given.
  const classical = keyPair(1000).sign(headerHash(header));
  const padded = new Uint8Array(2420);
  padded.set(classical);
  const claimed = honest.coSignatures.map((one) => ({ ...one, signature: padded }));
  assert.equal(
    verdict(of.trustAt(2), { ...alone, checkpoint: { header, stateRoot, coSignatures: claimed } }),
    'signature',
  );
});

test('QUANTUM-3.3: another state than the one that was co-signed, or another header with it, is refused', () => {
  const honest = of.checkpoint(newest);
  const change = (changes: Partial<CoSignedCheckpoint>): string =>
    verdict(of.start, stream({ checkpoint: { ...honest, ...changes } }));
  assert.equal(change({ stateRoot: asHash(new Uint8Array(32).fill(1)) }), 'signature');
  for (const field of ['txRoot', 'stateRoot', 'historyRoot', 'parentHash'] as const)
    assert.equal(
      change({ header: { ...honest.header, [field]: asHash(new Uint8Array(32).fill(9)) } }),
      'signature',
      field,
    );
});

test('QUANTUM-3.4: more than two thirds of all the trusted weight: too few, duplicate, unknown and keyless signers are refused', () => {
  const one = stream();
  assert.equal(verdict(of.start, concatBytes(...withSigners(one, bitmapOf([0, 1], 4)))), 'weight');
  assert.equal(verdict(of.start, concatBytes(...withSigners(one, Uint8Array.of(0x17)))), 'signers');
  assert.equal(verdict(of.start, concatBytes(...withSigners(one, Uint8Array.of(7, 0)))), 'signers');
  assert.equal(verdict(of.start, concatBytes(...withSigners(one, bitmapOf([], 4)))), 'weight');
  // One signature in the places of two: its key is not the other's.
  const all = frames(one);
  const doubled = [...all.slice(0, 3), all[2] as Uint8Array, ...all.slice(4)];
  assert.equal(verdict(of.start, concatBytes(...doubled)), 'key');
  // One more than there are signers is no frame that could come here.
  const extra = [...all.slice(0, 5), all[4] as Uint8Array, ...all.slice(5)];
  assert.equal(verdict(of.start, concatBytes(...extra)), 'format');
  const stranger = coSign(
    of.chain,
    one.hops[0]?.header as Header,
    one.hops[0]?.stateRoot as typeof ZERO_HASH,
    77,
  );
  const strange = all.slice();
  strange[3] = frame(FRAME.signature, concatBytes(stranger.key, stranger.signature));
  assert.equal(verdict(of.start, concatBytes(...strange)), 'key');
  // Exactly two thirds are too few; those without a key count in the whole.
  const mixed = new CoSignedWorld([
    [
      [0, 1],
      [1, 1],
      [-1, 1],
    ],
  ]);
  const block = mixed.first[0] as CertifiedBlock;
  const shown = { header: block.block.header, stateRoot: ZERO_HASH };
  const open = (indices: number[]): string => {
    const opened = openCheckpoint(mixed.start, { ...shown, signers: bitmapOf(indices, 3) });
    return opened.ok ? 'ok' : opened.code;
  };
  assert.equal(open([0, 1]), 'weight');
  assert.equal(open([0, 1, 2]), 'signers');
  assert.equal(enoughOf(mixed.start.coSigners, mixed.checkpoint(block).coSignatures), undefined);
});

test('QUANTUM-3.4: the bound holds for all weights: what is opened has more than two thirds, what has not is refused', () => {
  const header = (of.first[0] as CertifiedBlock).block.header;
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ weight: fc.integer({ min: 1, max: 50 }), has: fc.boolean(), signs: fc.boolean() }),
        {
          minLength: 1,
          maxLength: 20,
        },
      ),
      (all) => {
        const members = all.map(({ weight, has }, i) => ({
          weight,
          key: has ? asHash(new Uint8Array(32).fill(i + 1)) : NO_CO_SIGNER,
        })) as unknown as CoSigners['members'];
        const trust = { ...of.start, coSigners: { epoch: of.start.coSigners.epoch, members } };
        const signing = all.flatMap(({ signs }, i) => (signs ? [i] : []));
        const opened = openCheckpoint(trust, {
          header,
          stateRoot: ZERO_HASH,
          signers: bitmapOf(signing, all.length),
        });
        const total = all.reduce((sum, { weight }) => sum + weight, 0);
        const signed = signing.reduce((sum, i) => sum + (all[i]?.weight ?? 0), 0);
        const isKeyed = signing.every((i) => hasCoSigner(members[i] as (typeof members)[number]));
        assert.equal(opened.ok, isKeyed && signed * 3 > total * 2);
      },
    ),
  );
});

test('QUANTUM-3.5: another epoch, a checkpoint that was believed otherwise, and what lies below are refused', () => {
  // Without the hops, and with one too few.
  assert.equal(
    verdict(of.start, stream({ hops: [], checkpoint: of.checkpoint(newest, { seeds: [0, 1, 2, 3] }) })),
    'epoch',
  );
  const skipped = stream({ hops: [of.hop(0)], checkpoint: of.checkpoint(newest, { seeds: [1, 2, 3, 4] }) });
  assert.equal(verdict(of.start, skipped), 'epoch');
  // The record of an earlier epoch, or of one that is not the header's, though it is in the state.
  assert.equal(
    verdict(of.start, stream({ hops: [of.hop(0, { shown: coSignersOf(2, slidingMembers(2)) })] })),
    'epoch',
  );
  assert.equal(
    verdict(of.start, stream({ hops: [of.hop(0, { shown: coSignersOf(0, slidingMembers(0)) })] })),
    'epoch',
  );
  // A header that closes nothing does not lead to the next epoch.
  const open = of.hop(0, { block: of.first[0] as CertifiedBlock });
  assert.equal(verdict(of.start, stream({ hops: [open] })), 'epoch');
  // Signed for one epoch, shown as of another.
  const { header, ...rest } = of.checkpoint(newest);
  const relabelled = { ...rest, header: { ...header, epoch: 1 as Header['epoch'] } };
  const inOne = { trusted: of.coSigners(1), hops: [], items: [], checkpoint: relabelled };
  assert.equal(
    verdict(of.trustAt(1), {
      ...inOne,
      checkpoint: { ...relabelled, coSignatures: relabelled.coSignatures },
    }),
    'signature',
  );
  // Below, or beside, what is believed.
  const trust: CoSignedTrust = {
    ...of.trustAt(2),
    last: { ...of.trustAt(2).last, height: newest.block.header.height },
  };
  const now = { trusted: of.coSigners(2), hops: [], items: [] };
  assert.equal(verdict(trust, { ...now, checkpoint: of.checkpoint(newest) }), 'conflict');
  const later = { ...trust, last: { ...trust.last, height: (trust.last.height + 1) as Header['height'] } };
  assert.equal(verdict(later, { ...now, checkpoint: of.checkpoint(newest) }), 'stale');
  const slow = { ...of.trustAt(2), last: { ...of.trustAt(2).last, time: newest.block.header.time } };
  assert.equal(verdict(slow, { ...now, checkpoint: of.checkpoint(newest) }), 'time');
});

test('QUANTUM-3.5: a hop leads on, an epoch that ended has no later checkpoint, and one block has one state', () => {
  // Under a block in the middle of the epoch the record is the one that is trusted already.
  const still = of.hop(0, { block: of.first[0] as CertifiedBlock, shown: of.coSigners(0) });
  assert.equal(verdict(of.start, stream({ hops: [still] })), 'epoch');
  const end = of.hop(0);
  const ended = { trusted: of.start.coSigners, hops: [], checkpoint: end, items: [] };
  const [event] = read(of.start, encodeCoSignedStream(ended));
  assert.ok(event?.kind === 'believed');
  const trust = decodeCoSignedTrust(event.trust, of.start.coSigners);
  assert.ok(trust.ok && trust.value.ended);
  const more = new CoSignedWorld([slidingMembers(0)]);
  for (let i = 0; i < 3; i += 1) more.append(0);
  const later = more.append(0);
  assert.equal(verdict(trust.value, { ...ended, checkpoint: more.checkpoint(later) }), 'epoch');
  // The hop itself may follow, and only that one.
  assert.equal(verdict(trust.value, stream()), 'ok');
  const other = of.checkpoint(of.closing[0] as CertifiedBlock, { after: coSignersOf(1, slidingMembers(7)) });
  assert.equal(verdict(trust.value, { ...ended, checkpoint: other }), 'conflict');
});

test('QUANTUM-3.5: the record of co-signers is the one in the state that was co-signed', () => {
  const honest = of.hop(0);
  const other = of.hop(0, { shown: coSignersOf(1, slidingMembers(40)) });
  assert.equal(
    verdict(of.start, stream({ hops: [{ ...honest, successors: other.successors }] })),
    'successors',
  );
  const otherProof = {
    ...honest,
    successors: {
      ...honest.successors,
      proof: of.tree(of.coSigners(1)).prove(stateKeyHash(accountKey(keyPair(1).address))),
    },
  };
  assert.equal(verdict(of.start, stream({ hops: [otherProof] })), 'successors');
  // Another list than the one whose hash is kept.
  assert.equal(
    verdict(of.start, stream({ trusted: coSignersOf(0, slidingMembers(40)), hops: [] })),
    'trusted',
  );
  assert.equal(verdict(of.trustAt(1), stream()), 'trusted');
});

test('QUANTUM-3.6: a checkpoint leads from every epoch of whose co-signers enough have signed it; the server shows the fewest', () => {
  const long = new CoSignedWorld(Array.from({ length: 7 }, (_, i) => slidingMembers(i)));
  const hops = Array.from({ length: 6 }, (_, i) => long.hop(i));
  const way = coSignedWay(long.start.coSigners, hops);
  // Three of four of an epoch are in the next one, no more than two in the one after.
  assert.deepEqual(
    way?.map(({ coSigners }) => coSigners.epoch),
    [2, 4, 6],
  );
  const last = long.first[6] as CertifiedBlock;
  const one = {
    trusted: long.start.coSigners,
    hops: way ?? [],
    checkpoint: long.checkpoint(last),
    items: [],
  };
  assert.equal(verdict(long.start, one), 'ok');
  // Where nothing changes one hop is enough, however many epochs there were.
  const still = new CoSignedWorld(Array.from({ length: 9 }, () => slidingMembers(0)));
  const stillHops = Array.from({ length: 8 }, (_, i) => still.hop(i));
  assert.equal(coSignedWay(still.start.coSigners, stillHops)?.length, 1);
  // Where too few have co-signed there is no way, and a stream cannot pretend one.
  const broken = hops.map((hop, i) =>
    i === 2 || i === 3 ? { ...hop, coSignatures: hop.coSignatures.slice(0, 2) } : hop,
  );
  assert.equal(coSignedWay(long.start.coSigners, broken), undefined);
  assert.deepEqual(coSignedWay(long.coSigners(6), hops), []);
  assert.throws(() => encodeCoSignedStream({ ...one, hops: [hops[3] as (typeof hops)[number]] }), RangeError);
});

test('QUANTUM-3.7: cut off, extended or changed anywhere, a stream is refused and nothing is believed', () => {
  const one = stream({
    items: [{ kind: 'state', key: CO_SIGNERS_KEY, shown: showIn(of.tree(of.coSigners(2)), CO_SIGNERS_KEY) }],
  });
  const bytes = encodeCoSignedStream(one);
  assert.equal(verdict(of.start, bytes), 'ok');
  assert.equal(verdict(of.start, concatBytes(bytes, Uint8Array.of(0))), 'format');
  for (const end of [1, 3, 500, bytes.length - 4, bytes.length - 1])
    assert.equal(verdict(of.start, bytes.subarray(0, end)), 'incomplete');
  const truth = read(of.start, bytes).map((event) =>
    JSON.stringify(event, (_, value: unknown) => (value instanceof Uint8Array ? toHex(value) : value)),
  );
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const changed = bytes.slice();
      changed[at] = (changed[at] as number) ^ by;
      const events = read(of.start, changed, 977);
      const last = events.at(-1);
      assert.ok(last === undefined || last.kind !== 'done');
      for (const event of events.slice(0, -1))
        assert.ok(
          truth.includes(
            JSON.stringify(event, (_, value: unknown) =>
              value instanceof Uint8Array ? toHex(value) : value,
            ),
          ),
        );
    }),
    { numRuns: 300 },
  );
});

test('QUANTUM-3.8: memory is bounded by one frame and the keys that are trusted; frames beyond the bound are refused unread', () => {
  const reader = new CoSignedReader({ trust: encodeCoSignedTrust(of.start), verify });
  let most = 0;
  for (const one of frames(stream())) {
    reader.push(one);
    most = Math.max(most, reader.held);
  }
  assert.ok(reader.isDone);
  assert.ok(most <= CO_SIGNED_FRAME_BYTES_MAX + 3 + 4 * 1312, `${most}`);
  const long = Uint8Array.of(FRAME.trusted, 0x80, 0x01);
  assert.equal(verdict(of.start, long), 'format');
});

test('QUANTUM-3.9: 149 bytes survive; a chain whose genesis names no co-signers cannot be followed', () => {
  const bytes = encodeCoSignedTrust(of.start);
  assert.equal(bytes.length, 149);
  const again = decodeCoSignedTrust(bytes, of.start.coSigners);
  assert.deepEqual(again.ok && again.value, of.start);
  assert.ok(!decodeCoSignedTrust(bytes, of.coSigners(1)).ok);
  const { coSigners: _, ...plain } = of.genesis;
  assert.equal(trustCoSigned(plain), undefined);
});
