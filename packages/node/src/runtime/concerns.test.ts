import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installNativeCrypto } from '../crypto/native.ts';
import { LocalNetwork } from '../testing/local-network.ts';
import { until } from '../testing/until.ts';
import { Concerns, type Concern, type Finding } from './concerns.ts';
import { findingsOf } from './findings.ts';
import type { NodeProcess } from './process.ts';
import { BlockRate, statusOf } from './status.ts';

installNativeCrypto();

const finding = (change: Partial<Finding> = {}): Finding => ({
  code: 'peers-away',
  part: 'peers',
  what: 'one is away',
  todo: 'start it',
  serious: false,
  ...change,
});

test('SUBNET-5.7: a concern has the time at which it was seen first, outlives a moment without it, and begins anew after more', () => {
  const concerns = new Concerns();
  const sinces = (now: number, ...findings: readonly Finding[]): number[] =>
    concerns.observe(findings, now).map(({ since }) => since);
  assert.deepEqual(sinces(1_000, finding()), [1_000]);
  assert.deepEqual(sinces(2_000), []);
  assert.deepEqual(sinces(3_000, finding({ what: 'two are away' })), [1_000]);
  assert.deepEqual(sinces(9_000), []);
  assert.deepEqual(sinces(10_000, finding()), [10_000]);
});

test('SUBNET-5.7: what passes by itself is told only when it has lasted; serious things come first', () => {
  const concerns = new Concerns();
  const slow = finding({ code: 'validators-slow', afterMs: 5_000 });
  const serious = finding({ code: 'quorum-lost', serious: true });
  assert.deepEqual(concerns.observe([slow], 0), []);
  assert.deepEqual(concerns.observe([slow], 4_000), []);
  assert.deepEqual(
    concerns.observe([slow, serious], 5_000).map(({ code, since }) => [code, since]),
    [
      ['quorum-lost', 5_000],
      ['validators-slow', 0],
    ],
  );
});

test('SUBNET-5.8: validators and members name what is not well with chain, peers and subnet, and nothing when all is well', async () => {
  const network = await LocalNetwork.create({ validators: 4, members: 4 });
  const rate = new BlockRate();
  const look = (node: NodeProcess): Finding[] => findingsOf(node, statusOf(node, '0', rate));
  const codes = (node: NodeProcess): string[] => look(node).map(({ code }) => code);
  try {
    await network.startAll();
    const [validator] = network.nodes as [NodeProcess];
    const member = network.nodes[4] as NodeProcess;
    const all = network.running();
    await until('all is well', () => all.every((node) => codes(node).length === 0));

    for (const index of [6, 7]) await network.stop(index);
    await until('the subnet has lost its quorum', () => codes(member).includes('stake-lost'));
    const lost = look(member).find(({ code }) => code === 'stake-lost');
    assert.equal(lost?.part, 'subnet home');
    assert.match(String(lost?.what), /^2 of 4 stake is connected, 3 is needed/);
    assert.match(String(lost?.todo), /^start or reach n[67], n[67]; what is sent meanwhile waits$/);
    assert.ok(codes(member).includes('peers-away'));
    assert.equal(codes(validator).includes('stake-lost'), false, 'it is no member');

    for (const index of [2, 3]) await network.stop(index);
    for (const node of [validator, member]) {
      await until('the chain has lost its quorum', () => codes(node).includes('quorum-lost'));
      const quorum = look(node).find(({ code }) => code === 'quorum-lost');
      assert.equal(quorum?.serious, true);
      assert.match(String(quorum?.todo), /^start or reach n[23], n[23]$/);
    }

    for (const index of [0, 1]) await network.stop(index);
    await until('it is cut off', () => codes(member).includes('cut-off'));
    const cut: Pick<Concern, 'what'> | undefined = look(member).find(({ code }) => code === 'cut-off');
    assert.equal(cut?.what, 'cut off from the main chain: none of 4 validators is connected');
  } finally {
    await network.close();
  }
});
