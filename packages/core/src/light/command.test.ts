import { test } from 'node:test';
import assert from 'node:assert/strict';
import { equalBytes, toHex } from '../bytes/hex.ts';
import { hashTagged } from '../crypto/hash.ts';
import { StateTree, type StateChange } from '../crypto/state-tree.ts';
import { encodeCommand, type Action, type Command } from '../ledger/command.ts';
import { millis } from '../ledger/ids.ts';
import { ACTIONS } from '../ledger/bodies/access.ts';
import { deviceKey, grantKey, stateKeyHash } from '../state/keys.ts';
import { encodeRecord, type Device, type GrantRecord } from '../state/records.ts';
import {
  ChainBuilder,
  certify,
  GENESIS_TIME,
  signedPayload,
  world,
  type CertifiedBlock,
} from '../testing/chain.ts';
import { grantBy, ownedDevice } from '../testing/devices.ts';
import {
  countingVerifier,
  installNativeSha256,
  keyPair,
  rememberingVerifier,
  verifyQuickly,
  type KeyPair,
} from '../testing/keys.ts';
import { decodeAccessProof, encodeAccessProof, proveAccess, type AccessProof } from './access-proof.ts';
import { verifyCommand, type CommandInput, type CommandVerdict } from './command.ts';
import { ReplayWindows } from './replay.ts';
import { advanceTrust, trustGenesis, type Trust } from './trust.ts';

installNativeSha256();

const home = world();
const lamp = keyPair(60);
const owner = keyPair(61);
const guest = keyPair(62);
const stranger = keyPair(63);
const NOW = millis(GENESIS_TIME + 10_000);

const grantOf = (o: Partial<GrantRecord> = {}): GrantRecord => grantBy(owner.address, NOW, o);

/** The lamp as its owner claimed it. */
const lampOf = (who: KeyPair, changes: Partial<Device> = {}): Device =>
  ownedDevice({ key: lamp.key, owner: who.address, at: home.genesis.time, ...changes });

interface House {
  readonly tree: StateTree;
  readonly block: CertifiedBlock;
}

/** A block whose state root knows the lamp, its owner, and the guest's grant if one is given. */
function house(
  o: {
    readonly grant?: GrantRecord;
    readonly owner?: KeyPair;
    readonly device?: Partial<Device>;
    readonly height?: number;
  } = {},
): House {
  const device = lampOf(o.owner ?? owner, o.device);
  const changes: StateChange[] = [
    { key: stateKeyHash(deviceKey(lamp.address)), value: encodeRecord('device', device) },
  ];
  if (o.grant)
    changes.push({
      key: stateKeyHash(grantKey(lamp.address, guest.address)),
      value: encodeRecord('grant', o.grant),
    });
  for (let i = 0; i < 40; i += 1)
    changes.push({ key: hashTagged('stateKey', Uint8Array.of(i)), value: Uint8Array.of(i) });
  const tree = StateTree.empty.update(changes);
  const chain = new ChainBuilder(home);
  for (let i = 1; i < (o.height ?? 3); i += 1) chain.append();
  return { tree, block: chain.append([], { stateRoot: tree.root }) };
}

function access(at: House, subject: KeyPair): AccessProof {
  const proof = proveAccess({
    tree: at.tree,
    header: at.block.block.header,
    certificate: at.block.certificate,
    device: lamp.address,
    subject: subject.address,
  });
  if (proof === undefined) throw new Error('the lamp is not known');
  return proof;
}

function command(
  by: KeyPair,
  o: {
    readonly action?: Action;
    readonly sequence?: number;
    readonly notAfter?: number;
    readonly device?: KeyPair;
    readonly inside?: KeyPair;
  } = {},
): Uint8Array {
  const content: Command = {
    device: (o.inside ?? o.device ?? lamp).address,
    action: o.action ?? { kind: 'on' },
    notAfter: millis(o.notAfter ?? NOW + 1000),
  };
  const device = (o.device ?? lamp).address;
  return signedPayload(home.chain, by, {
    device,
    contentType: 'command',
    content: encodeCommand(content),
    sequence: o.sequence ?? 1,
  }).bytes;
}

