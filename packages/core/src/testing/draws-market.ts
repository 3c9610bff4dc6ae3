/** One transaction of each kind about renting and firmware, as chance has it (see `whole-ledger.ts`). */
import { equalBytes } from '../bytes/hex.ts';
import { utf8Encode } from '../bytes/writer.ts';
import { asHash, sha256, type Hash } from '../crypto/hash.ts';
import type { PublicKey } from '../crypto/signature.ts';
import { asAddress } from '../ledger/address.ts';
import type { FirmwareBody } from '../ledger/bodies/firmware.ts';
import type { RentalBody } from '../ledger/bodies/rental.ts';
import {
  channelId,
  channelSigningBytes,
  releaseSigningBytes,
  roleOf,
  rolloutSigningBytes,
  type ChannelForm,
  type Role,
  type RoleSignature,
} from '../ledger/firmware.ts';
import { amount, millis } from '../ledger/ids.ts';
import { encodeRentalWord, termsHash, type RentalEvent, type RentalTerms } from '../ledger/rental.ts';
import { ACTIONS } from '../ledger/terms.ts';
import { aDevice, DAY, MINUTE, modelHash, type Draws } from './draws-devices.ts';
import { signedWord } from './market.ts';
import { fakeSign, members, person, type Person } from './state-world.ts';
import type { Chance, WholeLedger } from './whole-ledger.ts';

function rentalTerms(c: Chance): RentalTerms {
  const unit = c.pick(['minute', 'use'] as const) ?? 'minute';
  return {
    unit,
    price: amount(BigInt(c.below(20)) * 1_000_000n),
    minimum: c.below(3),
    maximum: c.isOneIn(12) ? 0 : 4 + c.below(4),
    duration: millis(unit === 'use' ? 5 * MINUTE : 0),
    deposit: amount(c.isOneIn(6) ? 0n : BigInt(1 + c.below(3)) * 4_000_000n),
    carriage: amount(1_000n),
    startWithin: millis(5 * MINUTE),
    window: millis(c.isOneIn(6) ? 0 : 10 * MINUTE),
    arbiter: c.isOneIn(2) ? person('dave').address : undefined,
    actions: ACTIONS.onOff | ACTIONS.level,
    levelMax: 200,
  };
}

/** The word of a rented lamp, now and then that of another key. */
function word(
  w: WholeLedger,
  c: Chance,
  event: RentalEvent,
): { readonly sender: Person; readonly word: Uint8Array } | undefined {
  const isFit = event === 'started' ? c.isOneIn(4) : !c.isOneIn(4);
  const rented = w.one(c, 'rental', ({ running }) => (running !== undefined) === isFit) ?? w.one(c, 'rental');
  if (rented === undefined) return undefined;
  const [id, { id: rental, running }] = rented;
  const key = w.state.device(asAddress(id))?.key ?? person('nobody').key;
  const uses = event === 'started' ? 0 : (running?.uses ?? 0) + c.below(2);
  w.next += 1;
  const content = encodeRentalWord({ rental, event, at: millis(w.now - c.below(3) * 500), uses });
  const device = { name: 'lamp', key, address: asAddress(id) };
  return {
    sender: w.anyone(c),
    word: signedWord(w.chain, device, { contentType: 'rental', content, sequence: w.next }),
  };
}

