import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareBytes } from '../bytes/hex.ts';
import { hashTagged } from '../crypto/hash.ts';
import { StateTree, type StateChange } from '../crypto/state-tree.ts';
import { keySetOf } from '../ledger/account-keys.ts';
import { didDocument } from '../ledger/did.ts';
import { millis } from '../ledger/ids.ts';
import { NO_DEPOSIT } from '../state/record-deposit.ts';
import { deviceKey, guardiansKey, keysKey, stateKeyHash } from '../state/keys.ts';
import { encodeRecord } from '../state/records.ts';
import { ChainBuilder, world } from '../testing/chain.ts';
import { ownedDevice } from '../testing/devices.ts';
import { installNativeSha256, keyPair, rememberingVerifier, verifyQuickly } from '../testing/keys.ts';
import { schemeKeyPair } from '../testing/schemes.ts';
import { decodeIdentityProof, encodeIdentityProof, proveIdentity, verifyIdentity } from './identity-proof.ts';

installNativeSha256();

const home = world();
const owner = keyPair(61);
const lamp = keyPair(60);
const nobody = keyPair(62);
const friends = [keyPair(71), keyPair(72)].map(({ address }) => address).sort(compareBytes);
const keys = keySetOf([schemeKeyPair(2, 1).key, schemeKeyPair(3, 1).key, schemeKeyPair(4, 1).key], 2);

const changes: StateChange[] = [
  {
    key: stateKeyHash(keysKey(owner.address)),
    value: encodeRecord('keys', { ...keys, deposit: NO_DEPOSIT }),
  },
  {
    key: stateKeyHash(guardiansKey(owner.address)),
    value: encodeRecord('guardians', {
      guardians: friends,
      threshold: 2,
      delay: millis(20_000),
      votes: [],
      pending: undefined,
      deposit: NO_DEPOSIT,
    }),
  },
  {
    key: stateKeyHash(deviceKey(lamp.address)),
    value: encodeRecord(
      'device',
      ownedDevice({ key: lamp.key, owner: owner.address, at: home.genesis.time }),
    ),
  },
];
for (let i = 0; i < 40; i += 1)
  changes.push({ key: hashTagged('stateKey', Uint8Array.of(i)), value: Uint8Array.of(i) });
const tree = StateTree.empty.update(changes);
const builder = new ChainBuilder(home);
builder.append();
const { block, certificate } = builder.append([], { stateRoot: tree.root });
const linked = { header: block.header, certificate, hops: [] };

const prove = (address: typeof owner.address): Uint8Array =>
  encodeIdentityProof(proveIdentity({ ...linked, tree, address }));

function judge(
  bytes: Uint8Array,
  address: typeof owner.address,
  verify = verifyQuickly,
): ReturnType<typeof verifyIdentity> | string {
  const decoded = decodeIdentityProof(bytes);
  return decoded.ok
    ? verifyIdentity(decoded.value, { address, genesis: home.genesis, verify })
    : decoded.code;
}

test('DID-2.1, WIRE-9.6: keys and guardians of an account, and that somebody has none, are proved from genesis', () => {
  const judged = judge(prove(owner.address), owner.address);
  assert.ok(typeof judged !== 'string' && judged.ok);
  const { records, height } = judged.value;
  assert.equal(height, block.header.height);
  assert.deepEqual(records.keys?.keys, keys.keys);
  assert.deepEqual(records.guardians?.guardians, friends);
  assert.equal(records.device, undefined);
  const none = judge(prove(nobody.address), nobody.address);
  assert.ok(typeof none !== 'string' && none.ok);
  assert.deepEqual([none.value.records.keys, none.value.records.guardians], [undefined, undefined]);
  const device = judge(prove(lamp.address), lamp.address);
  assert.ok(typeof device !== 'string' && device.ok);
  assert.deepEqual(device.value.records.device?.owner, owner.address);
  assert.equal(didDocument(device.value.records).controller?.startsWith('did:itc:itc1'), true);
});

test('DID-2.2: a proof about another address, with a record left out, put in or exchanged is refused', () => {
  const codeOf = (bytes: Uint8Array, address = owner.address): string => {
    const judged = judge(bytes, address);
    return typeof judged === 'string' ? judged : judged.ok ? 'ok' : judged.code;
  };
  assert.equal(codeOf(prove(nobody.address)), 'address');
  const honest = proveIdentity({ ...linked, tree, address: owner.address });
  const none = proveIdentity({ ...linked, tree, address: nobody.address });
  assert.equal(codeOf(encodeIdentityProof({ ...honest, keys: none.keys })), 'keys');
  assert.equal(codeOf(encodeIdentityProof({ ...honest, guardians: none.guardians })), 'guardians');
  assert.equal(
    codeOf(
      encodeIdentityProof({
        ...honest,
        device: proveIdentity({ ...linked, tree, address: lamp.address }).device,
      }),
    ),
    'device',
  );
  const lost = { ...honest.keys, record: undefined };
  assert.equal(codeOf(encodeIdentityProof({ ...honest, keys: lost })), 'keys');
  const other = encodeRecord('keys', { ...keys, threshold: 1, deposit: NO_DEPOSIT });
  assert.equal(codeOf(encodeIdentityProof({ ...honest, keys: { ...honest.keys, record: other } })), 'keys');
  assert.throws(
    () => proveIdentity({ ...linked, tree: StateTree.empty, address: owner.address }),
    RangeError,
  );
});

test('DID-2.2: no changed byte, nor any cut, passes for the same proof', () => {
  const bytes = prove(owner.address);
  const verify = rememberingVerifier(verifyQuickly);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, flip, cut) => {
      const changed = cut ? bytes.slice(0, at) : bytes.slice();
      if (!cut) changed[at] = (changed[at] as number) ^ flip;
      const judged = judge(changed, owner.address, verify);
      return typeof judged === 'string' || !judged.ok;
    }),
    { numRuns: 150 },
  );
});
