import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StateTree, type StateChange } from '../crypto/state-tree.ts';
import { compareKeys } from '../crypto/signature.ts';
import { verifySignature } from '../crypto/verify.ts';
import { keySetOf, type KeySet } from '../ledger/account-keys.ts';
import type { Action } from '../ledger/command.ts';
import type { Cosigner } from '../ledger/cosigners.ts';
import { millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { deviceKey, grantKey, keysKey, stateKeyHash } from '../state/keys.ts';
import { NO_DEPOSIT } from '../state/record-deposit.ts';
import { encodeRecord, type Device } from '../state/records.ts';
import { accessUnder } from '../testing/access.ts';
import { ChainBuilder, GENESIS_TIME, world } from '../testing/chain.ts';
import { grantBy, ownedDevice } from '../testing/devices.ts';
import {
  countingVerifier,
  installNativeSha256,
  keyPair,
  verifyQuickly,
  type KeyPair,
} from '../testing/keys.ts';
import { schemeKeyPair } from '../testing/schemes.ts';
import { sharedCommand, sharesOf, type SharedCommand } from '../testing/shared-command.ts';
import type { AccessProof } from './access-proof.ts';
import { verifyCommand, type CommandInput } from './command.ts';
import { VALUE_BYTES_MAX } from './engine/layout.ts';
import { ReplayWindows } from './replay.ts';
import { verifyStreamedCommand } from './stream-access.ts';
import { encodeLightStream } from './stream.ts';
import { encodeTrust, trustGenesis } from './trust.ts';

installNativeSha256();

const home = world();
const lamp = keyPair(60);
const [owner, alice, bob, carol, stranger] = [61, 62, 63, 64, 65].map((n) => keyPair(n)) as [
  KeyPair,
  KeyPair,
  KeyPair,
  KeyPair,
  KeyPair,
];
const NOW = millis(GENESIS_TIME + 10_000);
const ON: Action = { kind: 'on' };

const ownedLamp = (by: KeyPair): Device =>
  ownedDevice({ key: lamp.key, owner: by.address, at: home.genesis.time });

/** What a gateway shows when these keys act for the account, which owns the lamp, or holds a grant of `granter`. */
function accessOf(set: KeySet | undefined, granter?: KeyPair): AccessProof {
  const device = encodeRecord('device', ownedLamp(granter ?? owner));
  const changes: StateChange[] = [{ key: stateKeyHash(deviceKey(lamp.address)), value: device }];
  if (set !== undefined)
    changes.push({
      key: stateKeyHash(keysKey(owner.address)),
      value: encodeRecord('keys', { ...set, deposit: NO_DEPOSIT }),
    });
  if (granter !== undefined)
    changes.push({
      key: stateKeyHash(grantKey(lamp.address, owner.address)),
      value: encodeRecord('grant', grantBy(granter.address, NOW, { levelMax: 100 })),
    });
  return accessUnder(home, changes, { device: lamp.address, subject: owner.address });
}

const wanted = (by: KeyPair, changes: Partial<SharedCommand> = {}): SharedCommand => ({
  chain: home.chain,
  by,
  account: owner.address,
  device: lamp.address,
  action: ON,
  sequence: 1,
  notAfter: millis(NOW + 60_000),
  ...changes,
});

function judged(command: Uint8Array, access: AccessProof, o: Partial<CommandInput> = {}): string {
  const verdict = verifyCommand({
    trust: trustGenesis(home.genesis),
    device: lamp.address,
    command,
    access,
    now: NOW,
    replay: new ReplayWindows(),
    verify: verifyQuickly,
    ...o,
  });
  return verdict.kind === 'accepted' ? 'ok' : verdict.reason;
}

/** By the first, and the others. */
const together = (by: KeyPair, ...others: KeyPair[]): Uint8Array =>
  sharedCommand(wanted(by), sharesOf(wanted(by), others));

const twoOfThree = accessOf(keySetOf([alice.key, bob.key, carol.key], 2));

test('LIGHT-5.23: keys of which none is enough alone command together, whichever of them and whoever of them sends', () => {
  for (const [a, b] of [
    [alice, bob],
    [bob, alice],
    [carol, alice],
  ] as const)
    assert.equal(judged(together(a, b), twoOfThree), 'ok');
  assert.equal(judged(together(alice, bob, carol), twoOfThree), 'ok', 'more than are needed');
  const single = sharedCommand(wanted(alice));
  assert.equal(judged(single, twoOfThree), 'below-threshold');
});

test('LIGHT-5.23: keys of every scheme command together; of one that the device cannot check the signature counts as wrong', () => {
  const keys = ([1, 2, 3, 4] as const).map((algorithm) => schemeKeyPair(algorithm, 3));
  const access = accessOf(keySetOf(keys.map(({ key }) => key)));
  const [first, ...rest] = keys as [KeyPair, ...KeyPair[]];
  const bytes = together(first, ...rest);
  assert.equal(judged(bytes, access, { verify: verifySignature }), 'ok');
  const verify: CommandInput['verify'] = (key, message, signature) =>
    key.algorithm !== 3 && verifySignature(key, message, signature);
  assert.equal(judged(bytes, access, { verify }), 'signature');
});

test('LIGHT-5.23: attack: a key that is no key of the account, or was rotated away, helps nobody', () => {
  assert.equal(judged(together(alice, stranger), twoOfThree), 'not-granted');
  assert.equal(judged(together(stranger, alice, bob), twoOfThree), 'not-granted');
  const before = together(alice, bob);
  assert.equal(judged(before, twoOfThree), 'ok');
  const rotated = accessOf(keySetOf([alice.key, carol.key, stranger.key], 2));
  assert.equal(judged(before, rotated), 'not-granted');
  assert.equal(judged(together(owner, alice), accessOf(undefined)), 'not-granted', 'the account has one key');
  assert.equal(judged(together(owner, alice), twoOfThree), 'not-granted', 'the first key is rotated away');
});

test('LIGHT-5.23: attack: a key that signs twice, a list out of order, too long or empty is malformed', () => {
  const at = (by: KeyPair, cosigners: readonly Cosigner[]): string =>
    judged(sharedCommand(wanted(by), cosigners), twoOfThree);
  const [one] = sharesOf(wanted(alice), [bob]) as [Cosigner];
  assert.equal(at(alice, [one]), 'ok');
  assert.equal(at(alice, [one, one]), 'malformed');
  assert.equal(at(alice, sharesOf(wanted(alice), [alice])), 'malformed', 'the sender is one of them already');
  assert.equal(at(alice, sharesOf(wanted(alice), [alice, bob])), 'malformed');
  const both = sharesOf(wanted(alice), [bob, carol]);
  assert.equal(at(alice, both), 'ok');
  assert.equal(at(alice, both.toReversed()), 'malformed');
  const crowd = Array.from({ length: LIMITS.signersMax }, (_, i) => keyPair(70 + i));
  assert.equal(at(alice, sharesOf(wanted(alice), crowd)), 'malformed', 'one more than an account has');
  assert.equal(at(alice, sharesOf(wanted(alice), crowd.slice(1))), 'not-granted');
  assert.equal(at(alice, []), 'malformed');
});

test('LIGHT-5.24: attack: a signature over another command, number, sender, account, device or chain does not count', () => {
  const elsewhere: Partial<SharedCommand>[] = [
    { action: { kind: 'off' } },
    { action: { kind: 'level', level: 7 } },
    { sequence: 2 },
    { by: carol },
    { account: alice.address },
    { device: stranger.address },
    { notAfter: millis(NOW + 60_001) },
    { chain: world({ name: 'elsewhere' }).chain },
  ];
  for (const change of elsewhere) {
    const taken = sharesOf(wanted(alice, change), [bob]);
    assert.equal(
      judged(sharedCommand(wanted(alice), taken), twoOfThree),
      'signature',
      Object.keys(change)[0],
    );
  }
  const own = sharedCommand(wanted(alice), sharesOf(wanted(alice), [bob]));
  assert.equal(judged(own, twoOfThree), 'ok');
});

test('LIGHT-5.24: attack replay: obeyed once; the others’ signatures serve no second number', () => {
  const replay = new ReplayWindows();
  const shares = sharesOf(wanted(alice), [bob]);
  const first = sharedCommand(wanted(alice), shares);
  assert.equal(judged(sharedCommand(wanted(alice)), twoOfThree, { replay }), 'below-threshold');
  assert.equal(replay.size, 0, 'what is refused uses nothing up');
  assert.equal(judged(first, twoOfThree, { replay }), 'ok');
  assert.equal(judged(first, twoOfThree, { replay }), 'replayed');
  const again = sharedCommand(wanted(alice), sharesOf(wanted(alice), [bob, carol]));
  assert.equal(judged(again, twoOfThree, { replay }), 'replayed', 'nor with another signature beside');
  assert.equal(
    judged(sharedCommand(wanted(alice, { sequence: 2 }), shares), twoOfThree, { replay }),
    'signature',
  );
});

test('LIGHT-5.24: attack: who carries a command cannot take a signature out of it, or put one in', () => {
  const whole = together(alice, bob, carol);
  const less = together(alice, bob);
  const { length } = less;
  assert.equal(judged(less.with(length - 1, (less[length - 1] as number) ^ 1), twoOfThree), 'signature');
  // The sender's signature of one under the signers of the other.
  const swapped = less.slice();
  swapped.set(whole.subarray(-64), length - 64);
  assert.equal(judged(swapped, twoOfThree), 'signature');
});

test('LIGHT-5.23: keys of an account that was granted to command within the grant, like one key', () => {
  const granted = accessOf(keySetOf([alice.key, bob.key], 2), stranger);
  const asked = (level: number): Uint8Array => {
    const place = wanted(alice, { action: { kind: 'level', level } });
    return sharedCommand(place, sharesOf(place, [bob]));
  };
  assert.equal(judged(asked(100), granted), 'ok');
  assert.equal(judged(asked(101), granted), 'not-allowed');
});

test('LIGHT-5.23: the signature of the sender is checked first, the others’ last and only of keys that suffice; one key costs one check', () => {
  const checks = (command: Uint8Array, access: AccessProof): [string, number] => {
    const { verify, calls } = countingVerifier(verifyQuickly);
    const outcome = judged(command, access, {
      verify: (key, message, signature) => {
        const isValidator = home.validators.set.some((one) => compareKeys(one.key, key) === 0);
        if (isValidator) return verifyQuickly(key, message, signature);
        return verify(key, message, signature);
      },
    });
    return [outcome, calls()];
  };
  const bad = sharesOf(wanted(alice, { sequence: 9 }), [bob]);
  assert.deepEqual(checks(sharedCommand(wanted(owner, { account: owner.address })), accessOf(undefined)), [
    'ok',
    1,
  ]);
  assert.deepEqual(checks(together(alice, bob), twoOfThree), ['ok', 2]);
  assert.deepEqual(checks(together(alice, bob, carol), twoOfThree), ['ok', 3]);
  assert.deepEqual(checks(together(alice, stranger), twoOfThree), ['not-granted', 1]);
  assert.deepEqual(checks(sharedCommand(wanted(alice), bad), twoOfThree), ['signature', 2]);
});

test('LIGHT-5.23: for any weights, threshold and signers: obeyed exactly where all are keys of the account and weigh enough', () => {
  const pool = Array.from({ length: 6 }, (_, i) => keyPair(80 + i));
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength: 5 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.uniqueArray(fc.nat(5), { minLength: 1, maxLength: 6 }),
      (weights, share, signers) => {
        const sum = weights.reduce((total, weight) => total + weight, 0);
        const threshold = 1 + Math.floor(share * (sum - 1));
        const set = keySetOf(
          weights.map((weight, i) => ({ key: (pool[i] as KeyPair).key, weight })),
          threshold,
        );
        const [by, ...others] = signers.map((i) => pool[i] as KeyPair) as [KeyPair, ...KeyPair[]];
        const bytes = others.length === 0 ? sharedCommand(wanted(by)) : together(by, ...others);
        const isListed = signers.every((i) => i < weights.length);
        const weight = signers.reduce((total, i) => total + (weights[i] ?? 0), 0);
        const expected = !isListed ? 'not-granted' : weight >= threshold ? 'ok' : 'below-threshold';
        assert.equal(judged(bytes, accessOf(set)), expected);
      },
    ),
    { numRuns: 40 },
  );
});

