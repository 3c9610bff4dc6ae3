import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { verifyStateProof } from '../crypto/state-tree.ts';
import { SUPPLY } from '../ledger/ids.ts';
import { makeBatch, person, subnetOfGenesis, transfer, World } from '../testing/state-world.ts';
import { accountKey, deviceKey, PARAMETERS_KEY, stateKeyHash, subnetKey, type StateKey } from './keys.ts';
import { LedgerState, noChanges } from './ledger-state.ts';
import { decodeRecord } from './records.ts';

const alice = person('alice');
const bob = person('bob');

/** A few blocks with every kind of record in them. */
function lived(): {
  readonly w: World;
  readonly states: LedgerState[];
  readonly store: Map<string, { key: StateKey; value: Uint8Array }>;
} {
  const w = new World(['alice', 'bob']);
  const states = [w.state];
  const store = new Map([...w.state.entries()].map((entry) => [entry.key.join(), entry]));
  const batch = makeBatch(alice, 'lamp', 3);
  const send = (...args: Parameters<World['transaction']>): void => {
    const { receipts, changes } = w.block(w.transaction(...args));
    assert.deepEqual(receipts[0]?.outcome, { ok: true });
    states.push(w.state);
    for (const { key, value } of changes) {
      if (value === undefined) store.delete(key.join());
      else store.set(key.join(), { key, value });
    }
  };
  send(alice, { kind: 'register-maker', name: 'Lumen' });
  send(alice, w.registerBatch(alice, batch, 1000n));
  send(bob, { kind: 'claim', claim: w.claim(batch, 0, bob) });
  send(bob, {
    kind: 'grant',
    grant: {
      device: person('lamp-0').address,
      subject: alice.address,
      actions: 1,
      levelMax: 5,
      notBefore: w.context.time,
      expiresAt: (w.context.time + 5) as typeof w.context.time,
    },
  });
  send(bob, { kind: 'revoke', device: person('lamp-0').address, subject: alice.address });
  send(person('m0'), { kind: 'checkpoint', certificate: w.certify(w.nextCheckpoint(subnetOfGenesis)) });
  send(alice, transfer(person('new'), 5n));
  return { w, states, store };
}

test('STATE-1.4: genesis gives the balances, the subnets, the validators, the parameters and the epoch, and nothing else', () => {
  const w = new World(['alice', 'bob']);
  assert.equal(w.balance(alice), 1_000_000_000_000n);
  assert.equal(w.state.supply(), SUPPLY);
  assert.deepEqual(w.state.parameters, {
    chain: w.chain,
    feePerByte: 10n,
    bondPerWeight: 0n,
    rewardPerCheckpoint: 0n,
    depositPerByte: 0n,
    accountPrice: 0n,
    burnShare: 0,
  });
  assert.equal(w.state.subnet(subnetOfGenesis)?.lastHash, subnetOfGenesis);
  assert.equal(w.state.count('validator'), 4);
  assert.equal(w.state.size, 10);
});

test('STATE-1.4: two chains never share a state root, because the chain is a record', () => {
  assert.notDeepEqual(new World(['alice'], 1n).state.root, new World(['alice'], 2n).state.root);
});

test('STATE-1.6: what a shell kept of the changes gives the same state, in any order', () => {
  const { w, store } = lived();
  fc.assert(
    fc.property(fc.shuffledSubarray([...store.values()], { minLength: store.size }), (entries) => {
      const loaded = LedgerState.fromRecords(entries);
      assert.ok(loaded.ok);
      assert.deepEqual(loaded.value.root, w.state.root);
      assert.deepEqual([...loaded.value.entries()], [...w.state.entries()]);
      assert.deepEqual(loaded.value.parameters, w.state.parameters);
    }),
    { numRuns: 10 },
  );
});

