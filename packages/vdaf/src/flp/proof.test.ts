import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FIELD64, decodeElements, encodeElements, rootOfUnity } from '../field.ts';
import { Arena } from '../kernel/kernel.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { plainKernel } from '../kernel/plain.ts';
import { expandIntoVector } from '../xof.ts';
import { sum } from './circuit.ts';
import { ProofSystem } from './proof.ts';

test('VDAF-4.7: a test point that is a root of unity is refused, for it would show a wire', () => {
  const circuit = sum({ max: 5 });
  const proof = new ProofSystem(circuit as never, 2);
  const arena = new Arena(plainKernel());
  const kernel = arena.kernel.field64;
  const frame = { arena, kernel, constants: arena.place(proof.image) };
  const zeros = (length: number): number => arena.allocate(8 * length);
  const query = (t: bigint): boolean =>
    proof.query(
      frame,
      {
        measurement: zeros(proof.paddedLength),
        proof: zeros(proof.proofLength),
        queryRand: arena.place(encodeElements(FIELD64, [1n, 2n, 3n, t])),
        jointRand: 0,
      },
      zeros(proof.verifierLength),
    );
  // Three calls: wire polynomials have four nodes.
  const root = rootOfUnity(FIELD64, 4);
  for (const t of [1n, root, (root * root) % FIELD64.modulus]) assert.equal(query(t), false);
  for (const t of [0n, 2n, rootOfUnity(FIELD64, 8)]) assert.equal(query(t), true);
});

test('VDAF-2.3: expansion rejects encodings at or above the modulus and goes on with the next', () => {
  const p = FIELD64.modulus;
  // A stream in which the elements 1, 2 and the last are to be rejected.
  const stream = [5n, p, 2n ** 64n - 1n, 0n, p - 1n, 7n, p + 1n, 8n, 9n, 10n];
  const bytes = new Uint8Array(8 * stream.length);
  stream.forEach((x, i) => new DataView(bytes.buffer).setBigUint64(8 * i, x, true));
  const real = plainKernel();
  const kernel: Kernel = {
    ...real,
    turboShake: (_message, _length, out, outBytes) => {
      real.memory().set(bytes.subarray(0, outBytes), out);
    },
  };
  const accepted = [5n, 0n, p - 1n, 7n, 8n, 9n, 10n];
  for (let length = 1; length <= accepted.length; length += 1) {
    const arena = new Arena(kernel);
    const mark = arena.mark();
    const out = arena.allocate(8 * length);
    const empty = new Uint8Array();
    expandIntoVector(arena, kernel.field64, empty, empty, [], out, length);
    assert.deepEqual(decodeElements(FIELD64, arena.read(out, 8 * length)), accepted.slice(0, length));
    arena.release(mark);
  }
});