const ofRental: Draws<RentalBody['kind']> = {
  'offer-rental': (w, c) => {
    const found = aDevice(w, c);
    if (found === undefined) return undefined;
    const [device, { owner }] = found;
    const expiresAt = millis(w.now + (c.pick([0, 10 * DAY, 100 * DAY]) as number));
    return {
      sender: w.mostly(c, owner),
      body: { kind: 'offer-rental', device, terms: rentalTerms(c), expiresAt },
    };
  },
  'withdraw-offer': (w, c) => {
    const offer = w.one(c, 'rental-offer');
    if (offer === undefined) return undefined;
    return {
      sender: w.mostly(c, offer[1].owner),
      body: { kind: 'withdraw-offer', device: asAddress(offer[0]) },
    };
  },
  rent: (w, c) => {
    const offer = w.one(c, 'rental-offer');
    if (offer === undefined) return undefined;
    const terms = termsHash(offer[1].terms);
    return {
      sender: w.anyone(c),
      body: { kind: 'rent', device: asAddress(offer[0]), terms, maximum: 1 + c.below(6) },
    };
  },
  'rental-start': (w, c) => {
    const said = word(w, c, 'started');
    return said && { sender: said.sender, body: { kind: 'rental-start', word: said.word } };
  },
  'rental-use': (w, c) => {
    const said = word(w, c, 'used');
    return said && { sender: said.sender, body: { kind: 'rental-use', word: said.word } };
  },
  'rental-stop': (w, c) => {
    const said = word(w, c, 'stopped');
    return said && { sender: said.sender, body: { kind: 'rental-stop', word: said.word } };
  },
  'end-rental': (w, c) => {
    const rented = w.one(c, 'rental');
    return (
      rented && {
        sender: w.mostly(c, rented[1].renter),
        body: { kind: 'end-rental', device: asAddress(rented[0]) },
      }
    );
  },
  'claim-damage': (w, c) => {
    const settlement = w.one(c, 'settlement');
    if (settlement === undefined) return undefined;
    const [id, { owner, held }] = settlement;
    const value = amount(c.isOneIn(6) ? held + 1n : held / 2n + 1n);
    return {
      sender: w.mostly(c, owner),
      body: { kind: 'claim-damage', rental: asHash(id), amount: value },
    };
  },
  'answer-claim': (w, c) => {
    const settlement = w.one(c, 'settlement', ({ claim }) => claim !== undefined) ?? w.one(c, 'settlement');
    if (settlement === undefined) return undefined;
    const [id, { renter, arbiter, claim }] = settlement;
    const value = amount((claim?.amount ?? 0n) / BigInt(1 + c.below(3)));
    return {
      sender: w.mostly(c, c.isOneIn(3) ? (arbiter ?? renter) : renter),
      body: { kind: 'answer-claim', rental: asHash(id), amount: value },
    };
  },
};

function role(c: Chance, of: string): Role {
  const keys = [0, 1, 2].map((i) => person(`${of} ${i + c.below(2)}`).key);
  const distinct = keys.filter((key, i) => keys.findIndex((one) => equalBytes(one.bytes, key.bytes)) === i);
  return roleOf(distinct, Math.min(2, distinct.length));
}

/** By as many keys of a role as it takes, mostly. */
function signatures(
  c: Chance,
  { keys, threshold }: Role,
  bytes: Uint8Array,
  needed: number = threshold,
): readonly RoleSignature[] {
  const count = c.isOneIn(6) ? needed - 1 : needed;
  const first = c.below(keys.length - count + 1);
  return keys
    .slice(first, first + count)
    .map((key: PublicKey, i) => ({ index: first + i, signature: fakeSign(key, bytes) }));
}

