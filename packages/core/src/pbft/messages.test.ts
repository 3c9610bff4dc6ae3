import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  CHAIN,
  checkpoint,
  commitCertificate,
  contextOf,
  EPOCH,
  GENESIS_ID,
  makeBlock,
  include,
  newView,
  parseTestBlock,
  preparedCertificate,
  prePrepare,
  signAs,
  stableCertificate,
  viewChange,
  vote,
  Bench,
} from '../testing/pbft.ts';
import { sha256 } from '../crypto/hash.ts';
import { voteSigningBytes } from '../ledger/block.ts';
import { epoch, height, view } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { messageBytesMax, PBFT_LIMITS } from './limits.ts';
import { decodeLogRecord, encodeLogRecord, type LogRecord } from './log.ts';
import { decodeMessage, encodeMessage } from './message-codec.ts';
import type { Message } from './messages.ts';
import { prePrepareSigningBytes, signatureOf, voteBytes } from './signing.ts';
import {
  verifyCertificate,
  verifyMessage,
  verifyPreparedCertificate,
  verifyStableCertificate,
} from './verify.ts';

const UNIT = [1, 1, 1, 1];
const context = contextOf(UNIT);
const block = makeBlock(1, CHAIN);
const root = sha256(Uint8Array.of(9));

const prepared = preparedCertificate(block, [0, 1, 2], 4);
const committed = commitCertificate(block, [1, 2, 3], 4);
const stable = stableCertificate(32, block.hash, root, [0, 2, 3], 4);
const asking = [1, 2, 3].map((sender) =>
  viewChange(sender, 1, {
    stable,
    committed,
    prepared: [preparedCertificate(makeBlock(2, block.hash), [0, 1, 2], 4)],
  }),
);

const messages: readonly Message[] = [
  prePrepare(0, block),
  vote('prepare', 1, block),
  vote('commit', 2, block, 7),
  checkpoint(3, 32, block.hash, root),
  viewChange(1, 5),
  viewChange(2, 1, { stable, committed, prepared: [prepared], suspects: Uint8Array.of(5) }),
  newView(1, 1, {
    viewChanges: asking,
    base: { height: height(32), hash: block.hash },
    reproposals: [{ height: height(33), hash: root }],
  }),
  {
    kind: 'status',
    sender: 3,
    epoch: EPOCH,
    view: view(3),
    changing: true,
    committed: height(9),
    stable: height(0),
    committedCertificate: committed,
    stableCertificate: undefined,
    suspects: Uint8Array.of(2),
  },
  include(1, [block.hash, root]),
  { kind: 'fetch', sender: 2, epoch: EPOCH, height: height(4), hash: block.hash },
  { kind: 'body', sender: 2, epoch: EPOCH, block },
];

const records: readonly LogRecord[] = [
  { kind: 'accepted', epoch: EPOCH, view: view(3), block },
  { kind: 'prepared', certificate: prepared },
  { kind: 'committed', certificate: committed },
  { kind: 'view-change', message: viewChange(2, 4, { prepared: [prepared] }) },
  { kind: 'new-view', message: newView(1, 1, { viewChanges: asking, base: GENESIS_ID, reproposals: [] }) },
  { kind: 'checkpoint', message: checkpoint(3, 32, block.hash, root) },
  { kind: 'stable', certificate: stable },
  { kind: 'truncate' },
];

test('PBFT-2.1: a PREPARE is no COMMIT: no two types sign the same bytes (raijin 17, FISCO FIB-134)', () => {
  const place = { chain: CHAIN, epoch: EPOCH, view: view(1), height: height(2), hash: block.hash };
  const all = (['prePrepare', 'prepare', 'commit'] as const).map((type) =>
    voteSigningBytes(type, place).join(),
  );
  assert.equal(new Set(all).size, 3);
  const asCommit = { ...prepared, hash: prepared.digest };
  assert.equal(verifyPreparedCertificate(context, prepared), true);
  assert.equal(verifyCertificate(context, asCommit), false);
  assert.equal(verifyMessage(context, { ...vote('prepare', 1, block), kind: 'commit' }).ok, false);
});

test('PBFT-2.1: nothing passes on another chain or in another epoch', () => {
  for (const message of messages) {
    assert.equal(verifyMessage(context, message).ok, true, message.kind);
    assert.equal(verifyMessage({ ...context, epoch: epoch(1) }, message).ok, false, message.kind);
    if (signatureOf(context, message) !== undefined)
      assert.equal(verifyMessage({ ...context, chain: sha256(CHAIN) }, message).ok, false, message.kind);
  }
  assert.equal(verifyCertificate({ ...context, chain: sha256(CHAIN) }, committed), false);
  assert.equal(verifyCertificate({ ...context, epoch: epoch(1) }, committed), false);
});

test('PBFT-2.2: the author inside the message is who must have signed, whoever sent it (FISCO FIB-130)', () => {
  for (const message of messages) {
    const signed = signatureOf(context, message);
    if (signed === undefined) continue;
    assert.equal(
      verifyMessage(context, { ...message, sender: (message.sender + 1) % 4 }).ok,
      false,
      message.kind,
    );
    assert.deepEqual(verifyMessage(context, { ...message, sender: 4 }).ok, false, message.kind);
    assert.equal(verifyMessage({ ...context, verify: () => false }, message).ok, false, message.kind);
  }
});

test('PBFT-2.2: what a shell verified in a native batch is not verified again', () => {
  const refusing = { ...context, verify: () => false };
  assert.equal(verifyMessage(refusing, vote('commit', 2, block)).ok, false);
  assert.equal(verifyMessage(refusing, vote('commit', 2, block), true).ok, true);
  const signed = signatureOf(context, vote('commit', 2, block));
  assert.deepEqual(signed?.message, voteBytes(CHAIN, vote('commit', 2, block)));
});

