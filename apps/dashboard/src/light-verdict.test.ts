import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProofLine, ProvedDevice, ProvedPayload } from './light-protocol.ts';
import {
  deviceDifferences,
  failureOf,
  payloadDifferences,
  readingDifferences,
  recordVerdict,
  SETTLED_BLOCKS,
  settledVerdict,
  type Standing,
  type Told,
} from './light-verdict.ts';
import type { PayloadState, Reading } from './wire.ts';

const proof: ProofLine = { height: 100, time: 1_764_000_000_000, signers: [0, 1, 2], weight: 3, total: 4 };
const terms = { actions: ['onOff'], levelMax: 100, notBefore: 1, expiresAt: 2_000_000_000_000 };
const record = { owner: 'itc1owner', batch: 'ba', model: 'mo', claimedAt: 1_763_000_000_000 };
const proved: ProvedDevice = {
  kind: 'device',
  proof,
  record,
  grants: [{ subject: 'itc1friend', terms }],
};
const told: Told = { ...record, grants: [{ subject: 'itc1friend', ...terms }] };

test('CLIENT-15.2: every field of a device that is told otherwise is named, with what was told and what is proved', () => {
  assert.deepEqual(deviceDifferences(told, proved), []);
  const changes: readonly (readonly [Partial<Told>, string])[] = [
    [{ owner: 'itc1thief' }, 'Owner'],
    [{ batch: 'bb' }, 'Batch'],
    [{ model: 'mm' }, 'Model'],
    [{ claimedAt: 1 }, 'Claimed'],
    [{ grants: [{ ...(told.grants[0] as Told['grants'][0]), levelMax: 254 }] }, 'Grant to itc1friend'],
    [{ grants: [{ ...(told.grants[0] as Told['grants'][0]), actions: ['level'] }] }, 'Grant to itc1friend'],
    [{ grants: [{ ...(told.grants[0] as Told['grants'][0]), expiresAt: 3e12 }] }, 'Grant to itc1friend'],
  ];
  for (const [change, field] of changes)
    assert.deepEqual(
      deviceDifferences({ ...told, ...change }, proved).map((one) => one.field),
      [field],
    );
  const { owner: _owner, ...ownerless } = told;
  assert.deepEqual(deviceDifferences(ownerless, proved), [
    { field: 'Owner', told: 'none', proved: 'itc1owner' },
  ]);
  const unowned = deviceDifferences(told, { kind: 'device', proof, grants: [{ subject: 'itc1friend' }] });
  assert.deepEqual(
    unowned.map(({ field, proved: is }) => [field, is]),
    [
      ['Owner', 'none'],
      ['Batch', 'none'],
      ['Model', 'none'],
      ['Claimed', 'none'],
      ['Grant to itc1friend', 'none'],
    ],
  );
});

const payload: ProvedPayload = {
  kind: 'payload',
  proof,
  device: 'itc1lamp',
  signer: 'itc1lamp',
  attested: false,
  sequence: 7,
  contentType: 'senml+json',
  readings: [
    { name: 'temperature', unit: 'Cel', value: 21.5, time: 1_764_000_000_000 },
    { name: 'humidity', unit: '%RH', value: 40 },
  ],
};
const state: PayloadState = {
  id: '5c',
  device: 'itc1lamp',
  signer: 'itc1lamp',
  attested: false,
  sequence: 7,
  contentType: 'senml+json',
  receivedAt: 0,
  status: 'final',
  height: 100,
  readings: 2,
};
const readings: Reading[] = payload.readings.map((reading, index) => ({
  id: `5c:${index}`,
  payload: '5c',
  index,
  device: 'itc1lamp',
  time: 1_764_000_000_000,
  status: 'final',
  ...reading,
}));

test('CLIENT-15.2: every field of a payload and of its readings that is told otherwise is named', () => {
  assert.deepEqual(payloadDifferences(state, readings, payload), []);
  const fields = (of: Partial<PayloadState>, shown = readings): string[] =>
    payloadDifferences({ ...state, ...of }, shown, payload).map(({ field }) => field);
  assert.deepEqual(fields({ device: 'itc1other' }), ['Device']);
  assert.deepEqual(fields({ signer: 'itc1other' }), ['Signed by']);
  assert.deepEqual(fields({ attested: true }), ['Attested by a gateway']);
  assert.deepEqual(fields({ sequence: 8 }), ['Sequence']);
  assert.deepEqual(fields({ contentType: 'command' }), ['Content']);
  assert.deepEqual(fields({ height: 99 }), ['Block']);
  const [first, second] = readings as [Reading, Reading];
  assert.deepEqual(fields({}, [{ ...first, value: 22.5 }, second]), ['Reading 1: Value']);
  assert.deepEqual(readingDifferences({ ...first, value: 22.5 }, payload), [
    { field: 'Value', told: '22.5 Cel', proved: '21.5 Cel' },
  ]);
  assert.deepEqual(fields({}, [{ ...first, unit: 'K' }]), ['Value']);
  assert.deepEqual(fields({}, [{ ...first, name: 'pressure' }]), ['Quantity']);
  assert.deepEqual(fields({}, [{ ...first, time: 5 }]), ['Time']);
  assert.deepEqual(fields({}, [{ ...second, time: 5 }]), [], 'told relative to the gateway’s clock');
  assert.deepEqual(fields({}, [{ ...second, index: 2 }]), ['Reading']);
});

test('CLIENT-15.3: a record that differs is judged five blocks later, as long as the same is told; a payload at once', () => {
  const owner = deviceDifferences({ ...told, owner: 'itc1new' }, proved);
  let standing: Standing | undefined;
  const at = (height: number, differences = owner): string => {
    const judged = recordVerdict({ ...proof, height }, differences, standing);
    standing = judged.standing;
    return judged.verdict.kind;
  };
  assert.equal(at(100), 'unsettled');
  assert.equal(at(100 + SETTLED_BLOCKS - 1), 'unsettled');
  assert.equal(at(100 + SETTLED_BLOCKS), 'differs');
  assert.equal(at(110, []), 'proved', 'what is told became true');
  assert.equal(at(111), 'unsettled');
  assert.equal(at(117, deviceDifferences({ ...told, owner: 'itc1third' }, proved)), 'unsettled', 'told anew');
  assert.equal(settledVerdict(proof, owner).kind, 'differs');
  assert.equal(settledVerdict(proof, []).kind, 'proved');
  assert.equal(failureOf({ kind: 'failed', code: 'behind', message: '' })?.kind, 'failed');
  assert.equal(failureOf(proved), undefined);
});
