/** Every kind of transaction: built by the SDK, sent by a command. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { KINDS, type Body, type BodyKind } from '@itc/core/ledger/body.js';
import { keySetOf } from '@itc/core/ledger/account-keys.js';
import { sealedEnvelope } from '@itc/core/ledger/envelope.js';
import { roleOf } from '@itc/core/ledger/firmware.js';
import { writeMemberFault } from '@itc/core/ledger/member-fault.js';
import { amount, millis } from '@itc/core/ledger/ids.js';
import type { RentalTerms } from '@itc/core/ledger/rental.js';
import * as accountKeys from '@itc/client/account-keys.js';
import * as devices from '@itc/client/devices.js';
import * as firmware from '@itc/client/firmware.js';
import * as grants from '@itc/client/grants.js';
import { coSign } from '@itc/client/co-signing.js';
import { mlDsaSigner } from '@itc/client/keys-ml-dsa.js';
import { seedSigner } from '@itc/client/keys.js';
import * as membership from '@itc/client/membership.js';
import { parameterVote } from '@itc/client/parameters.js';
import * as rentals from '@itc/client/rentals.js';
import * as sponsors from '@itc/client/sponsors.js';
import * as streams from '@itc/client/streams.js';
import * as tx from '@itc/client/transactions.js';
import { buildBatch } from '@itc/client/voucher.js';
import { GUARDING_HELP } from './commands/key-account.ts';
import { account, transfer } from './commands/account.ts';
import { device } from './commands/device.ts';
import { firmware as firmwareCommand } from './commands/firmware.ts';
import { grant, revoke } from './commands/grant.ts';
import { group } from './commands/group.ts';
import { key } from './commands/key.ts';
import { maker } from './commands/maker.ts';
import { parameters } from './commands/parameters.ts';
import { rent } from './commands/rent.ts';
import { sponsor } from './commands/sponsor.ts';
import { stream } from './commands/stream.ts';
import { subnet } from './commands/subnet.ts';
import { validator } from './commands/validator.ts';

const hash = (byte: number): Hash => asHash(new Uint8Array(32).fill(byte));
const [chain, id] = [hash(1), hash(2)];
const signer = seedSigner(new Uint8Array(32).fill(3));
const other = seedSigner(new Uint8Array(32).fill(4));
const { address, publicKey } = signer;
const one = amount(1n);
const at = millis(99);
const keys = keySetOf([{ key: publicKey, weight: 1 }], 1);
const role = roleOf([publicKey], 1);
const version = { major: 1, minor: 0, patch: 0 };
const terms = { actions: 1, levelMax: 254, notBefore: millis(0), expiresAt: at };
const scope = grants.deviceScope(address);
const channel = { chain, channel: id, role, number: 1, signers: [signer] };
const form = { version: 1, root: role, release: role, expiresAt: at };
const release = { version, manifest: id, image: id, size: 1, counter: 0, minimum: version, dependencies: [] };
const budget = sponsors.sponsorshipTerms({
  kinds: ['claim'],
  scope: { kind: 'maker', maker: address },
  perDevicePerDay: one,
  perDay: one,
  expiresAt: at,
  paysState: true,
});
const rentalTerms: RentalTerms = {
  unit: 'minute',
  price: one,
  minimum: 1,
  maximum: 1,
  duration: millis(0),
  deposit: one,
  carriage: one,
  startWithin: at,
  window: at,
  arbiter: undefined,
  actions: 1,
  levelMax: 254,
};

async function claim(): Promise<Body> {
  const { vouchers } = await buildBatch({
    maker: address,
    devices: [{ key: publicKey, endorse: (bytes) => signer.sign(bytes) }],
    model: id,
    depositPerDevice: one,
    random: (length) => new Uint8Array(length).fill(7),
  });
  const [voucher] = vouchers;
  assert.ok(voucher);
  return tx.claim({ chain, voucher, owner: other.address });
}

async function word(event: 'started' | 'used' | 'stopped'): Promise<Body> {
  const { bytes } = await rentals.buildRentalWord({
    chain,
    signer,
    rental: id,
    event,
    at,
    sequence: 1,
    uses: event === 'started' ? 0 : 1,
  });
  return rentals.bringWord(chain, bytes);
}

/** The type has a place for each: a new kind does not compile before it is built. `undefined`: nobody builds one by hand. */

/** Of the form of a fault; whom it accuses does not matter. */
const envelope = sealedEnvelope(
  {
    subnet: id,
    issuer: publicKey,
    lane: 0,
    sequence: 1,
    previous: id,
    parents: [id],
    time: at,
    anchor: id,
    payloadRoot: id,
    payloadCount: 0,
  },
  1,
  new Uint8Array(64),
);
const faultBytes = new Writer(1_024);
writeMemberFault(faultBytes, { kind: 'equivocation', first: envelope, second: envelope });
const FAULT = toHex(faultBytes.finish());

