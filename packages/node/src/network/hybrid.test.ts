import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import { sha3_256, shake256 } from '@noble/hashes/sha3.js';
import fc from 'fast-check';
import { concatBytes, toHex } from '@itc/core/bytes/hex.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { systemClock } from '../clock.ts';
import { KeyPair } from '../crypto/keypair.ts';
import { PRIORITY, type Random } from '../ports.ts';
import { SeededRandom, systemRandom } from '../random.ts';
import { holds } from '../testing/until.ts';
import { Handshake, type HandshakeOptions } from './handshake.ts';
import { decodeHello, encodeHello, type Hello, type HybridShare } from './hello.ts';
import { channelKeys, RECORD_BYTES_MAX, SealedRecords, type HybridMode } from './hybrid.ts';
import { PeerTransport } from './peer-transport.ts';
import { tlsGroups } from './tls-groups.ts';

const chain = sha256(Uint8Array.of(1));
const keysOf = (seed: number): KeyPair => KeyPair.generate(new SeededRandom(seed));
const anyone = (): undefined => undefined;
const exporter = new Uint8Array(32).fill(5);

function end(side: 'dialler' | 'listener', o: Partial<HandshakeOptions> = {}): Handshake {
  const keys = keysOf(side === 'dialler' ? 1 : 2);
  return new Handshake({
    chain,
    keys,
    role: 'validator',
    listens: '',
    exporter,
    side,
    hybrid: 'on',
    random: systemRandom,
    ...o,
  });
}

/** A HELLO with another share under the signature that was made for the first. */
function withShare(bytes: Uint8Array, hybrid: HybridShare): Uint8Array {
  const hello = decodeHello(bytes);
  assert.ok(hello.ok);
  return encodeHello({ ...hello.value, hybrid } satisfies Hello);
}

function session(): { readonly dialler: SealedRecords; readonly listener: SealedRecords } {
  const [one, other] = [end('dialler'), end('listener')];
  const heard = other.hear(one.first(), anyone);
  assert.ok(heard.ok && heard.value.reply && heard.value.keys);
  const answer = one.hear(heard.value.reply, anyone);
  assert.ok(answer.ok && answer.value.keys);
  return { dialler: new SealedRecords(answer.value.keys), listener: new SealedRecords(heard.value.keys) };
}

function opened(records: SealedRecords, bytes: Uint8Array): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  return records.open(bytes, (plain) => parts.push(plain)) ? concatBytes(...parts) : undefined;
}

test('QUANTUM-5.2: both ends come to the same keys, one for each direction; any mode agrees with itself', () => {
  const { dialler, listener } = session();
  const word = utf8Encode('a vote');
  assert.deepEqual(opened(listener, dialler.seal(word)), word);
  assert.deepEqual(opened(dialler, listener.seal(word)), word);
  const own = session();
  assert.equal(opened(own.dialler, own.dialler.seal(word)), undefined);
});

test('QUANTUM-5.3: a downgrade is refused: an offer or an answer that was taken out or changed is not what was signed', () => {
  const offer = end('dialler').first();
  const none: HybridShare = { kind: 'none' };
  const stripped = end('listener').hear(withShare(offer, none), anyone);
  assert.equal(!stripped.ok && stripped.code, 'signature');
  const dialler = end('dialler');
  const heard = end('listener').hear(dialler.first(), anyone);
  const reply = heard.ok ? heard.value.reply : undefined;
  assert.ok(reply);
  const hello = decodeHello(reply);
  assert.ok(hello.ok && hello.value.hybrid.kind === 'answer');
  const ciphertext = hello.value.hybrid.ciphertext.slice();
  ciphertext[7] = (ciphertext[7] as number) ^ 1;
  for (const share of [none, { kind: 'answer' as const, ciphertext }]) {
    const changed: Uint8Array = withShare(reply, share);
    const judged: ReturnType<Handshake['hear']> = dialler.hear(changed, anyone);
    assert.equal(!judged.ok && judged.code, 'signature');
  }
  // An answer to another offer than the one that was made.
  const elsewhere = end('dialler').hear(reply, anyone);
  assert.equal(!elsewhere.ok && elsewhere.code, 'signature');
});

