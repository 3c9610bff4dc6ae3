import assert from 'node:assert/strict';
import { test } from 'node:test';
import { oracleDisagreement, oracleFingerprint } from '../testing/dag-oracle.ts';
import { PARENT_STRIDE } from './slab.ts';

/** `npm run sim -- --dag --oracle 10000` does the rest. */
const SEEDS = 200;

test('DAG-5.1 DAG-5.4 DAG-6.1 DAG-6.3: engine and definitions agree on random DAGs (cumulative weight double count)', () => {
  for (let seed = 1; seed <= SEEDS; seed += 1)
    assert.equal(oracleDisagreement(seed), undefined, `npm run sim -- --dag --oracle 1 --from ${seed}`);
  const fingerprints = new Set(Array.from({ length: 50 }, (_, i) => oracleFingerprint(i + 1)));
  assert.equal(fingerprints.size, 50);
});

test('DAG-5.1: the oracle sees an indirect approver that counts twice, the fault of IRI’s fast variant', () => {
  let seen = 0;
  for (let seed = 1; seed <= 20; seed += 1) {
    const disagreement = oracleDisagreement(seed, ({ slab }, place) => {
      const parent = slab.parents[place * PARENT_STRIDE] as number;
      if (parent >= 0) slab.weight[parent] = (slab.weight[parent] as number) + 1;
    });
    if (disagreement !== undefined) seen += 1;
  }
  assert.ok(seen > 10, `${seen} of 20`);
});