const BUILT: { readonly [K in BodyKind]: (() => Body | Promise<Body>) | undefined } = {
  transfer: () => tx.transfer(address, one),
  transfers: () => tx.transfers([{ to: address, amount: one }]),
  'register-maker': () => tx.registerMaker('m'),
  'register-batch': () => tx.registerBatch({ root: id, count: 1, model: id, depositPerDevice: one }),
  'register-model': () => devices.registerModel({ hash: id, name: 'm', actions: 1, levelMax: 254 }),
  'set-attestation': () => devices.setAttestation({ chain, maker: address, key: publicKey, signer }),
  claim,
  grant: () => tx.grant({ device: address, subject: other.address, ...terms }),
  revoke: () => tx.revoke({ device: address, subject: other.address }),
  'set-group': () => grants.setGroup({ name: 'g', devices: [address] }),
  'grant-group': () => grants.grantGroup({ owner: address, name: 'g', subject: other.address, terms }),
  delegate: () => grants.delegate({ scope, subject: other.address, terms }),
  'revoke-access': () => grants.revokeAccess({ scope, subject: other.address }),
  'offer-device': () =>
    devices.offerDevice({ device: address, to: other.address, price: one, expiresAt: at }),
  'accept-device': () => devices.acceptDevice({ device: address, price: one, transfers: 0 }),
  'withdraw-device': () => devices.withdrawDevice(address),
  'mark-device': () => devices.markDevice(address, 'stolen'),
  'recover-device': async () => {
    const { claim: claimed } = (await claim()) as Extract<Body, { readonly kind: 'claim' }>;
    const { claimKey: _, proof: __, ...rest } = claimed;
    const voucher = { ...rest, claimSeed: new Uint8Array(32) };
    const presence = new Uint8Array(64);
    return devices.recoverDevice({
      chain,
      voucher,
      device: address,
      claimant: other.address,
      transfers: 0,
      presence,
    });
  },
  'set-device-recovery': () => devices.setDeviceRecovery(address, 0),
  'create-subnet': () => tx.createSubnet({ name: 's', members: [{ key: publicKey, weight: 1 }], powBits: 0 }),
  // Members of a subnet sign it together, in their own processes.
  checkpoint: undefined,
  deposit: () => tx.deposit({ subnet: id, to: address, amount: one }),
  withdraw: () =>
    tx.withdraw({ subnet: id, checkpoint: 1, withdrawal: { number: 1, to: address, amount: one }, path: [] }),
  'found-subnet': () =>
    membership.foundSubnet({
      chain,
      account: address,
      name: 's',
      powBits: 0,
      terms: { stakePerWeight: one, stakeMin: one, delayBlocks: 1, isByInvitation: false },
      members: [{ key: signer, amount: one }],
    }),
  'join-subnet': () =>
    membership.joinSubnet({ chain, account: address, subnet: id, key: signer, amount: one }),
  'leave-subnet': () => membership.leaveSubnet({ subnet: id, member: address, amount: one }),
  'admit-member': () => membership.admitMember({ subnet: id, voter: address, candidate: other.address }),
  'collect-stake': () => membership.collectStake({ subnet: id, member: address }),
  'accuse-member': () => membership.accuseMember(FAULT),
  bond: () => tx.bond({ chain, account: address, consensus: signer, amount: one }),
  unbond: () => tx.unbond(one),
  'weight-vote': () => tx.weightVote({ validator: address, weight: 1 }),
  restart: () => tx.restart(),
  'co-sign': () => coSign({ chain, account: address, key: mlDsaSigner(new Uint8Array(32).fill(5)) }),
  evidence: () => tx.evidence({} as Parameters<typeof tx.evidence>[0]),
  'rotate-keys': () => accountKeys.rotateKeys(keys),
  'set-guardians': () => accountKeys.setGuardians({ guardians: [address], threshold: 1, delay: at }),
  recover: () => accountKeys.proposeKeys(address, keys),
  'veto-recovery': () => accountKeys.vetoRecovery(address),
  'finish-recovery': () => accountKeys.finishRecovery(address, keys),
  'open-sponsorship': () => sponsors.openSponsorship({ name: 's', terms: budget, amount: one }),
  'fund-sponsorship': () => sponsors.fundSponsorship(id, one),
  'change-sponsorship': () => sponsors.changeSponsorship(id, budget),
  'close-sponsorship': () => sponsors.closeSponsorship(id),
  'open-stream': () => streams.openStream({ number: 1, payee: address, rate: one, amount: one }),
  'fund-stream': () => streams.fundStream(id, one),
  'settle-stream': () => streams.settleStream(id),
  'close-stream': () => streams.closeStream(id),
  'parameter-vote': () => parameterVote('burnShare', 1n),
  'offer-rental': () => rentals.offerRental({ device: address, terms: rentalTerms, expiresAt: at }),
  'withdraw-offer': () => rentals.withdrawOffer(address),
  rent: () => rentals.rent({ device: address, terms: rentalTerms, maximum: 1 }),
  'rental-start': () => word('started'),
  'rental-use': () => word('used'),
  'rental-stop': () => word('stopped'),
  'end-rental': () => rentals.endRental(address),
  'claim-damage': () => rentals.claimDamage({ rental: id, amount: one }),
  'answer-claim': () => rentals.answerClaim({ rental: id, amount: one }),
  'create-channel': () =>
    firmware.createChannel({ chain, maker: address, model: id, board: 'b', form, signers: [signer] }),
  'rotate-channel': () =>
    firmware.rotateChannel({ chain, channel: id, root: role, form, signers: [signer], accepting: [signer] }),
  'release-firmware': () => firmware.releaseFirmware({ ...channel, form: release }),
  'approve-release': () => firmware.approveRelease({ ...channel, form: release }),
  'roll-out': () =>
    firmware.rollOut({ ...channel, form: release, step: { step: 1, share: 100, halted: false } }),
  'report-installs': () =>
    firmware.reportInstalls({ channel: id, number: 1, subnet: id, payloads: [id], failures: 0 }).body,
};