test('PBFT-2.3: signatures of different views make no certificate', () => {
  const other = commitCertificate(block, [1, 2, 3], 4, 1);
  const mixed = {
    ...committed,
    signatures: [committed.signatures[0] as Uint8Array, ...other.signatures.slice(1)],
  };
  assert.equal(verifyCertificate(context, mixed), false);
});

test('PBFT-2.3: the signature of a PRE-PREPARE does not count as one of a prepared certificate', () => {
  const proposal = signAs(0)(prePrepareSigningBytes(CHAIN, prePrepare(0, block)));
  assert.equal(
    verifyPreparedCertificate(context, {
      ...prepared,
      signatures: [proposal, ...prepared.signatures.slice(1)],
    }),
    false,
  );
});

test('PBFT-3.1: messages decode to what was encoded, and encode to the same bytes again', () => {
  for (const message of messages) {
    const bytes = encodeMessage(message);
    assert.ok(bytes.length <= messageBytesMax(4));
    const decoded = decodeMessage(bytes, parseTestBlock);
    assert.ok(decoded.ok, message.kind);
    assert.deepEqual(decoded.value, message);
    assert.deepEqual(encodeMessage(decoded.value), bytes);
  }
});

test('PBFT-3.1: log records decode to what was encoded', () => {
  for (const record of records) {
    const decoded = decodeLogRecord(encodeLogRecord(record), parseTestBlock);
    assert.ok(decoded.ok, record.kind);
    assert.deepEqual(decoded.value, record);
  }
  assert.equal(decodeLogRecord(Uint8Array.of(99), parseTestBlock).ok, false);
});

test('PBFT-3.1: mutated bytes are refused, or decode to something that encodes to exactly them', () => {
  const encoded = messages.map(encodeMessage);
  fc.assert(
    fc.property(
      fc.constantFrom(...encoded),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      fc.constantFrom('flip', 'cut', 'grow'),
      (bytes, at, by, how) => {
        const place = at % bytes.length;
        const mutated =
          how === 'cut'
            ? bytes.slice(0, place)
            : how === 'grow'
              ? Uint8Array.from([...bytes, by])
              : bytes.slice();
        if (how === 'flip') mutated[place] = (mutated[place] as number) ^ by;
        const decoded = decodeMessage(mutated, parseTestBlock);
        if (how !== 'flip') assert.equal(decoded.ok, false);
        else if (decoded.ok) assert.deepEqual(encodeMessage(decoded.value), mutated);
      },
    ),
    { numRuns: 500 },
  );
});

test('PBFT-3.1: a flipped bit in a signed message never verifies as it stands', () => {
  const signed = messages.filter((message) => signatureOf(context, message) !== undefined).map(encodeMessage);
  fc.assert(
    fc.property(fc.constantFrom(...signed), fc.nat(), fc.integer({ min: 0, max: 7 }), (bytes, at, bit) => {
      const mutated = bytes.slice();
      mutated[at % bytes.length] = (mutated[at % bytes.length] as number) ^ (1 << bit);
      const decoded = decodeMessage(mutated, parseTestBlock);
      if (decoded.ok)
        assert.equal(
          verifyMessage(context, decoded.value).ok && signatureOf(context, decoded.value) !== undefined,
          false,
        );
    }),
    { numRuns: 500 },
  );
});

test('PBFT-3.2: only validator v mod n opens view v', () => {
  assert.equal(
    verifyMessage(context, newView(2, 1, { viewChanges: asking, base: GENESIS_ID, reproposals: [] })).ok,
    false,
  );
});

test('PBFT-3.2: view 0 and height 0 are nobody’s to vote on', () => {
  assert.equal(verifyMessage(context, viewChange(1, 0)).ok, false);
  assert.equal(verifyMessage(context, vote('commit', 1, makeBlock(0, CHAIN))).ok, false);
  assert.equal(verifyMessage(context, checkpoint(1, 33, block.hash, root)).ok, false);
});

test('PBFT-3.3: votes far above, and proposals beyond the window, leave nothing behind', () => {
  const bench = new Bench(1);
  bench.hear(
    vote('commit', 2, makeBlock(PBFT_LIMITS.voteWindow + 1, CHAIN)),
    prePrepare(0, makeBlock(PBFT_LIMITS.proposalWindow + 1, CHAIN)),
  );
  assert.deepEqual(bench.replica.status().inFlight, []);
  bench.hear(vote('commit', 2, makeBlock(PBFT_LIMITS.voteWindow, CHAIN)));
  assert.equal(bench.replica.status().inFlight.length, 1);
});

test('PBFT-3.3: a bitmap or list longer than its limit is refused before it is read', () => {
  const bytes = encodeMessage(viewChange(1, 1));
  // The count of prepared certificates is the u16 before the suspects (length and one byte) and the signature.
  const grown = bytes.slice();
  new DataView(grown.buffer).setUint16(grown.length - 64 - 5 - 2, PBFT_LIMITS.preparedMax + 1);
  const decoded = decodeMessage(grown, parseTestBlock);
  assert.ok(!decoded.ok && decoded.code === 'decode.too-long');
  assert.ok(LIMITS.validatorsMax <= 0xffff);
});

test('PBFT-2.3: a stable certificate is for one result at one checkpoint height', () => {
  assert.equal(verifyStableCertificate(context, stable), true);
  assert.equal(verifyStableCertificate(context, { ...stable, stateRoot: CHAIN }), false);
  assert.equal(verifyStableCertificate(context, { ...stable, height: height(64) }), false);
  assert.equal(
    verifyStableCertificate(context, stableCertificate(33, block.hash, root, [0, 1, 2], 4)),
    false,
  );
});
