import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { addressOf } from '@itc/core/ledger/address.js';
import { amount, millis } from '@itc/core/ledger/ids.js';
import { possessionSigningBytes } from '@itc/core/ledger/bodies/validator.js';
import { KeyPair } from '../crypto/keypair.ts';
import { installNativeCrypto } from '../crypto/native.ts';
import {
  decodeAddresses,
  encodeAddresses,
  endpointFrom,
  signAddress,
  type AddressStatement,
} from '../network/address-statement.ts';
import type { Channel, Peer, PeerId, PeerListener, Transport } from '../ports.ts';
import { BOND, keyPair, LocalNetwork } from '../testing/local-network.ts';
import { until } from '../testing/until.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { SoloChain } from '../testing/solo-chain.ts';
import { AddressBook } from './address-book.ts';

installNativeCrypto();

const [self, a, b, c] = [keyPair(1), keyPair(2), keyPair(3), keyPair(4)];
const idOf = (keys: KeyPair): PeerId => toHex(keys.publicKey.bytes);

function stranger(n: number): KeyPair {
  return KeyPair.fromSeed(
    Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? n & 255 : i === 1 ? n >> 8 : 9)),
  );
}

interface Desk {
  readonly book: AddressBook;
  readonly clock: ManualClock;
  readonly bonded: Set<PeerId>;
  /** Keys of each statement sent, with who it went to. */
  readonly sent: { readonly to: PeerId; readonly keys: readonly PeerId[] }[];
  dialled: readonly { readonly id: PeerId; readonly host: string; readonly port: number }[];
  readonly expelled: PeerId[];
  say(from: KeyPair, statements: readonly AddressStatement[]): void;
  state(keys: KeyPair, listen: string, at?: number): AddressStatement;
}

async function desk(connected: readonly KeyPair[], bondedTo: readonly KeyPair[]): Promise<Desk> {
  const { chain } = await SoloChain.open();
  const clock = new ManualClock();
  const peers = connected.map((keys): Peer => {
    const key = keys.publicKey;
    return { id: idOf(keys), key, address: addressOf(key), role: 'validator', listen: '' };
  });
  const [channels, listeners]: [Channel[], PeerListener[]] = [[], []];
  const sent: Desk['sent'] = [];
  const expelled: PeerId[] = [];
  const transport: Transport = {
    self: idOf(self),
    open: (channel) => void channels.push(channel),
    listen: (listener) => void listeners.push(listener),
    start: async () => {},
    peers: () => peers,
    send: (to, _channel, bytes) => {
      const decoded = decodeAddresses(bytes);
      assert.ok(decoded.ok);
      sent.push({ to, keys: decoded.value.map(({ key }) => toHex(key.bytes)) });
      return true;
    },
    broadcast: () => 0,
    disconnect: (id) => void expelled.push(id),
    [Symbol.asyncDispose]: async () => {},
  };
  const bonded = new Set(bondedTo.map(idOf));
  const made: Omit<Desk, 'book'> = {
    clock,
    bonded,
    sent,
    dialled: [],
    expelled,
    say: (from, statements) =>
      channels[0]?.receive(peers.find(({ id }) => id === idOf(from)) as Peer, encodeAddresses(statements)),
    state: (keys, listen, at = clock.now()) => signAddress(chain.id, keys, { listen, at: millis(at) }),
  };
  const book = new AddressBook({
    chain,
    keys: self,
    transport,
    clock,
    listen: () => '10.0.0.1:7000',
    bonded: () => new Set(bonded),
    configured: new Set([idOf(a)]),
    dial: (all) => (desked.dialled = all),
  });
  const desked: Desk = Object.assign(made, { book });
  book.start();
  return desked;
}

test('NODE-16.1: an address passed on by somebody else is dialled when both have bonded, and never what a configuration names', async () => {
  const d = await desk([a, b], [self, a, c]);
  d.say(a, [d.state(a, '10.0.0.2:1'), d.state(c, '10.0.0.4:4')]);
  assert.deepEqual(d.dialled, [{ id: idOf(c), host: '10.0.0.4', port: 4 }]);
  // Passed on, but not to where it came from.
  assert.deepEqual(d.sent.at(-1), { to: idOf(b), keys: [idOf(a), idOf(c)] });
  d.bonded.delete(idOf(c));
  d.book.refresh();
  assert.deepEqual(d.dialled, []);
});