test('QUANTUM-5.3: who requires it refuses who does without, on either side; who does not goes on without', () => {
  const meet = (a: HybridMode, b: HybridMode): string => {
    const [one, other] = [end('dialler', { hybrid: a }), end('listener', { hybrid: b })];
    const heard = other.hear(one.first(), anyone);
    if (!heard.ok) return `listener: ${heard.code}`;
    const answer = one.hear(heard.value.reply as Uint8Array, anyone);
    if (!answer.ok) return `dialler: ${answer.code}`;
    assert.equal(answer.value.keys === undefined, heard.value.keys === undefined);
    return answer.value.keys === undefined ? 'plain' : 'hybrid';
  };
  const modes: readonly HybridMode[] = ['off', 'on', 'require'];
  assert.deepEqual(
    modes.map((a) => modes.map((b) => meet(a, b))),
    [
      ['plain', 'plain', 'listener: hybrid'],
      ['plain', 'hybrid', 'hybrid'],
      ['dialler: hybrid', 'hybrid', 'hybrid'],
    ],
  );
});

test('QUANTUM-5.4: keys belong to one session, one pair of HELLOs and one secret', () => {
  const parts = {
    secret: new Uint8Array(32).fill(1),
    exporter,
    side: 'dialler' as const,
    hellos: { dialler: Uint8Array.of(1), listener: Uint8Array.of(2) },
  };
  const name = (o: Partial<typeof parts>): string => toHex(channelKeys({ ...parts, ...o }).send);
  const all = [
    name({}),
    name({ secret: new Uint8Array(32) }),
    name({ exporter: new Uint8Array(32) }),
    name({ hellos: { ...parts.hellos, dialler: Uint8Array.of(3) } }),
    name({ hellos: { ...parts.hellos, listener: Uint8Array.of(3) } }),
    name({ hellos: { dialler: Uint8Array.of(1, 2), listener: Uint8Array.of() } }),
    toHex(channelKeys(parts).receive),
  ];
  assert.equal(new Set(all).size, all.length);
});

test('QUANTUM-5.4: another key than the peer’s, another session, another chain: no channel', () => {
  const offer = end('dialler').first();
  const judge = (peer: { readonly id: string }): 'unknown' | undefined =>
    peer.id === toHex(keysOf(1).publicKey.bytes) ? undefined : 'unknown';
  const wrong = end('listener').hear(end('dialler', { keys: keysOf(9) }).first(), judge);
  assert.equal(!wrong.ok && wrong.code, 'unknown');
  const relayed = end('listener', { exporter: new Uint8Array(32) }).hear(offer, judge);
  assert.equal(!relayed.ok && relayed.code, 'signature');
  const other = end('listener', { chain: sha256(Uint8Array.of(2)) }).hear(offer, judge);
  assert.equal(!other.ok && other.code, 'other-chain');
  // A stranger causes no key exchange.
  let asked = 0;
  const random: Random = {
    ...systemRandom,
    bytes: (length) => ((asked += 1), systemRandom.bytes(length)),
    uniform: () => 0,
  };
  end('listener', { random }).hear(end('dialler', { keys: keysOf(9) }).first(), judge);
  assert.equal(asked, 0);
});

test('QUANTUM-5.5: a recorded session cannot be read with the X25519 secret alone, nor with that of TLS', () => {
  const seed = new Uint8Array(32).fill(7);
  const [one, other] = [end('dialler', { random: { bytes: () => seed, uniform: () => 0 } }), end('listener')];
  const offer = one.first();
  const heard = other.hear(offer, anyone);
  assert.ok(heard.ok && heard.value.reply && heard.value.keys);
  const { reply, keys } = heard.value;
  const recorded = new SealedRecords(keys).seal(utf8Encode('what was to stay secret'));
  // The attacker has broken TLS, so it has the exporter and both HELLOs, and X25519, so it has that secret and key.
  const hello = decodeHello(reply);
  assert.ok(hello.ok && hello.value.hybrid.kind === 'answer');
  const point = hello.value.hybrid.ciphertext.subarray(1088);
  const secretKey = shake256(seed, { dkLen: 96 }).slice(64);
  const { shared, own } = x25519(secretKey, point);
  const hellos = { dialler: offer, listener: reply };
  const guess = (mlKem: Uint8Array): Uint8Array | undefined => {
    const secret = sha3_256(concatBytes(mlKem, shared, point, own, utf8Encode('\\.//^\\')));
    return opened(new SealedRecords(channelKeys({ secret, exporter, hellos, side: 'dialler' })), recorded);
  };
  for (const mlKem of [new Uint8Array(0), new Uint8Array(32), shared]) assert.equal(guess(mlKem), undefined);
  // With what ML-KEM protects it is read: nothing else was missing.
  const whole = one.hear(reply, anyone);
  assert.ok(whole.ok && whole.value.keys);
  assert.ok(opened(new SealedRecords(whole.value.keys), recorded));
});

