/** Every kind of transaction there is, in stories of chance against what must hold whatever happens (see `testing/ledger-model.ts`). */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { BODY_CODES, KINDS } from '../ledger/body.ts';
import { installNativeSha256 } from '../testing/keys.ts';
import { runLedgerModel } from '../testing/ledger-model.ts';

/** The nightly form: `node sim/dist/main.js --model-transactions 1000000`. */
const TRANSACTIONS = 10_000;

before(installNativeSha256);

test('STATE-2.6, STATE-2.9, STATE-6.6, STATE-17.9, STATE-18.4: over ten thousand random transactions of every kind supply is conserved, no grant widened, no record without deposit, nothing counts twice, what is refused changes nothing', () => {
  const tally = runLedgerModel({ transactions: TRANSACTIONS, seed: 3 });
  assert.ok(tally.transactions >= TRANSACTIONS);
  // A kind that is new and not drawn, or drawn so that nobody ever accepts it, is found here.
  assert.equal(KINDS.length, Object.keys(BODY_CODES).length);
  assert.deepEqual(tally.missing(), []);
});
