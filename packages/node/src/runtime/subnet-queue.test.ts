import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { SubnetQueue } from './subnet-queue.ts';

const signers: readonly PublicKey[] = Array.from({ length: 300 }, () => ({
  algorithm: 1,
  bytes: new Uint8Array(32),
}));

const payload = (device: number, sequence: number, size = 10): Payload =>
  ({ signer: signers[device], sequence, bytes: new Uint8Array(size) }) as unknown as Payload;

const BYTES = 1_000_000;

test('SUBNET-9.1: whoever brings one payload waits a turn of those who bring many, not for all they bring', () => {
  const queue = new SubnetQueue();
  for (let device = 0; device < 200; device += 1)
    for (let sequence = 1; sequence <= 50; sequence += 1) queue.push(payload(device, sequence));
  queue.take(512, BYTES);
  const lone = payload(250, 1);
  queue.push(lone);
  const next = queue.take(512, BYTES);
  assert.ok(next.includes(lone), 'in the next envelope, with 9 500 before it');
  assert.ok(next.indexOf(lone) <= 200);
});

type Action =
  | { readonly kind: 'push'; readonly device: number }
  | { readonly kind: 'take'; readonly count: number; readonly bytes: number; readonly isTaken: boolean };

const anyAction: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ kind: fc.constant('push' as const), device: fc.nat({ max: 4 }) }),
  fc.record({
    kind: fc.constant('take' as const),
    count: fc.nat({ max: 8 }),
    bytes: fc.integer({ min: 20, max: 200 }),
    isTaken: fc.boolean(),
  }),
);

test('SUBNET-9.1: nothing is lost, nothing comes twice, and what is of one device comes in its order', () => {
  fc.assert(
    fc.property(fc.array(anyAction, { maxLength: 80 }), (actions) => {
      const queue = new SubnetQueue();
      const pushed = new Map<number, number>();
      const taken: Payload[] = [];
      let count = 0;
      for (const action of actions) {
        if (action.kind === 'push') {
          const sequence = (pushed.get(action.device) ?? 0) + 1;
          pushed.set(action.device, sequence);
          queue.push(payload(action.device, sequence));
          count += 1;
          continue;
        }
        const some = queue.take(action.count, action.bytes);
        assert.ok(some.length <= action.count && some.length * 14 <= action.bytes);
        if (action.isTaken) {
          taken.push(...some);
          count -= some.length;
        } else queue.putBack(some);
        assert.equal(queue.length, count);
        assert.equal([...queue.values()].length, count);
      }
      taken.push(...queue.take(1_000, BYTES));
      for (const [device, last] of pushed) {
        const sequences = taken
          .filter(({ signer }) => signer === signers[device])
          .map((each) => each.sequence);
        assert.deepEqual(
          sequences,
          Array.from({ length: last }, (_, i) => i + 1),
        );
      }
    }),
    { numRuns: 200 },
  );
});

test('DAG-2.11: commands of schemes that are dear to check take the place of several payloads of an envelope', () => {
  const queue = new SubnetQueue();
  const dear = { algorithm: 3, bytes: new Uint8Array(1312) } as const;
  for (let i = 0; i < 40; i += 1) queue.push({ ...payload(0, i + 1), signer: { ...dear } });
  const taken = queue.take(512, BYTES);
  assert.equal(taken.length, 16);
  assert.equal(queue.length, 24);
});
