import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashTagged } from '@itc/core/crypto/hash.js';
import { encodeAttestation, type Attestation } from '@itc/core/ledger/firmware.js';
import { encodePayload, parsePayload, payloadSigningBytes, type Payload } from '@itc/core/ledger/payload.js';
import { lampKey, sensorKey } from '../testing/gateway.ts';
import type { Row } from '../3-cyber/vault/vault.ts';
import { Attestations } from './attestations.ts';

const CHAIN = hashTagged('payload');
const LINE = hashTagged('firmwareChannel');
type Key = typeof lampKey;

function said(
  by: Key,
  outcome: Attestation['outcome'],
  o: { number?: number; sequence?: number } = {},
): Payload {
  const { number = 1, sequence = 1 } = o;
  const version = { major: 1, minor: number, patch: 0 };
  const content = encodeAttestation({ channel: LINE, number, version, outcome, boots: 1, measurement: LINE });
  const unsigned = {
    signer: by.key,
    device: by.address,
    sequence,
    contentType: 'attestation' as const,
    content,
  };
  const bytes = encodePayload(unsigned, by.sign(payloadSigningBytes(CHAIN, unsigned)));
  const payload = parsePayload(CHAIN, bytes);
  assert.ok(payload.ok);
  return payload.value;
}

const empty = { rows: () => [] as never[] };

test('EDGE-14.1: each device counts once for a release, ascending by device, failures apart', () => {
  const kept = new Attestations(empty as never);
  assert.equal(kept.hear(said(lampKey, 'installed')).length, 1);
  assert.equal(kept.hear(said(lampKey, 'failed', { sequence: 2 })).length, 0, 'its first word stands');
  assert.equal(kept.hear(said(sensorKey, 'failed')).length, 1);
  kept.hear(said(lampKey, 'installed', { number: 2, sequence: 3 }));
  const [first, second, ...rest] = kept.installs();
  assert.equal(rest.length, 0);
  assert.deepEqual([first?.number, first?.payloads.length, first?.failures], [1, 2, 1]);
  assert.deepEqual([second?.number, second?.payloads.length, second?.failures], [2, 1, 0]);
});

test('EDGE-14.1: what was heard outlives a restart: the next report covers it', () => {
  const rows: Row[] = [];
  const before = new Attestations(empty as never);
  for (const payload of [said(lampKey, 'installed'), said(sensorKey, 'failed')])
    rows.push(...before.hear(payload));
  const after = new Attestations({ rows: () => rows } as never);
  after.load();
  assert.deepEqual([...after.installs()], [...before.installs()]);
});
