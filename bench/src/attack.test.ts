import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { decodeBlock, encodeBlock } from '@itc/core/ledger/block.js';
import { epoch, height, millis, view } from '@itc/core/ledger/ids.js';
import { decodeMessage, encodeMessage } from '@itc/core/pbft/message-codec.js';
import type { PrePrepare } from '@itc/core/pbft/messages.js';
import { prePrepareSigningBytes } from '@itc/core/pbft/signing.js';
import { verifyTransaction, type VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import { installNativeCrypto, verifyNative } from '@itc/node/crypto/native.js';
import { parseCandidate } from '@itc/node/runtime/candidates.js';
import { CHANNELS } from '@itc/node/runtime/channels.js';
import type { Transport } from '@itc/node/ports.js';
import { CompactBlocks } from '@itc/node/runtime/compact-block.js';
import { assembleBlock, type PreparedBlock } from '@itc/node/runtime/prepared-block.js';
import { ManualClock } from '@itc/node/testing/manual-clock.js';
import { alternative, delayed, forged, invalid, type Outgoing } from './attack-behaviour.ts';
import { transferOf } from './attack-load.ts';
import { attackNamed, type AttackPlan } from './attack-plans.ts';
import { Flood, runAttacks } from './attack.ts';
import { keysOf } from './network.ts';

installNativeCrypto();

const keys = keysOf(1, 'attacker');
const chain = sha256(Uint8Array.of(1));

/** As many as make a proposal go without them. */
const PAYMENTS = 8;

function paymentsOf(): VerifiedTransaction[] {
  return Array.from({ length: PAYMENTS }, (_, nonce) => {
    const { encoded } = transferOf(keys, { to: keys, nonce, chain });
    const verified = verifyTransaction(chain, encoded, verifyNative);
    assert.ok(verified.ok);
    return verified.value;
  });
}

function blockOf(at: number): PreparedBlock {
  return assembleBlock(
    {
      version: 1,
      flags: 0,
      epoch: epoch(0),
      height: height(at),
      time: millis(1_000 + at),
      parentHash: chain,
      stateRoot: chain,
      historyRoot: chain,
      validatorsHash: chain,
      nextValidatorsHash: chain,
    },
    paymentsOf(),
  );
}

function proposalOf(at: number): PrePrepare {
  const { candidate } = blockOf(at);
  const unsigned = {
    kind: 'pre-prepare',
    sender: 0,
    epoch: epoch(0),
    view: view(0),
    block: candidate,
  } as const;
  return { ...unsigned, signature: keys.sign(prePrepareSigningBytes(chain, unsigned)) };
}

function outgoing(at: number, peer = 'a'): Outgoing {
  return { peer, channel: CHANNELS.proposal.number, bytes: encodeMessage(proposalOf(at)) };
}

/** The same without the transactions everybody has. */
function compact(at: number): Outgoing {
  const proposal = proposalOf(at);
  const unused = (): never => assert.fail('nothing is received');
  const compactBlocks = new CompactBlocks({
    mempool: { get: unused },
    transport: { open: () => undefined } as unknown as Transport,
    block: () => blockOf(at),
    isHeard: unused,
    isDue: unused,
    complete: unused,
    blame: unused,
  });
  const bytes = compactBlocks.encode(proposal);
  assert.ok(bytes !== undefined && bytes.length < proposal.block.bytes.length);
  return { peer: 'a', channel: CHANNELS.compact.number, bytes };
}

test('attack: a slow proposer sends one proposal after the other, each late, to all peers, and never twice as often', () => {
  const clock = new ManualClock();
  const behaviour = delayed(3_800, clock);
  const left: string[] = [];
  const send = (name: string, message: Outgoing): boolean =>
    behaviour.intercept(message, () => left.push(name) > 0);
  assert.ok(send('one to a', outgoing(1, 'a')) && send('one to b', outgoing(1, 'b')));
  assert.ok(send('two to a', outgoing(2, 'a')));
  clock.advance(1_000);
  assert.ok(send('one to a, again', outgoing(1, 'a')), 'a repetition does not overtake');
  assert.ok(!send('a vote', { peer: 'a', channel: CHANNELS.vote.number, bytes: new Uint8Array(4) }));
  clock.advance(2_799);
  assert.deepEqual(left, []);
  clock.advance(1);
  assert.deepEqual(left, ['one to a', 'one to b']);
  clock.advance(3_800);
  assert.deepEqual(left, ['one to a', 'one to b', 'two to a']);
});

test('attack: forged blocks are properly encoded and signed, and wrong in one thing only', () => {
  const sent: Uint8Array[] = [];
  const pass = ({ bytes }: Outgoing): boolean => sent.push(bytes) > 0;
  const payments = new Map(paymentsOf().map(({ id, encoded }) => [toHex(id), encoded]));
  const body = (id: Uint8Array): Uint8Array | undefined => payments.get(toHex(id));
  const forger = { keys, chain, body };
  const lying = forged({ ...forger, forge: invalid });
  assert.ok(lying.intercept(outgoing(1), pass) && lying.intercept(outgoing(2), pass));
  const equivocating = forged({ ...forger, forge: alternative, each: true });
  const both = compact(4);
  assert.ok(equivocating.intercept(both, pass) && equivocating.intercept({ ...both, peer: 'b' }, pass));
  const blocks = sent.map((bytes) => {
    const message = decodeMessage(bytes, parseCandidate);
    assert.ok(message.ok && message.value.kind === 'pre-prepare');
    const { block, signature } = message.value;
    const key = { algorithm: 1, bytes: keys.publicKey.bytes } as const;
    assert.ok(verifyNative(key, prePrepareSigningBytes(chain, message.value), signature));
    const decoded = decodeBlock(block.bytes);
    assert.ok(decoded.ok);
    assert.deepEqual(encodeBlock(decoded.value), block.bytes);
    return decoded.value;
  });
  const areSigned = blocks.map(({ transactions }) =>
    transactions.map((encoded) => verifyTransaction(chain, encoded, verifyNative).ok),
  );
  const all = Array<boolean>(PAYMENTS).fill(true);
  assert.deepEqual(areSigned, [all, [false, ...all.slice(1)], all, all]);
  assert.notDeepEqual(blocks[0]?.header.stateRoot, chain);
  assert.deepEqual(blocks[1]?.header.stateRoot, chain);
  assert.deepEqual(
    blocks.slice(2).map(({ header }) => header.time),
    [1_005, 1_006],
  );
});

test('attack: a run with a lying validator tells both rates, what is left, waits and view changes', async () => {
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const attack = attackNamed('censor') as AttackPlan;
  // Long enough for something to become final on a machine with much else to do.
  const shape = { rounds: 1, warmUpMs: 300, freeMs: 2_000, attackedMs: 2_000 };
  const results = await runAttacks([attack], { seed: 1, quick: true, log }, shape);
  assert.equal(results.length, 6);
  for (const { metric, peer, value } of results) {
    assert.match(metric, /^censor: /);
    if (metric.includes('transfers final')) assert.ok(peer === 'fault-free' && value > 0, metric);
  }
  assert.ok(lines.some((line) => /^censor, round 1: .* view changes; .* one sender waits/.test(line)));
});

test('attack: the flood comes from its own address at its rate, with signatures that do not hold, and counts refusals', async () => {
  const from = new Set<string | undefined>();
  const seen: string[] = [];
  const server = createServer((request, response) => {
    from.add(request.socket.remoteAddress);
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      seen.push(...(JSON.parse(body) as { transactions: string[] }).transactions);
      response.writeHead(429).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const flood = new Flood({
    urls: [`http://127.0.0.1:${port}`],
    sender: toHex(keys.publicKey.bytes),
    perSecond: 200,
    localAddress: '127.0.0.2',
    connectionsPerUrl: 2,
    batch: 5,
  });
  await until(() => seen.length >= 50);
  const { sent, answers } = await flood.stop();
  server.close();
  assert.ok(sent >= 50 && (answers['429'] ?? 0) >= 9);
  assert.deepEqual([...from], ['127.0.0.2']);
  assert.equal(new Set(seen).size, seen.length);
  const verdicts = seen.map((text) => {
    const bytes = fromHex(text);
    assert.ok(bytes.ok);
    const verified = verifyTransaction(chain, bytes.value, verifyNative);
    return verified.ok ? 'ok' : verified.code;
  });
  assert.deepEqual([...new Set(verdicts)], ['signature.invalid']);
});

async function until(done: () => boolean): Promise<void> {
  for (let i = 0; !done(); i += 1) {
    assert.ok(i < 6_000, 'it takes too long');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