test('NODE-16.1: what is said of a key that bonds later is kept, and is news when it has', async () => {
  const d = await desk([a, b], [self, a]);
  const before = d.sent.length;
  d.say(a, [d.state(c, '[2001:db8::4]:4')]);
  assert.equal(d.sent.length, before);
  assert.deepEqual(d.dialled, []);
  d.bonded.add(idOf(c));
  d.book.refresh();
  assert.deepEqual(d.dialled, [{ id: idOf(c), host: '2001:db8::4', port: 4 }]);
  assert.deepEqual(
    d.sent.slice(before).map(({ to, keys }) => [to, keys]),
    [a, b].map((peer) => [idOf(peer), [idOf(c)]]),
  );
});

test('NODE-16.2: an address that its key has not signed, an older one, one from the future, or too many in a row change nothing', async () => {
  const d = await desk([a, b], [self, a, c]);
  const now = d.clock.now();
  d.say(a, [d.state(c, '10.0.0.4:4')]);
  const good = d.dialled;
  const sent = d.sent.length;
  d.say(b, [{ ...d.state(b, '6.6.6.6:6', now + 60_000), key: c.publicKey }]);
  d.say(b, [{ ...d.state(c, '10.0.0.4:4', now + 60_000), listen: '6.6.6.6:6' }]);
  d.say(b, [d.state(c, '10.0.0.4:5', now - 1)]);
  d.say(b, [d.state(c, '10.0.0.4:6', now + 3_600_000)]);
  d.say(b, [d.state(c, '10.0.0.4:7', now + 9_000)]);
  d.say(b, [d.state(c, '0.0.0.0:7', now + 60_000), d.state(c, 'no address', now + 60_000)]);
  assert.equal(d.dialled, good);
  assert.equal(d.sent.length, sent);
  d.say(b, [d.state(c, '10.0.0.4:8', now + 60_000)]);
  assert.deepEqual(d.dialled, [{ id: idOf(c), host: '10.0.0.4', port: 8 }]);
});

test('NODE-16.2: what is kept is bounded; those who have bonded push out those who have not', async () => {
  const d = await desk([a, b], [self, a, c]);
  for (let first = 0; first < 600; first += 16) {
    const strangers = Array.from({ length: 16 }, (_, i) => stranger(first + i));
    d.say(
      a,
      strangers.map((keys) => d.state(keys, '10.0.0.9:9')),
    );
  }
  assert.equal(d.book.size, 512);
  d.say(a, [d.state(c, '10.0.0.4:4')]);
  assert.equal(d.dialled.length, 1);
});

test('NODE-16.2: endpoints are read strictly', () => {
  assert.deepEqual(endpointFrom('validator-1.example:80'), { host: 'validator-1.example', port: 80 });
  for (const wrong of [
    '',
    'host',
    'host:',
    'host:0',
    'host:65536',
    ':80',
    'a b:1',
    '::1:80',
    'http://host:80',
    '0.0.0.0:1',
  ])
    assert.equal(endpointFrom(wrong), undefined, wrong);
});

test('NODE-16.1: two validators that both joined later, and that no configuration brings together, connect to each other', async () => {
  const network = await LocalNetwork.create({
    validators: 4,
    candidates: 2,
    strangers: [[4, 5]],
    heartbeatMs: 200,
    viewTimeoutMs: 2_000,
  });
  try {
    await network.startAll();
    const [one, other] = [network.nodes[4], network.nodes[5]];
    assert.ok(one && other);
    const sees = (): boolean => one.transport.peers().some(({ id }) => id === other.transport.self);
    await until('both know the others', () =>
      [one, other].every((node) => node.transport.peers().length === 4),
    );
    assert.equal(sees(), false);
    for (const joining of [network.keys(4), network.keys(5)]) {
      const possession = joining.sign(possessionSigningBytes(network.chain, joining.address));
      const key = joining.publicKey;
      await network.act(joining, { kind: 'bond', key, amount: amount(BOND), possession });
    }
    await until('they are connected', sees);
    assert.ok(other.transport.peers().some(({ id }) => id === one.transport.self));
  } finally {
    await network.close();
  }
});