test('QUANTUM-5.6: records come whole, once and in order, in any pieces; anything else ends the channel', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 400 }), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 300 }),
      (words, piece) => {
        const { dialler, listener } = session();
        const sealed = concatBytes(...words.map((word) => dialler.seal(word)));
        const read: Uint8Array[] = [];
        for (let at = 0; at < sealed.length; at += piece)
          assert.ok(listener.open(sealed.subarray(at, at + piece), (plain) => read.push(plain.slice())));
        assert.deepEqual(concatBytes(...read), concatBytes(...words));
      },
    ),
    { numRuns: 10 },
  );
  const fresh = session();
  const [first, second] = [fresh.dialler.seal(Uint8Array.of(1)), fresh.dialler.seal(Uint8Array.of(2))];
  for (const at of [3, 4, first.length - 1]) {
    const { dialler, listener } = session();
    const changed = dialler.seal(Uint8Array.of(1));
    changed[at] = (changed[at] as number) ^ 1;
    assert.equal(opened(listener, concatBytes(changed, Uint8Array.of(0)))?.length ?? 0, 0, `${at}`);
  }
  assert.equal(opened(fresh.listener, second), undefined);
  const again = session();
  const once = again.dialler.seal(Uint8Array.of(1));
  assert.deepEqual(opened(again.listener, once), Uint8Array.of(1));
  assert.equal(opened(again.listener, once), undefined);
  assert.equal(opened(session().listener, Uint8Array.of(0xff, 0, 0, 0)), undefined);
  const long = new Uint8Array(RECORD_BYTES_MAX + 1).fill(3);
  const large = session();
  assert.deepEqual(opened(large.listener, large.dialler.seal(long)), long);
  assert.ok(first.length === 21);
});

/** What one end has of X25519: the secret both share, and its own public key. */
function x25519(
  secret: Uint8Array,
  point: Uint8Array,
): { readonly shared: Uint8Array; readonly own: Uint8Array } {
  const frame = (hex: string, bytes: Uint8Array): Buffer => Buffer.concat([Buffer.from(hex, 'hex'), bytes]);
  const privateKey = createPrivateKey({
    key: frame('302e020100300506032b656e04220420', secret),
    format: 'der',
    type: 'pkcs8',
  });
  const publicKey = createPublicKey({
    key: frame('302a300506032b656e032100', point),
    format: 'der',
    type: 'spki',
  });
  const own = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
  return { shared: diffieHellman({ privateKey, publicKey }), own };
}

function node(seed: number, hybrid: HybridMode, port?: number): PeerTransport {
  const peers = port === undefined ? [] : [{ id: toHex(keysOf(1).publicKey.bytes), host: '127.0.0.1', port }];
  return new PeerTransport({
    chain,
    keys: keysOf(seed),
    role: 'validator',
    host: '127.0.0.1',
    port: 0,
    peers,
    allow: () => true,
    clock: systemClock,
    random: systemRandom,
    hybrid,
  });
}

test('QUANTUM-5.6: messages of all sizes cross a hybrid connection in order; where one end requires it and the other has it not, none stands', async () => {
  await using listener = node(1, 'require');
  const received: Uint8Array[] = [];
  const channel = { number: 1, bytesMax: 4 << 20, priority: PRIORITY.normal };
  listener.open({ ...channel, receive: (_, bytes) => received.push(Uint8Array.from(bytes)) });
  await listener.start();
  await using dialler = node(2, 'on', listener.port);
  dialler.open({ ...channel, receive: () => undefined });
  await dialler.start();
  await holds(() => dialler.peers().length === 1 && listener.peers().length === 1);
  assert.ok([...dialler.stats(), ...listener.stats()].every(({ isHybrid }) => isHybrid));
  const words = [1, 100, 70_000, 3_000_000, 5].map((length) => new Uint8Array(length).fill(length & 255));
  for (const word of words) assert.ok(dialler.send(listener.self, 1, word));
  await holds(() => received.length === words.length);
  assert.deepEqual(received, words);
  await holds(() => dialler.stats()[0]?.rttMs !== undefined);
  await using plain = node(3, 'off', listener.port);
  await plain.start();
  await holds(() => (listener.refusals.get('hybrid') ?? 0) > 0);
  assert.equal(plain.peers().length, 0);
});

test('QUANTUM-5.7: where TLS knows the hybrid group it is asked for first; elsewhere nothing changes', () => {
  assert.deepEqual(
    tlsGroups(() => false),
    {},
  );
  assert.match(tlsGroups(() => true).ecdhCurve ?? '', /^X25519MLKEM768:X25519/);
  const [major = 0] = process.versions.node.split('.').map(Number);
  if (major < 24) assert.deepEqual(tlsGroups(), {});
});
