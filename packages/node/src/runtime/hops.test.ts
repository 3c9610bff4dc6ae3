import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { epoch, type Epoch } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { followChain, verifyCertified } from '@itc/core/light/certified.js';
import { advance, encodeHops } from '@itc/core/light/epoch-hop.js';
import { trustGenesis } from '@itc/core/light/trust.js';
import { world, type CertifiedBlock, type Group } from '@itc/core/testing/chain.js';
import { EpochChain, groupOf } from '@itc/core/testing/epochs.js';
import { installNativeSha256, verifyQuickly } from '@itc/core/testing/keys.js';
import type { Chain } from './chain.ts';
import { Hops, readable } from './hops.ts';

installNativeSha256();

const home = world();
const sliding = (from: number): Group => groupOf([0, 1, 2, 3].map((i) => [1000 + from + i, 1]));

/** The table of epochs of a node that has all of them, up to `until` at first. */
function tableOf(chain: EpochChain): Pick<Chain, 'epoch' | 'epochStart'> & { until: number } {
  const start = (of: number): Chain['epoch'] | undefined => {
    const { set: validators } = chain.groups[of] ?? { set: undefined };
    if (validators === undefined) return undefined;
    const closed = chain.closing[of - 1];
    const closing = closed && { header: closed.block.header, certificate: closed.certificate };
    const { height = 0, stateRoot = home.chain } = closing?.header ?? {};
    return {
      epoch: epoch(of),
      since: (height + 1) as Chain['epoch']['since'],
      validators,
      stateRoot,
      closing,
    };
  };
  const table = {
    until: chain.closing.length,
    get epoch() {
      return start(table.until) as Chain['epoch'];
    },
    epochStart: (of: Epoch) => (of > table.until ? undefined : start(of)),
  };
  return table;
}

const certified = ({
  block,
  certificate,
}: CertifiedBlock): { header: typeof block.header; certificate: typeof certificate } => ({
  header: block.header,
  certificate,
});

test('LIGHT-7.7: a node shows hops from its table of epochs, also those that closed since it was asked last', () => {
  const chain = new EpochChain(home, [1, 2, 3].map(sliding));
  const tip = chain.append();
  const table = tableOf(chain);
  const hops = new Hops(table);
  table.until = 1;
  const early = chain.first[1] as CertifiedBlock;
  assert.equal(hops.to(certified(early)).length, 1);
  assert.throws(() => hops.to(certified(tip)), RangeError);
  table.until = 3;
  const proven = verifyCertified(
    trustGenesis(home.genesis),
    { hops: hops.to(certified(tip)), ...certified(tip) },
    verifyQuickly,
  );
  assert.ok(proven.ok);
  assert.deepEqual(hops.to(certified(chain.first[0] as CertifiedBlock)), []);
});

test('LIGHT-7.7: more changes than a proof can hold are refused by name; who came along is served with the last of them', () => {
  const chain = new EpochChain(
    home,
    Array.from({ length: LIMITS.hopsMax + 8 }, (_, i) => sliding(2 * (i + 1))),
  );
  const tip = chain.append();
  const hops = new Hops(tableOf(chain));
  assert.throws(
    () => hops.to(certified(tip)),
    (error: unknown) => error instanceof LedgerError && error.code === 'proof.too-long',
  );
  const latest = hops.latestTo(certified(tip));
  assert.ok(latest.length >= 8 && encodeHops(latest).length <= LIMITS.proofBytesMax / 2);
  const along = advance(
    trustGenesis(home.genesis),
    Array.from({ length: LIMITS.hopsMax }, (_, at) => chain.adjacent(at)),
    verifyQuickly,
  );
  assert.ok(along.ok);
  const followed = followChain(along.value, { hops: latest, ...certified(tip), verify: verifyQuickly });
  assert.ok(followed.ok, followed.ok ? '' : followed.message);
  assert.equal(followed.value.epoch, tip.block.header.epoch);
});

test('LIGHT-2.4: a proof that everybody would refuse unread is not given out', () => {
  const most = new Uint8Array(LIMITS.proofBytesMax);
  assert.equal(readable(most), most);
  assert.throws(
    () => readable(new Uint8Array(LIMITS.proofBytesMax + 1)),
    (error: unknown) => error instanceof LedgerError && error.code === 'proof.too-long',
  );
});