function judge(o: Partial<CommandInput> & Pick<CommandInput, 'command' | 'access'>): CommandVerdict {
  return verifyCommand({
    trust: trustGenesis(home.genesis),
    device: lamp.address,
    now: NOW,
    replay: new ReplayWindows(),
    verify: verifyQuickly,
    ...o,
  });
}

function outcome(o: Partial<CommandInput> & Pick<CommandInput, 'command' | 'access'>): string {
  const verdict = judge(o);
  return verdict.kind === 'accepted' ? 'accepted' : verdict.reason;
}

const withGrant = house({ grant: grantOf() });
const without = house();

test('LIGHT-5.1: the owner may command the device, without any grant', () => {
  const verdict = judge({
    command: command(owner, { action: { kind: 'level', level: 254 } }),
    access: access(without, owner),
  });
  assert.ok(verdict.kind === 'accepted', verdict.kind === 'refused' ? verdict.message : '');
  assert.deepEqual(verdict.command.action, { kind: 'level', level: 254 });
  assert.ok(equalBytes(verdict.signer, owner.address));
  assert.ok(verdict.id && equalBytes(verdict.id, verdict.payload.id));
  assert.equal(verdict.trust.last.height, 3);
});

test('LIGHT-5.2: a guest may do what the grant covers, while it is in force', () => {
  const proof = access(withGrant, guest);
  const run = (action: Action): string => outcome({ command: command(guest, { action }), access: proof });
  assert.equal(run({ kind: 'on' }), 'accepted');
  assert.equal(run({ kind: 'level', level: 100 }), 'accepted');
  assert.equal(run({ kind: 'level', level: 101 }), 'not-allowed');
  const onlyOnOff = access(house({ grant: grantOf({ actions: ACTIONS.onOff }) }), guest);
  assert.equal(outcome({ command: command(guest), access: onlyOnOff }), 'accepted');
  assert.equal(
    outcome({ command: command(guest, { action: { kind: 'level', level: 1 } }), access: onlyOnOff }),
    'not-allowed',
  );
  const onlyLevel = access(house({ grant: grantOf({ actions: ACTIONS.level | ACTIONS.read }) }), guest);
  assert.equal(
    outcome({ command: command(guest, { action: { kind: 'off' } }), access: onlyLevel }),
    'not-allowed',
  );
});

test('LIGHT-5.2: a grant holds from notBefore up to but not including expiresAt', () => {
  const at = (o: Partial<GrantRecord>): string =>
    outcome({ command: command(guest), access: access(house({ grant: grantOf(o) }), guest) });
  assert.equal(at({ notBefore: NOW }), 'accepted');
  assert.equal(at({ notBefore: millis(NOW + 1) }), 'not-granted');
  assert.equal(at({ expiresAt: millis(NOW + 1) }), 'accepted');
  assert.equal(at({ expiresAt: NOW }), 'not-granted');
});

test('LIGHT-5.2: a grant by an earlier owner is void', () => {
  const sold = house({ grant: grantOf(), owner: stranger });
  assert.equal(outcome({ command: command(guest), access: access(sold, guest) }), 'not-granted');
  assert.equal(outcome({ command: command(owner), access: access(sold, owner) }), 'not-granted');
  assert.equal(outcome({ command: command(stranger), access: access(sold, stranger) }), 'accepted');
});

test('LIGHT-5.3: a stranger and a revoked guest are refused by the proof of absence', () => {
  assert.equal(outcome({ command: command(stranger), access: access(withGrant, stranger) }), 'not-granted');
  assert.equal(outcome({ command: command(guest), access: access(without, guest) }), 'not-granted');
});

test('LIGHT-5.3: attack: a revoked guest shows the proof of before the revocation: refused once the device has seen a later header', () => {
  const before = house({ grant: grantOf(), height: 3 });
  const after = house({ height: 4 });
  assert.equal(outcome({ command: command(guest), access: access(before, guest) }), 'accepted');
  const seen = judge({ command: command(owner), access: access(after, owner) });
  assert.ok(seen.kind === 'accepted');
  assert.equal(
    outcome({ trust: seen.trust, command: command(guest), access: access(before, guest) }),
    'stale-proof',
  );
  assert.equal(
    outcome({ trust: seen.trust, command: command(guest), access: access(after, guest) }),
    'not-granted',
  );
});

