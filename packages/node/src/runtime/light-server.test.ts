import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { epoch, height, millis } from '@itc/core/ledger/ids.js';
import { LightReader, type LightEvent } from '@itc/core/light/light-reader.js';
import { encodeTrust } from '@itc/core/light/trust.js';
import type { Group } from '@itc/core/testing/chain.js';
import { keyPair, rememberingVerifier, verifyQuickly } from '@itc/core/testing/keys.js';
import { sliding, streamWorld } from '@itc/core/testing/light-streams.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { LightServer, type LightServerOptions } from './light-server.ts';

installNativeCrypto();

const EPOCHS = 12;
const of = streamWorld(Array.from({ length: EPOCHS }, (_, i) => sliding(i + 1)));
const { blocks } = of.chain.builder;
const verify = rememberingVerifier(verifyQuickly);

/** A server over a made chain; `asked` counts what it had to look for. */
function serving(o: Partial<LightServerOptions> = {}): {
  readonly server: LightServer;
  readonly asked: () => number;
} {
  let asked = 0;
  const index = of.chain.index();
  const headerAt = (at: number): unknown => {
    const found = blocks[at - 1];
    return found && { header: found.block.header, certificate: found.certificate };
  };
  const chain = {
    id: of.home.chain,
    height: blocks.length,
    epoch: { epoch: EPOCHS },
    headerAt,
    epochStart: (at: number) => {
      const set = of.chain.groups[at] as Group | undefined;
      const since = blocks.findIndex(({ block }) => block.header.epoch === at) + 1;
      return set && { validators: set.set, since };
    },
  };
  const hops = {
    from: (...[from, target, thirds]: Parameters<LightServerOptions['hops']['from']>) => {
      asked += 1;
      return index.hopsFrom(from, target, (of.chain.groups[target.header.epoch] as Group).set, thirds);
    },
  };
  const keys = { publicKey: keyPair(1).key, sign: keyPair(1).sign };
  const options = { chain, hops, keys, now: () => millis(0), ...o } as unknown as LightServerOptions;
  return { server: new LightServer(options), asked: () => asked };
}

function ask(server: LightServer, from: number, at: number): Uint8Array {
  const answer = server.answer({ epoch: epoch(from), height: height(at), thirds: 2, wants: [] });
  assert.ok(answer.ok, answer.ok ? '' : answer.message);
  return answer.value;
}

test('LIGHT-10.4: whoever trusts the same epoch gets the same bytes, made once until there is a newer header', () => {
  const { server, asked } = serving();
  const first = ask(server, 0, 0);
  assert.equal(toHex(ask(server, 0, 1)), toHex(first));
  assert.equal(asked(), 1);
  assert.notEqual(toHex(ask(server, 1, 1)), toHex(first));
  assert.equal(asked(), 2);
});

test('LIGHT-10.4: an answer is bounded: what does not fit leads a part of the way, and from there the client asks again', () => {
  const { server } = serving({ wayBytesMax: 2_000 });
  const whole = ask(serving().server, 0, 0);
  let trust = encodeTrust(of.start);
  let requests = 0;
  for (let at = 0, from = 0; at < blocks.length; requests += 1) {
    const bytes = ask(server, from, at);
    assert.ok(
      bytes.length < 3_000 && bytes.length < whole.length,
      `${bytes.length} of ${whole.length} bytes`,
    );
    const reader = new LightReader({ trust, verify });
    const [believed] = reader.push(bytes) as [Extract<LightEvent, { kind: 'believed' }>];
    assert.equal(believed.kind, 'believed', JSON.stringify(believed));
    assert.ok(reader.isDone && believed.height > at);
    trust = believed.trust;
    at = believed.height;
    from = new DataView(trust.buffer, trust.byteOffset).getUint32(32);
  }
  assert.ok(requests > 2 && requests < EPOCHS, `${requests} requests`);
  const [direct] = new LightReader({ trust: encodeTrust(of.start), verify }).push(whole);
  assert.deepEqual(direct?.kind === 'believed' && direct.trust, trust, 'it comes to the same');
});
