import assert from 'node:assert/strict';
import { grantBy } from '../testing/devices.ts';
import { NO_DEPOSIT } from './record-deposit.ts';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareBytes, toHex } from '../bytes/hex.ts';
import { serialHasher } from '../crypto/state-hasher.ts';
import { SUPPLY, amount, height, millis } from '../ledger/ids.ts';
import { installNativeSha256 } from '../testing/keys.ts';
import { MemoryKeys, MemoryPages } from '../testing/memory-pages.ts';
import { makeBatch, person, subnetOfGenesis, transfer, World } from '../testing/state-world.ts';
import { applyBlock } from './apply.ts';
import { LedgerState, type StateEntry } from './ledger-state.ts';
import { MemoryRecords } from './memory-records.ts';
import { EMPTY_TOP, PagedRecords, type RecordPages } from './paged-records.ts';
import { idText } from './record-map.ts';
import { KINDS, noChanges, type ChangedRecords } from './record-store.ts';

installNativeSha256();

class Store implements RecordPages {
  readonly pages: MemoryPages = new MemoryPages();
  readonly keys: MemoryKeys = new MemoryKeys();
  readonly tree: RecordPages['tree'] = { pool: this.pages.pool, hasher: serialHasher };
}

const inOrder = (entries: Iterable<StateEntry>): readonly StateEntry[] =>
  [...entries].sort((a, b) => compareBytes(a.key, b.key));

/** Everything a state can be asked, from both. */
function assertSame(paged: LedgerState, plain: LedgerState): void {
  assert.equal(toHex(paged.root), toHex(plain.root));
  assert.equal(paged.size, plain.size);
  assert.deepEqual(inOrder(paged.entries()), inOrder(plain.entries()));
  for (const kind of KINDS) {
    assert.equal(paged.count(kind), plain.count(kind), kind);
    const own = [...paged.records.walk(kind)];
    // Nobody asks for accounts in order, so they come in that of the tree.
    if (kind === 'account') own.sort(([a], [b]) => (a < b ? -1 : 1));
    assert.deepEqual(own, [...plain.records.walk(kind)], kind);
  }
  for (const { key } of plain.entries()) {
    assert.deepEqual(paged.get(key), plain.get(key));
    assert.deepEqual(paged.prove(key), plain.prove(key));
  }
}

test('PAGES-6: blocks over paged records give the receipts, changes, records and roots of blocks over records in memory', () => {
  const w = new World(['alice', 'bob']);
  const store = new Store();
  const [alice, bob] = [person('alice'), person('bob')];
  const batch = makeBatch(alice, 'lamp', 3);
  let paged = LedgerState.fromGenesis(w.genesis, PagedRecords.open(store));
  assertSame(paged, w.state);
  const grant = (subject: string) => ({
    kind: 'grant' as const,
    grant: {
      device: person('lamp-0').address,
      subject: person(subject).address,
      actions: 1,
      levelMax: 5,
      notBefore: w.context.time,
      expiresAt: millis(w.context.time + 5_000),
    },
  });
  const steps = [
    () => w.transaction(alice, { kind: 'register-maker', name: 'Lumen' }),
    () => w.transaction(alice, w.registerBatch(alice, batch, 1000n)),
    () => w.transaction(bob, { kind: 'claim', claim: w.claim(batch, 0, bob) }),
    () => w.transaction(bob, grant('alice')),
    () => w.transaction(bob, grant('carol')),
    () => w.transaction(bob, { kind: 'revoke', device: person('lamp-0').address, subject: alice.address }),
    () =>
      w.transaction(person('m0'), {
        kind: 'checkpoint',
        certificate: w.certify(w.nextCheckpoint(subnetOfGenesis)),
      }),
    () => w.transaction(alice, transfer(person('new'), 5n)),
    () => w.transaction(bob, transfer(alice, 10n ** 17n)),
  ];
  for (const step of steps) {
    const transaction = step();
    const { context } = w;
    const own = applyBlock(paged, context, [transaction]);
    const plain = w.block(transaction);
    assert.deepEqual(own.receipts, plain.receipts);
    assert.deepEqual(inOrder(own.changes as StateEntry[]), inOrder(plain.changes as StateEntry[]));
    paged = own.state;
    assertSame(paged, w.state);
    // A process that starts again knows the top and nothing else.
    const reopened = LedgerState.of(PagedRecords.open(store, (paged.records as PagedRecords).top));
    assert.ok(reopened.ok);
    paged = reopened.value;
  }
  assert.equal(paged.supply(), SUPPLY);
  const device = person('lamp-0').address;
  assert.deepEqual(
    [...paged.grants(device)].map(({ subject }) => toHex(subject)),
    [toHex(person('carol').address)],
  );
  assert.deepEqual([...paged.grants(alice.address)], []);
});