test('LIGHT-5.4: attack: borrowed, hidden, forged and superfluous grants are no proof', () => {
  const mine = access(withGrant, guest);
  const theirs = access(withGrant, stranger);
  const notShown: AccessProof = { ...mine, grant: undefined };
  assert.equal(outcome({ command: command(guest), access: notShown }), 'proof');
  assert.equal(outcome({ command: command(stranger), access: mine }), 'proof');
  assert.equal(outcome({ command: command(guest), access: theirs }), 'proof');
  const wide = encodeRecord('grant', grantOf({ levelMax: 254 }));
  assert.ok(mine.grant);
  const widened: AccessProof = { ...mine, grant: { ...mine.grant, record: wide } };
  assert.equal(outcome({ command: command(guest), access: widened }), 'proof');
  assert.equal(outcome({ command: command(owner), access: mine }), 'proof', 'the owner shows none');
  const otherLamp = encodeRecord('device', lampOf(stranger));
  assert.equal(
    outcome({
      command: command(stranger),
      access: { ...mine, device: { ...mine.device, record: otherLamp } },
    }),
    'proof',
  );
});

test('LIGHT-5.4: attack: a header that is not certified, or certified by too few, is no proof', () => {
  const proof = access(without, owner);
  const few = certify({
    chain: home.chain,
    validators: home.validators,
    header: proof.header,
    signers: [1, 2],
  });
  assert.equal(outcome({ command: command(owner), access: { ...proof, certificate: few } }), 'proof');
  const forgedTree = StateTree.empty.update([
    {
      key: stateKeyHash(deviceKey(lamp.address)),
      value: encodeRecord('device', lampOf(stranger)),
    },
  ]);
  const header = { ...proof.header, stateRoot: forgedTree.root };
  const forged = proveAccess({
    tree: forgedTree,
    header,
    certificate: proof.certificate,
    device: lamp.address,
    subject: stranger.address,
  });
  assert.ok(forged);
  assert.equal(outcome({ command: command(stranger), access: forged }), 'proof');
});

test('LIGHT-5.5: a command is for the device that gets it, in header and content alike', () => {
  const proof = access(without, owner);
  assert.equal(outcome({ command: command(owner, { device: guest }), access: proof }), 'wrong-device');
  assert.equal(outcome({ command: command(owner, { inside: guest }), access: proof }), 'wrong-device');
  assert.equal(
    outcome({ command: command(owner, { device: guest, inside: lamp }), access: proof }),
    'wrong-device',
  );
});

test('LIGHT-5.5: what is no command is malformed, and has no id when it is no payload at all', () => {
  const proof = access(without, owner);
  const reading = signedPayload(home.chain, owner).bytes;
  assert.equal(outcome({ command: reading, access: proof }), 'malformed');
  const noise = judge({ command: Uint8Array.of(1, 2, 3), access: proof });
  assert.ok(noise.kind === 'refused' && noise.reason === 'malformed' && noise.id === undefined);
  const badContent = signedPayload(home.chain, owner, {
    device: lamp.address,
    contentType: 'command',
    content: Uint8Array.of(1),
  }).bytes;
  assert.equal(outcome({ command: badContent, access: proof }), 'malformed');
});

test('LIGHT-5.6: an expired command is refused, by the device’s clock or by the header’s time, whichever is later', () => {
  const proof = access(without, owner);
  assert.equal(outcome({ command: command(owner, { notAfter: NOW }), access: proof }), 'accepted');
  assert.equal(outcome({ command: command(owner, { notAfter: NOW - 1 }), access: proof }), 'expired');
  const slow = millis(GENESIS_TIME);
  assert.equal(
    outcome({ now: slow, command: command(owner, { notAfter: proof.header.time }), access: proof }),
    'accepted',
  );
  assert.equal(
    outcome({ now: slow, command: command(owner, { notAfter: proof.header.time - 1 }), access: proof }),
    'expired',
  );
});

test('LIGHT-5.6: what is expired by the device’s own clock costs no signature check', () => {
  const { verify, calls } = countingVerifier(verifyQuickly);
  const expired = command(owner, { notAfter: NOW - 1 });
  assert.equal(outcome({ verify, command: expired, access: access(without, owner) }), 'expired');
  assert.equal(calls(), 0);
});