const ofFirmware: Draws<FirmwareBody['kind']> = {
  'create-channel': (w, c) => {
    const maker = w.one(c, 'maker');
    if (maker === undefined) return undefined;
    const sender = w.mostly(c, asAddress(maker[0]));
    const [model, board] = [modelHash(c.below(2)), 'lamp-a1'];
    const form: ChannelForm = {
      version: 1,
      root: role(c, 'root'),
      release: role(c, 'release'),
      expiresAt: millis(w.now + 300 * DAY),
    };
    const id = channelId({ maker: sender.address, model, board });
    const signed = channelSigningBytes(w.chain, id, form);
    return {
      sender,
      body: { kind: 'create-channel', model, board, form, signatures: signatures(c, form.root, signed) },
    };
  },
  'rotate-channel': (w, c) => {
    const found = w.one(c, 'channel');
    if (found === undefined) return undefined;
    const channel = asHash(found[0]);
    const before = found[1].form;
    const form: ChannelForm = {
      version: before.version + 1,
      root: c.isOneIn(3) ? role(c, 'root') : before.root,
      release: c.isOneIn(3) ? role(c, 'release') : before.release,
      expiresAt: millis(w.now + 300 * DAY),
    };
    const signed = channelSigningBytes(w.chain, channel, form);
    return {
      sender: w.anyone(c),
      body: {
        kind: 'rotate-channel',
        channel,
        form,
        signatures: signatures(c, before.root, signed),
        accepted: signatures(c, form.root, signed),
      },
    };
  },
  'release-firmware': (w, c) => {
    const found = w.one(c, 'channel');
    if (found === undefined) return undefined;
    const channel = asHash(found[0]);
    const { newest, counter, form: keys } = found[1];
    const last = w.one(c, 'release', ({ approvedAt }, id) => approvedAt === 0 && isOf(id, channel, newest));
    const number = last === undefined ? newest + 1 : newest;
    w.next += 1;
    const form = {
      version: { major: 1, minor: number, patch: w.next },
      manifest: sha256(utf8Encode(`manifest ${w.next}`)),
      image: sha256(utf8Encode(`image ${w.next}`)),
      size: c.isOneIn(9) ? 0 : 200_000,
      counter: c.isOneIn(6) ? 0 : counter + c.below(2),
      minimum: { major: 0, minor: 0, patch: 0 },
      dependencies: [],
    };
    const signed = releaseSigningBytes(w.chain, channel, number, form);
    const needed = c.isOneIn(2) ? 1 : keys.release.threshold;
    return {
      sender: w.anyone(c),
      body: {
        kind: 'release-firmware',
        channel,
        number,
        form,
        signatures: signatures(c, keys.release, signed, needed),
      },
    };
  },
  'approve-release': (w, c) => {
    const found = w.one(c, 'release', ({ approvedAt }) => approvedAt === 0) ?? w.one(c, 'release');
    if (found === undefined) return undefined;
    const { channel, number } = releaseAt(found[0]);
    const keys = w.one(c, 'channel', (_, id) => equalBytes(id, channel))?.[1].form.release;
    if (keys === undefined) return undefined;
    const signed = releaseSigningBytes(w.chain, channel, number, found[1].form);
    return {
      sender: w.anyone(c),
      body: { kind: 'approve-release', channel, number, signatures: signatures(c, keys, signed) },
    };
  },
  'roll-out': (w, c) => {
    const found = w.one(c, 'release', ({ approvedAt }) => approvedAt > 0) ?? w.one(c, 'release');
    if (found === undefined) return undefined;
    const { channel, number } = releaseAt(found[0]);
    const keys = w.one(c, 'channel', (_, id) => equalBytes(id, channel))?.[1].form.release;
    if (keys === undefined) return undefined;
    const before = found[1].rollout;
    const halted = c.isOneIn(4);
    const share = halted ? before.share : Math.min(10_000, before.share + 1000 * c.below(3));
    const step = { step: before.step + 1, share, halted };
    const signed = rolloutSigningBytes(w.chain, channel, { number, form: found[1].form }, step);
    return {
      sender: w.anyone(c),
      body: { kind: 'roll-out', channel, number, step, signatures: signatures(c, keys, signed) },
    };
  },
  'report-installs': (w, c) => {
    const found = w.one(c, 'release');
    const subnet = w.one(c, 'subnet');
    if (found === undefined || subnet === undefined) return undefined;
    const before = w.one(c, 'installs', (_, id) => equalBytes(id.slice(0, 40), found[0]))?.[1];
    return {
      sender: c.isOneIn(8) ? w.anyone(c) : (c.pick(members) as Person),
      body: {
        kind: 'report-installs',
        ...releaseAt(found[0]),
        subnet: asHash(subnet[0]),
        count: (before?.count ?? 0) + c.below(4),
        failures: before?.failures ?? 0,
        root: sha256(utf8Encode(`installs ${w.next}`)),
      },
    };
  },
};

function releaseAt(id: Uint8Array): { readonly channel: Hash; readonly number: number } {
  const number = Number(new DataView(id.buffer, id.byteOffset + 32, 8).getBigUint64(0));
  return { channel: asHash(id.slice(0, 32)), number };
}

function isOf(id: Uint8Array, channel: Hash, number: number): boolean {
  const at = releaseAt(id);
  return at.number === number && equalBytes(at.channel, channel);
}

export const MARKET_DRAWS: Draws<RentalBody['kind'] | FirmwareBody['kind']> = { ...ofRental, ...ofFirmware };