test('LIGHT-5.23: any byte changed refuses it', () => {
  const bytes = together(alice, bob);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      assert.notEqual(judged(bytes.with(at, (bytes[at] as number) ^ flip), twoOfThree), 'ok');
    }),
    { numRuns: 150 },
  );
});

test('LIGHT-5.23: eight keys of Ed25519 fit in a kilobyte, four of ML-DSA-44 in a payload', () => {
  const lengthOf = (count: number, algorithm: 1 | 3): number => {
    const [by, ...others] = Array.from({ length: count }, (_, i) => schemeKeyPair(algorithm, 10 + i));
    return together(by as KeyPair, ...others).length;
  };
  assert.ok(lengthOf(8, 1) <= 1_024);
  assert.ok(lengthOf(4, 3) <= LIMITS.payloadBytesMax);
  assert.equal(lengthOf(8, 1) - lengthOf(7, 1), 97);
});

test('LIGHT-9.14, LIGHT-5.23: a stream shows the keys of any account, also eight of ML-DSA-44, two of which command', () => {
  const keys = Array.from({ length: 8 }, (_, i) => schemeKeyPair(3, 20 + i));
  const [by, other] = keys as [KeyPair, KeyPair];
  const records = new Map([
    [deviceKey(lamp.address), encodeRecord('device', ownedLamp(owner))],
    [
      keysKey(owner.address),
      encodeRecord('keys', {
        ...keySetOf(
          keys.map(({ key }) => key),
          2,
        ),
        deposit: NO_DEPOSIT,
      }),
    ],
  ]);
  const tree = StateTree.empty.update(
    [...records].map(([key, value]) => ({ key: stateKeyHash(key), value })),
  );
  const { block, certificate } = new ChainBuilder(home).append([], { stateRoot: tree.root });
  const items = [...records].map(([key, value]) => {
    return { kind: 'state', key, value, proof: tree.prove(stateKeyHash(key)) } as const;
  });
  const { header } = block;
  const stream = encodeLightStream({ trusted: home.validators.set, hops: [], header, certificate, items });
  assert.equal(Math.max(...[...records.values()].map(({ length }) => length)), VALUE_BYTES_MAX - 4);
  const told = (command: Uint8Array): string => {
    const verdict = verifyStreamedCommand({
      trust: encodeTrust(trustGenesis(home.genesis)),
      stream,
      device: lamp.address,
      command,
      now: NOW,
      replay: new ReplayWindows(),
      verify: verifySignature,
    });
    return verdict.kind === 'accepted' ? 'ok' : `${verdict.reason}: ${verdict.message}`;
  };
  assert.equal(told(together(by, other)), 'ok');
  assert.match(told(sharedCommand(wanted(by))), /^below-threshold/);
});