/** Ids of few devices and subjects, so that grants of one device lie together. */
const id = (n: number): string => idText(new Uint8Array(32).fill(n));
const change = fc.record({
  kind: fc.constantFrom('account', 'grant', 'maker'),
  a: fc.nat(40),
  b: fc.nat(5),
  content: fc.option(fc.nat(3), { freq: 3, nil: undefined }),
});

function changesOf(
  list: readonly { kind: string; a: number; b: number; content: number | undefined }[],
): ChangedRecords {
  const changed = noChanges();
  for (const { kind, a, b, content } of list) {
    if (kind === 'account')
      changed.account.set(
        id(a),
        content === undefined ? undefined : { balance: amount(BigInt(content + 1)), nonces: [] },
      );
    else if (kind === 'maker')
      changed.maker.set(
        id(a),
        content === undefined
          ? undefined
          : { name: 'm', registeredAt: height(content), attestation: undefined, deposit: NO_DEPOSIT },
      );
    else
      changed.grant.set(
        id(a % 6) + id(b),
        content === undefined
          ? undefined
          : grantBy(person('granter').address, millis(9000), { levelMax: content }),
      );
  }
  return changed;
}

test('PAGES-6: any changes of records, in any steps, leave what they leave in memory; walks go by prefix, in order', () => {
  fc.assert(
    fc.property(fc.array(fc.array(change, { maxLength: 30 }), { maxLength: 8 }), (steps) => {
      const store = new Store();
      let paged = PagedRecords.open(store);
      let plain = MemoryRecords.empty;
      const earlier: (readonly [PagedRecords, MemoryRecords])[] = [];
      for (const step of steps) {
        earlier.push([paged, plain]);
        paged = paged.advance(changesOf(step)).records;
        plain = plain.advance(changesOf(step)).records;
        // Records of the newest state may be known without their pages; those of earlier ones are read, and nothing follows on them.
        const first = earlier[0]?.[0];
        if (first !== undefined && first.tree !== paged.tree)
          assert.throws(() => first.advance(changesOf(step)), RangeError);
        if (step.length % 4 === 0) store.pages.seal();
        for (let n = 0; n <= 40; n += 1)
          assert.deepEqual(paged.record('account', id(n)), plain.record('account', id(n)));
        assert.equal(toHex(paged.tree.root), toHex(plain.tree.root));
      }
      earlier.push([paged, plain]);
      // Also of earlier states, which share the index of keys with the last one.
      for (const [own, other] of earlier) {
        for (const kind of ['grant', 'maker'] as const) {
          assert.deepEqual([...own.walk(kind)], [...other.walk(kind)]);
          assert.equal(own.count(kind), other.count(kind));
        }
        for (let n = 0; n <= 40; n += 1)
          assert.deepEqual(own.record('account', id(n)), other.record('account', id(n)));
        for (let n = 0; n < 6; n += 1)
          assert.deepEqual([...own.walk('grant', id(n))], [...other.walk('grant', id(n))]);
      }
    }),
    { numRuns: 60 },
  );
});

test('PAGES-6: the same bytes decode to the same object, so that sets of validators are told apart by identity', () => {
  const w = new World(['alice']);
  const state = LedgerState.fromGenesis(w.genesis, PagedRecords.open(new Store()));
  const next = applyBlock(state, w.context, [
    w.transaction(person('alice'), transfer(person('b'), 1n)),
  ]).state;
  assert.equal(next.parameters, state.parameters);
  assert.equal(
    next.validatorOf(w.genesis.validators[0]!.key)?.validator,
    state.validatorOf(w.genesis.validators[0]!.key)?.validator,
  );
});

test('PAGES-6: records written and written back are no change', () => {
  const paged = PagedRecords.open(new Store(), EMPTY_TOP).advance(
    changesOf([{ kind: 'maker', a: 1, b: 0, content: 1 }]),
  ).records;
  const { records, changes } = paged.advance(changesOf([{ kind: 'maker', a: 1, b: 0, content: 1 }]));
  assert.deepEqual(changes, []);
  assert.equal(records.top.tree, paged.top.tree);
});