/** What a person types, as the help of the command says it; or why nobody types it. */
const TYPED: { readonly [K in BodyKind]: string | { readonly nobody: string } } = {
  transfer: 'itc transfer TO AMOUNT',
  transfers: 'itc transfer TO AMOUNT [TO AMOUNT …]',
  'register-maker': 'itc maker register',
  'register-batch': 'itc device batch',
  'register-model': 'itc maker model',
  'set-attestation': 'itc maker attestation',
  claim: 'itc device claim',
  grant: 'itc grant DEVICE',
  revoke: 'itc revoke DEVICE',
  'set-group': 'itc group create',
  'grant-group': 'itc grant --group NAME',
  delegate: 'Who is not the owner but holds a grant that may be passed on',
  'revoke-access': 'itc revoke --group NAME',
  'offer-device': 'itc device transfer',
  'accept-device': 'itc device accept',
  'withdraw-device': 'itc device cancel',
  'mark-device': 'itc device stolen',
  'recover-device': 'itc device recover',
  'set-device-recovery': 'itc device recovery',
  'create-subnet': { nobody: 'members by weight are named in genesis; itc subnet create founds by stake' },
  checkpoint: { nobody: 'the members of a subnet sign it, and one of their processes brings it' },
  deposit: 'itc subnet deposit',
  withdraw: 'itc subnet withdraw',
  'found-subnet': 'itc subnet create',
  'join-subnet': 'itc subnet join',
  'leave-subnet': 'itc subnet leave',
  'admit-member': 'itc subnet admit',
  'collect-stake': 'itc subnet collect',
  'accuse-member': 'itc subnet accuse',
  bond: 'itc validator bond',
  unbond: 'itc validator unbond',
  'weight-vote': 'itc validator vote',
  restart: 'itc validator restart',
  'co-sign': 'itc validator co-sign',
  evidence: { nobody: 'nodes hand in what they catch; no person holds two signed statements in a shell' },
  'rotate-keys': 'itc key rotate',
  'set-guardians': 'itc key guardians',
  recover: 'itc key recover propose',
  'veto-recovery': 'itc key recover veto',
  'finish-recovery': 'itc key recover finish',
  'open-sponsorship': 'itc sponsor open',
  'fund-sponsorship': 'itc sponsor fund',
  'change-sponsorship': 'itc sponsor change',
  'close-sponsorship': 'itc sponsor close',
  'open-stream': 'itc stream open',
  'fund-stream': 'itc stream fund',
  'settle-stream': 'itc stream settle',
  'close-stream': 'itc stream close',
  'parameter-vote': 'itc parameters vote',
  'offer-rental': 'itc rent offer',
  'withdraw-offer': 'itc rent withdraw',
  rent: 'itc rent start',
  'rental-start': 'itc rent settle',
  'rental-use': 'itc rent settle',
  'rental-stop': 'itc rent settle',
  'end-rental': 'itc rent give-back',
  'claim-damage': 'itc rent dispute claim',
  'answer-claim': 'itc rent dispute answer',
  'create-channel': 'itc firmware channel open',
  'rotate-channel': 'itc firmware channel rotate',
  'release-firmware': 'itc firmware release',
  'approve-release': 'itc firmware approve',
  'roll-out': 'itc firmware rollout',
  'report-installs': { nobody: 'members count what devices attest, and report it by themselves' },
};

const HELP = [
  account,
  transfer,
  device,
  firmwareCommand,
  grant,
  revoke,
  group,
  key,
  maker,
  parameters,
  rent,
  sponsor,
  stream,
  subnet,
  validator,
]
  .map(({ help }) => help)
  .concat(GUARDING_HELP)
  .join('\n');

test('NODE-7.21: the SDK builds every kind of transaction, but for checkpoints', async () => {
  const missing = [];
  for (const kind of KINDS) {
    const built = await BUILT[kind]?.();
    if (built === undefined) missing.push(kind);
    else assert.equal(built.kind, kind);
  }
  assert.deepEqual(missing, ['checkpoint']);
});

test('NODE-7.21: every kind of transaction has its command, in the words of its help; or the reason why not', () => {
  const untyped = [];
  for (const kind of KINDS) {
    const typed = TYPED[kind];
    if (typeof typed === 'string') assert.ok(HELP.includes(typed), `${kind}: no help has “${typed}”`);
    else untyped.push(kind);
  }
  assert.deepEqual(untyped, ['create-subnet', 'checkpoint', 'evidence', 'report-installs']);
});
