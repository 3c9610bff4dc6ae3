import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FastifyRequest } from 'fastify';
import { seedSigner } from '@itc/client/keys.js';
import { signRequest } from '@itc/client/requests.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { millis } from '@itc/core/ledger/ids.js';
import { RequestGuard } from './request-guard.ts';

const chain = asHash(new Uint8Array(32).fill(1));
const now = 1_700_000_000_000;

async function request(seed: number): Promise<FastifyRequest> {
  const signer = seedSigner(new Uint8Array(32).fill(seed));
  const url = '/api/v1/devices';
  const authorization = await signRequest({
    chain,
    signer,
    method: 'GET',
    path: url,
    body: new Uint8Array(),
    time: millis(now),
  });
  return { method: 'GET', url, headers: { authorization } } as unknown as FastifyRequest;
}

test('CLIENT-2.5: a request signed with a key that was rotated away is refused, and one that was made before', async () => {
  let isRotated = false;
  const guard = new RequestGuard({ chain, verify: verifySignature, now: () => now, acts: () => !isRotated });
  const codeOf = (asked: FastifyRequest): string => {
    const caller = guard.check(asked);
    return caller.ok ? 'ok' : caller.code;
  };
  const first = await request(1);
  assert.equal(codeOf(first), 'ok');
  assert.equal(codeOf(first), 'request.unauthorised');
  isRotated = true;
  assert.equal(codeOf(await request(2)), 'request.unauthorised');
});