test('LIGHT-5.6: attack: a grant that has ended by chain time is not revived by a clock set back', () => {
  const ended = house({
    grant: grantOf({ notBefore: millis(GENESIS_TIME), expiresAt: millis(GENESIS_TIME + 3000) }),
    height: 3,
  });
  assert.equal(
    outcome({ now: millis(GENESIS_TIME + 1), command: command(guest), access: access(ended, guest) }),
    'not-granted',
  );
});

test('LIGHT-5.6: a device with a clock may bound the age of proofs', () => {
  const proof = access(without, owner);
  const age = NOW - proof.header.time;
  assert.equal(outcome({ command: command(owner), access: proof, proofAgeMsMax: age }), 'accepted');
  assert.equal(outcome({ command: command(owner), access: proof, proofAgeMsMax: age - 1 }), 'stale-proof');
});

test('LIGHT-5.7: attack replay: a command is obeyed once, and a refused one uses nothing up', () => {
  const replay = new ReplayWindows();
  const proof = access(without, owner);
  const first = command(owner, { sequence: 5 });
  assert.equal(
    outcome({ replay, command: command(stranger, { sequence: 5 }), access: access(without, stranger) }),
    'not-granted',
  );
  assert.equal(replay.size, 0);
  assert.equal(outcome({ replay, command: first, access: proof }), 'accepted');
  assert.equal(outcome({ replay, command: first, access: proof }), 'replayed');
  assert.equal(
    outcome({ replay, command: command(owner, { sequence: 5, action: { kind: 'off' } }), access: proof }),
    'replayed',
  );
  assert.equal(outcome({ replay, command: command(owner, { sequence: 4 }), access: proof }), 'accepted');
});

test('LIGHT-5.7: attack: a forged signature is refused before any certificate is looked at', () => {
  const good = command(owner);
  const last = good.length - 1;
  const { verify, calls } = countingVerifier(verifyQuickly);
  assert.equal(
    outcome({ verify, command: good.with(last, (good[last] as number) ^ 1), access: access(without, owner) }),
    'signature',
  );
  assert.equal(calls(), 1);
});

test('LIGHT-5.8: trust moves on with a proven header, even when the command is refused, and never with an unproven one', () => {
  const refusedOne = judge({ command: command(stranger), access: access(without, stranger) });
  assert.ok(refusedOne.kind === 'refused' && refusedOne.trust.last.height === 3);
  const proof = access(without, owner);
  const few = certify({ chain: home.chain, validators: home.validators, header: proof.header, signers: [0] });
  const unproven = judge({ command: command(owner), access: { ...proof, certificate: few } });
  assert.ok(unproven.kind === 'refused' && unproven.trust.last.height === 0);
});

test('LIGHT-5.9, WIRE-9.2: access proofs have one encoding; any byte changed refuses the command', () => {
  const cases: [KeyPair, House, string][] = [
    [owner, without, 'accepted'],
    [guest, withGrant, 'accepted'],
    [stranger, withGrant, 'not-granted'],
  ];
  const verify = rememberingVerifier(verifyQuickly);
  for (const [signer, at, expected] of cases) {
    const proof = access(at, signer);
    const sent = command(signer);
    const bytes = encodeAccessProof(proof);
    const back = decodeAccessProof(bytes);
    assert.ok(back.ok);
    assert.deepEqual(back.value, proof);
    assert.equal(outcome({ command: command(signer), access: back.value }), expected);
    for (let i = 0; i < bytes.length; i += 1) {
      const changed = bytes.with(i, (bytes[i] as number) ^ (1 << (i % 8)));
      const read = decodeAccessProof(changed);
      if (!read.ok) continue;
      assert.equal(toHex(encodeAccessProof(read.value)), toHex(changed));
      assert.equal(outcome({ verify, command: sent, access: read.value }), 'proof', `byte ${i}`);
    }
    for (let length = 0; length < bytes.length; length += 7)
      assert.ok(!decodeAccessProof(bytes.slice(0, length)).ok);
  }
});