test('STATE-1.6: stored bytes that are damaged, foreign or incomplete are refused', () => {
  const { store } = lived();
  const entries = [...store.values()];
  const codeOf = (list: readonly { key: Uint8Array; value: Uint8Array }[]): string => {
    const loaded = LedgerState.fromRecords(list);
    return loaded.ok ? 'ok' : loaded.code;
  };
  assert.equal(codeOf(entries), 'ok');
  assert.equal(codeOf([]), 'decode.truncated');
  assert.equal(
    codeOf(entries.filter(({ key }) => key !== PARAMETERS_KEY && key.length > 1)),
    'decode.truncated',
  );
  assert.equal(
    codeOf([...entries, { key: Uint8Array.of(99), value: Uint8Array.of() }]),
    'decode.unknown-kind',
  );
  assert.equal(
    codeOf(entries.map(({ key, value }) => ({ key, value: value.subarray(1) }))),
    'decode.truncated',
  );
});

test('STATE-1.5: every earlier state still answers and proves as it did', () => {
  const { states } = lived();
  const before = states.map((state) => ({ root: state.root.slice(), entries: [...state.entries()] }));
  for (const [i, state] of states.entries()) {
    assert.deepEqual(state.root, before[i]?.root);
    for (const { key, value } of before[i]?.entries ?? []) {
      assert.equal(verifyStateProof(state.root, stateKeyHash(key), value, state.prove(key)), true);
    }
  }
  const device = person('lamp-0').address;
  assert.deepEqual(
    states.map((state) => state.device(device) !== undefined),
    [false, false, false, true, true, true, true, true],
  );
  assert.deepEqual(
    states.map((state) => state.count('grant')),
    [0, 0, 0, 0, 1, 0, 0, 0],
  );
});

test('STATE-1.7: a record is provably there with its bytes, and an absent one provably absent', () => {
  const { w } = lived();
  const device = deviceKey(person('lamp-0').address);
  const value = w.state.get(device);
  assert.ok(value);
  assert.equal(verifyStateProof(w.state.root, stateKeyHash(device), value, w.state.prove(device)), true);
  const decoded = decodeRecord('device', value);
  assert.deepEqual(decoded.ok && decoded.value, w.state.device(person('lamp-0').address));
  const absent = deviceKey(person('lamp-1').address);
  assert.equal(w.state.get(absent), undefined);
  assert.equal(verifyStateProof(w.state.root, stateKeyHash(absent), undefined, w.state.prove(absent)), true);
  assert.equal(verifyStateProof(w.state.root, stateKeyHash(device), undefined, w.state.prove(device)), false);
});

test('STATE-1.3: the same records give the same root, whatever happened in between', () => {
  const w = new World(['alice', 'bob']);
  const { root } = w.state;
  const id = String.fromCharCode(...person('passer-by').address);
  const change = (record: { balance: typeof SUPPLY; nonces: number[] } | undefined): void => {
    const changes = noChanges();
    changes.account.set(id, record);
    w.state = w.state.advance(changes).state;
  };
  change({ balance: SUPPLY, nonces: [] });
  assert.notDeepEqual(w.state.root, root);
  change(undefined);
  assert.deepEqual(w.state.root, root);
});

test('STATE-1.6: iteration gives every record under its own name, in ascending order', () => {
  const { w } = lived();
  const accounts = [...w.state.accounts()];
  for (const { address, account } of accounts) {
    assert.deepEqual(w.state.account(address), account);
    assert.ok(w.state.get(accountKey(address)));
  }
  const names = accounts.map(({ address }) => address.join().padStart(200));
  assert.equal(new Set(names).size, w.state.count('account'));
  assert.deepEqual(
    [...w.state.makers()].map(({ address, maker }) => [address, maker.name]),
    [[alice.address, 'Lumen']],
  );
  assert.deepEqual(
    [...w.state.batches()].map(({ id, batch }) => [id, batch.claimed]),
    [[makeBatch(alice, 'lamp', 3).id, 1]],
  );
  assert.deepEqual(
    [...w.state.devices()].map(({ address, device }) => [address, device.owner]),
    [[person('lamp-0').address, bob.address]],
  );
  for (const { id, subnet } of w.state.subnets()) {
    assert.deepEqual(w.state.subnet(id), subnet);
    assert.ok(w.state.get(subnetKey(id)));
  }
});
