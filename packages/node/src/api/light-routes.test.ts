import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { ok } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { voteSigningBytes } from '@itc/core/ledger/block.js';
import { writeEvidence, type Evidence } from '@itc/core/ledger/evidence.js';
import { epoch, height, view } from '@itc/core/ledger/ids.js';
import type { KeyPair } from '../crypto/keypair.ts';
import { installNativeCrypto, verifyNative } from '../crypto/native.ts';
import { freePorts } from '../testing/ports.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { SeededRandom } from '../random.ts';
import { createLogger } from '../runtime/logger.ts';
import type { LightServer } from '../runtime/light-server.ts';
import { SoloChain } from '../testing/solo-chain.ts';
import { evidenceRoutes } from './evidence-routes.ts';
import { lightRoutes } from './light-routes.ts';
import { ApiServer, type Routes } from './server.ts';
import { SourceBudget } from './source-budget.ts';

installNativeCrypto();

async function serving(routes: Routes, use: (url: string) => Promise<void>): Promise<void> {
  const [port] = (await freePorts(1)) as [number];
  const logger = createLogger('test', 'error');
  const server = new ApiServer({ host: '127.0.0.1', port, version: '0', logger, routes: [routes] });
  await server.start();
  try {
    await use(`http://127.0.0.1:${port}/api/v1`);
  } finally {
    await server.stop();
  }
}

test('LIGHT-10.5: an address gets so many answers at once and so many a second, and long ones count for several', async () => {
  const clock = new ManualClock();
  const budget = new SourceBudget({ clock, random: new SeededRandom(1) }, { burst: 10, perSecond: 2 });
  let bytes = 1_000;
  const server = { answerFetching: async () => ok(new Uint8Array(bytes)) } as unknown as LightServer;
  await serving(lightRoutes(server, budget), async (url) => {
    const ask = async (): Promise<number> => {
      const response = await fetch(`${url}/light?epoch=0`);
      assert.equal(response.headers.get('access-control-allow-origin') ?? '*', '*');
      await response.arrayBuffer();
      return response.status;
    };
    for (let i = 0; i < 10; i += 1) assert.equal(await ask(), 200);
    assert.equal(await ask(), 429);
    clock.advance(3_000);
    // Five parts of 64 KiB and one for itself.
    bytes = 5 * 65_536;
    assert.equal(await ask(), 200);
    assert.equal(await ask(), 429);
  });
});

type Votes = Exclude<Evidence, { kind: 'checkpoint' }>;

function doubleVote(solo: SoloChain, keys: KeyPair): Votes {
  const of = { epoch: epoch(0), view: view(0), height: height(5) };
  const [first, second] = [1, 2].map((seed) => {
    const hash = sha256(Uint8Array.of(seed));
    const signature = keys.sign(voteSigningBytes('commit', { chain: solo.chain.id, ...of, hash }));
    return { hash, signature };
  }) as [Votes['first'], Votes['second']];
  return { kind: 'commit', culprit: keys.publicKey, ...of, first, second };
}

test('CLIENT-14.9: whoever found that a validator voted twice reports it without an account; a lie is refused and counted', async () => {
  const solo = await SoloChain.open();
  const [culprit] = solo.validators as [KeyPair];
  const accused: string[] = [];
  const sources = new SourceBudget({ clock: new ManualClock(), random: new SeededRandom(1) });
  const accuser = { accuse: (key: { readonly bytes: Uint8Array }) => void accused.push(toHex(key.bytes)) };
  const routes = evidenceRoutes({ chain: solo.chain, verify: verifyNative, accuser, sources });
  await serving(routes, async (url) => {
    const report = async (evidence: Evidence): Promise<readonly [number, string]> => {
      const writer = new Writer(512);
      writeEvidence(writer, evidence);
      const body = JSON.stringify({ evidence: toHex(writer.finish()) });
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${url}/evidence`, { method: 'POST', headers, body });
      return [response.status, await response.text()];
    };
    const evidence = doubleVote(solo, culprit);
    assert.deepEqual(await report(evidence), [200, '{"taken":true}']);
    assert.deepEqual(accused, [toHex(culprit.publicKey.bytes)]);
    const codeOf = async (changed: Evidence): Promise<unknown> =>
      (JSON.parse((await report(changed))[1]) as { code: unknown }).code;
    const { first } = evidence;
    assert.equal(await codeOf({ ...evidence, second: first }), 'evidence.malformed');
    const forged = { ...first, hash: sha256(Uint8Array.of(9)) };
    assert.equal(await codeOf({ ...evidence, second: forged }), 'evidence.signature');
    assert.equal(await codeOf({ ...evidence, culprit: solo.treasury.publicKey }), 'validator.unknown');
    assert.equal(accused.length, 1);
    // Signatures that do not hold are paid for by who sends them (NODE-6.5).
    for (let i = 0; i < 128; i += 1) await report({ ...evidence, second: forged });
    assert.equal((await report(evidence))[0], 429);
  });
});