test('LIGHT-5.9: the prover asserts that tree and header belong together, and knows no proof for an unknown device', () => {
  const { tree, block } = without;
  const of = { header: block.block.header, certificate: block.certificate, subject: owner.address };
  assert.throws(() => proveAccess({ ...of, tree: withGrant.tree, device: lamp.address }), RangeError);
  assert.equal(proveAccess({ ...of, tree, device: stranger.address }), undefined);
});

test('LIGHT-5.8: an access proof at the trusted height is taken again and again', () => {
  const { block } = without;
  const advanced = advanceTrust(trustGenesis(home.genesis), {
    header: block.block.header,
    certificate: block.certificate,
    verify: verifyQuickly,
  });
  assert.ok(advanced.ok);
  const trust: Trust = advanced.value;
  for (const sequence of [1, 2, 3])
    assert.equal(
      outcome({ trust, command: command(owner, { sequence }), access: access(without, owner) }),
      'accepted',
    );
});

test('LIGHT-5.11: begin and end are for who rents the device; the verdict names the rental and its time', () => {
  const rental = hashTagged('rental');
  const rented = house({ grant: grantOf({ rental }) });
  for (const kind of ['begin', 'end', 'on'] as const) {
    const verdict = judge({ command: command(guest, { action: { kind } }), access: access(rented, guest) });
    assert.ok(verdict.kind === 'accepted', kind);
    assert.deepEqual(verdict.rental, { id: rental, until: grantOf().expiresAt });
  }
  for (const kind of ['begin', 'end'] as const) {
    const sent = (by: KeyPair): Uint8Array => command(by, { action: { kind } });
    assert.equal(outcome({ command: sent(guest), access: access(withGrant, guest) }), 'not-allowed');
    assert.equal(outcome({ command: sent(owner), access: access(rented, owner) }), 'not-allowed');
    assert.equal(outcome({ command: sent(stranger), access: access(rented, stranger) }), 'not-granted');
  }
  const own = judge({ command: command(owner), access: access(rented, owner) });
  assert.ok(own.kind === 'accepted' && own.rental === undefined);
});

test('LIGHT-12.9: beyond what its model can do a device does nothing, for its owner neither; the narrower of model and grant holds', () => {
  const limits = { actions: ACTIONS.onOff | ACTIONS.level, levelMax: 150 };
  const level = (by: KeyPair, value: number): Uint8Array =>
    command(by, { action: { kind: 'level', level: value } });
  const said = (by: KeyPair, at: House, sent: Uint8Array): string =>
    outcome({ command: sent, access: access(at, by), limits });
  assert.equal(said(owner, withGrant, level(owner, 150)), 'accepted');
  assert.equal(said(owner, withGrant, level(owner, 151)), 'not-allowed');
  assert.equal(
    said(owner, withGrant, command(owner, { action: { kind: 'colour-temperature', kelvin: 3000 } })),
    'not-allowed',
  );
  // The grant is for levels up to 100.
  assert.equal(said(guest, withGrant, level(guest, 101)), 'not-allowed');
  const wide = house({ grant: grantOf({ levelMax: 254 }) });
  assert.equal(said(guest, wide, level(guest, 150)), 'accepted');
  assert.equal(said(guest, wide, level(guest, 151)), 'not-allowed');
  // A stranger learns nothing of what the device can do.
  assert.equal(said(stranger, withGrant, level(stranger, 151)), 'not-granted');
});

test('LIGHT-5.21: under a header that is believed already a command costs one signature check', () => {
  const proof = access(withGrant, guest);
  const counted = countingVerifier(verifyQuickly);
  const first = judge({ command: command(guest), access: proof, verify: counted.verify });
  assert.equal(first.kind, 'accepted');
  const quorum = counted.calls() - 1;
  assert.ok(quorum >= 3);
  const again = { command: command(guest, { sequence: 2 }), access: proof, trust: first.trust };
  assert.equal(outcome({ ...again, verify: counted.verify }), 'accepted');
  assert.equal(counted.calls(), quorum + 2);
  // Another header at that height is not the one that is believed.
  const { header } = proof;
  const other = { ...proof, header: { ...header, time: millis(header.time + 1) } };
  assert.equal(outcome({ ...again, access: other }), 'proof');
});
