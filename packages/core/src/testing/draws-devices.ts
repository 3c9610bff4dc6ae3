/** One transaction of each kind about makers, devices and access, as chance has it (see `whole-ledger.ts`). */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import { utf8Encode } from '../bytes/writer.ts';
import { asHash, sha256, type Hash } from '../crypto/hash.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import { groupId, type AccessBody, type Scope } from '../ledger/bodies/access.ts';
import { batchId, type DeviceBody } from '../ledger/bodies/device.ts';
import {
  attestationKeySigningBytes,
  attestationSigningBytes,
  MARKS,
  recoverySigningBytes,
  type DeviceLifeBody,
} from '../ledger/bodies/device-life.ts';
import type { BodyKind, BodyOf } from '../ledger/body.ts';
import { amount, millis } from '../ledger/ids.ts';
import { ACTIONS, ACTIONS_ALL, LEVEL_MAX, type Terms } from '../ledger/terms.ts';
import type { Device } from '../state/records.ts';
import { fakeSign, makeBatch, person, type Person } from './state-world.ts';
import type { Chance, WholeLedger } from './whole-ledger.ts';

/** Undefined: there is nothing yet that it could be about. */
export type Draw<K extends BodyKind> = (
  w: WholeLedger,
  c: Chance,
) => { readonly sender: Person; readonly body: BodyOf<K> } | undefined;
export type Draws<K extends BodyKind> = { readonly [P in K]: Draw<P> };

export const MINUTE = 60_000;
export const DAY = 86_400_000;

export const modelHash = (n: number): Hash => sha256(utf8Encode(`thing model ${n}`));

const devices = (w: WholeLedger): (readonly [Address, Device])[] =>
  w.all('device').map(([id, record]) => [asAddress(id), record]);

export const aDevice = (w: WholeLedger, c: Chance): readonly [Address, Device] | undefined => {
  const all = devices(w);
  // What is retired is over: seldom is it asked for.
  const live = all.filter(([, { state }]) => state !== 'retired');
  return c.pick(c.isOneIn(8) || live.length === 0 ? all : live);
};

/** Mostly sensible. */
function someTerms(w: WholeLedger, c: Chance): Terms {
  const min = 2000 + 500 * c.below(4);
  return {
    actions: c.isOneIn(16) ? 16 * c.below(2) : 1 + c.below(ACTIONS_ALL),
    levelMax: c.isOneIn(24) ? LEVEL_MAX + 1 : (c.pick([20, 100, 200, LEVEL_MAX]) as number),
    notBefore: millis(c.isOneIn(4) ? w.now + c.below(MINUTE) : 0),
    expiresAt: millis(w.now + (c.pick([500, MINUTE, 60 * MINUTE, 10 * DAY, 100 * DAY]) as number)),
    ...(c.isOneIn(4) && { colour: { min, max: min + 1000 * c.below(3) } }),
    ...(c.isOneIn(6) && {
      schedule: { utcOffset: 60 * c.below(3), windows: [{ days: 1 + c.below(127), from: 480, to: 1200 }] },
    }),
    ...(c.isOneIn(6) && { uses: 1 + c.below(9) }),
    ...(!c.isOneIn(3) && { delegable: 1 + c.below(3) }),
  };
}

/** A part of what is above, mostly. */
function narrowed(w: WholeLedger, c: Chance, above: Terms): Terms {
  if (c.isOneIn(4)) return someTerms(w, c);
  const { notBefore, expiresAt, colour, schedule, uses } = above;
  const delegable = (above.delegable ?? 0) - 1;
  return {
    actions: above.actions & (1 + c.below(ACTIONS_ALL)) || above.actions,
    levelMax: c.below(above.levelMax + 1),
    notBefore,
    expiresAt: millis(c.isOneIn(2) ? expiresAt : Math.min(expiresAt, w.now + DAY)),
    ...(colour && { colour }),
    ...(schedule && { schedule }),
    ...(uses !== undefined && { uses: 1 + c.below(uses) }),
    ...(delegable > 0 && { delegable }),
  };
}

const ofMaker: Draws<'register-maker' | 'register-model' | 'set-attestation' | 'register-batch' | 'claim'> = {
  'register-maker': (w, c) => {
    const sender = w.anyone(c);
    return { sender, body: { kind: 'register-maker', name: c.isOneIn(9) ? '' : sender.name } };
  },
  'register-model': (w, c) => {
    const maker = w.one(c, 'maker');
    if (maker === undefined) return undefined;
    const model = {
      hash: modelHash(c.below(4)),
      name: 'lamp',
      actions: c.isOneIn(8) ? 16 : ACTIONS_ALL & ~(c.isOneIn(3) ? ACTIONS.colour : 0),
      levelMax: c.pick([150, LEVEL_MAX]) as number,
      ...(c.isOneIn(2) && { colour: { min: 2000, max: 6500 } }),
    };
    return { sender: w.mostly(c, asAddress(maker[0])), body: { kind: 'register-model', model } };
  },
  'set-attestation': (w, c) => {
    const maker = w.one(c, 'maker');
    if (maker === undefined) return undefined;
    const address = asAddress(maker[0]);
    const { key } = person(`attestation ${c.below(3)}`);
    const signed = attestationKeySigningBytes(w.chain, address, key);
    const proof = fakeSign(c.isOneIn(8) ? person('mallory').key : (maker[1].attestation ?? key), signed);
    return { sender: w.mostly(c, address), body: { kind: 'set-attestation', key, proof } };
  },
  'register-batch': (w, c) => {
    const maker = w.one(c, 'maker');
    if (maker === undefined) return undefined;
    const sender = w.mostly(c, asAddress(maker[0]));
    const batch = makeBatch(sender, `lamp ${w.next}`, c.isOneIn(12) ? 0 : 3);
    w.next += 1;
    const known = w.one(c, 'model', (_, id) => equalBytes(id.slice(0, 32), sender.address));
    const model = known === undefined ? modelHash(c.below(4)) : asHash(known[0].slice(32));
    const form = { root: batch.root, count: batch.devices.length, model };
    const attested = w.state.maker(sender.address)?.attestation;
    const attestation =
      attested && fakeSign(attested, attestationSigningBytes(w.chain, sender.address, form));
    w.batches.push({ batch, maker: sender, model });
    const depositPerDevice = amount(BigInt(c.below(1_000_000)));
    return {
      sender,
      body: {
        kind: 'register-batch',
        batch: { ...form, depositPerDevice, ...(attestation && { attestation }) },
      },
    };
  },
  claim: (w, c) => {
    const places = w.batches.flatMap(({ batch }) => batch.devices.map((device) => ({ batch, device })));
    const free = places.filter(({ device }) => w.state.device(device.device.address) === undefined);
    const place = c.pick(c.isOneIn(8) || free.length === 0 ? places : free);
    if (place === undefined) return undefined;
    const sender = w.anyone(c);
    const owner = c.isOneIn(8) ? w.anyone(c) : sender;
    return { sender, body: { kind: 'claim', claim: w.claim(place.batch, place.device.index, owner) } };
  },
};

const ofLife: Draws<
  | 'offer-device'
  | 'accept-device'
  | 'withdraw-device'
  | 'mark-device'
  | 'recover-device'
  | 'set-device-recovery'
> = {
  'offer-device': (w, c) => {
    const found = aDevice(w, c);
    if (found === undefined) return undefined;
    const [device, { owner }] = found;
    return {
      sender: w.mostly(c, owner),
      body: {
        kind: 'offer-device',
        device,
        to: w.anyone(c).address,
        price: amount(BigInt(c.below(3)) * 1_000_000n),
        expiresAt: millis(w.now + (c.pick([0, MINUTE, DAY]) as number)),
      },
    };
  },
  'accept-device': (w, c) => {
    const sale = w.one(c, 'sale');
    if (sale === undefined) return undefined;
    const [device, { to, price }] = [asAddress(sale[0]), sale[1]];
    const transfers = w.state.device(device)?.transfers ?? 0;
    return { sender: w.mostly(c, to), body: { kind: 'accept-device', device, price, transfers } };
  },
  'withdraw-device': (w, c) => {
    const sale = w.one(c, 'sale');
    const [device, owner] = sale
      ? [asAddress(sale[0]), w.state.device(asAddress(sale[0]))?.owner ?? sale[1].to]
      : [person('nothing').address, person('alice').address];
    return { sender: w.mostly(c, owner), body: { kind: 'withdraw-device', device } };
  },
  'mark-device': (w, c) => {
    const recovery = w.one(c, 'device-recovery');
    if (recovery !== undefined && c.isOneIn(2)) {
      const [id, { claimant }] = recovery;
      return {
        sender: w.mostly(c, claimant),
        body: { kind: 'mark-device', device: asAddress(id), mark: 'recovered' },
      };
    }
    const found = aDevice(w, c);
    if (found === undefined) return undefined;
    const [device, { owner }] = found;
    // Half of them would be retired before long.
    const mark = c.isOneIn(4) ? c.pick(MARKS) : c.pick(['stolen', 'found', 'found'] as const);
    return { sender: w.mostly(c, owner), body: { kind: 'mark-device', device, mark: mark ?? 'found' } };
  },
  'recover-device': (w, c) => {
    const found = aDevice(w, c);
    if (found === undefined) return undefined;
    const [device, { batch, transfers }] = found;
    const made = w.batches.find((one) => equalBytes(batchId(one.maker.address, one.batch.root), batch));
    const entry = made?.batch.devices.find((one) => equalBytes(one.device.address, device));
    if (entry === undefined) return undefined;
    const sender = w.anyone(c);
    const claimant = c.isOneIn(8) ? person('mallory').address : sender.address;
    const signed = recoverySigningBytes(w.chain, { device, claimant, transfers });
    const { index, path, claimKey } = entry;
    return {
      sender,
      body: {
        kind: 'recover-device',
        recovery: {
          device,
          claimKey: claimKey.key,
          index,
          path,
          voucher: fakeSign(claimKey.key, signed),
          presence: fakeSign(entry.device.key, signed),
        },
      },
    };
  },
  'set-device-recovery': (w, c) => {
    const found = aDevice(w, c);
    if (found === undefined) return undefined;
    const [device, { owner }] = found;
    const delay = c.pick([0, 1, 10_000, 10_000, 10_000]) as number;
    return { sender: w.mostly(c, owner), body: { kind: 'set-device-recovery', device, delay } };
  },
};

const GROUPS = ['kitchen', 'attic'] as const;

function groupOf(w: WholeLedger, c: Chance): readonly [owner: Address, group: Hash] | undefined {
  const group = w.one(c, 'group');
  return group && [asAddress(group[0].slice(0, 32)), asHash(group[0].slice(32))];
}

/** What stands at the head of the id of a grant or delegation; a group by itself does not say whose it is. */
function scopeAt(w: WholeLedger, id: Uint8Array): Scope {
  const head = id.slice(0, 32);
  if (w.state.device(asAddress(head)) !== undefined) return { kind: 'device', device: asAddress(head) };
  const group = w.all('group').find(([key]) => equalBytes(key.slice(32), head));
  const owner = asAddress(group === undefined ? head : group[0].slice(0, 32));
  return { kind: 'group', owner, group: asHash(head) };
}

const ofAccess: Draws<AccessBody['kind']> = {
  grant: (w, c) => {
    const found = aDevice(w, c);
    if (found === undefined) return undefined;
    const [device, { owner }] = found;
    const subject = w.anyone(c).address;
    return {
      sender: w.mostly(c, owner),
      body: { kind: 'grant', grant: { device, subject, ...someTerms(w, c) } },
    };
  },
  revoke: (w, c) => {
    const held = w.one(c, 'grant', (_, id) => w.state.device(asAddress(id.slice(0, 32))) !== undefined);
    if (held === undefined) return undefined;
    const [device, subject] = [asAddress(held[0].slice(0, 32)), asAddress(held[0].slice(32))];
    return { sender: w.mostly(c, held[1].granter), body: { kind: 'revoke', device, subject } };
  },
  'set-group': (w, c) => {
    const name = c.pick(GROUPS) as string;
    const sender = w.anyone(c);
    if (c.isOneIn(6)) return { sender, body: { kind: 'set-group', name: c.isOneIn(3) ? '' : name } };
    const own = devices(w).filter(([, { owner }]) => c.isOneIn(16) || equalBytes(owner, sender.address));
    const inside = own.filter(() => !c.isOneIn(3)).map(([address]) => address);
    const group = { place: c.isOneIn(2), devices: inside.sort(compareBytes) };
    return { sender, body: { kind: 'set-group', name, group } };
  },
  'grant-group': (w, c) => {
    const [owner, group] = groupOf(w, c) ?? [person('alice').address, groupId(person('bob').address, 'none')];
    const subject = w.anyone(c).address;
    return {
      sender: w.mostly(c, owner),
      body: { kind: 'grant-group', group, subject, ...someTerms(w, c) },
    };
  },
  delegate: (w, c) => {
    const held =
      w.one(c, c.isOneIn(2) ? 'grant' : 'delegation', ({ delegable }) => delegable !== undefined) ??
      w.one(c, 'grant');
    if (held === undefined) return undefined;
    const [id, above] = held;
    const via = id.length > 64 ? asAddress(id.slice(64)) : undefined;
    return {
      sender: w.mostly(c, asAddress(id.slice(32, 64))),
      body: {
        kind: 'delegate',
        scope: scopeAt(w, id),
        ...(via && { via }),
        subject: w.anyone(c).address,
        terms: narrowed(w, c, above),
      },
    };
  },
  'revoke-access': (w, c) => {
    const held =
      w.one(c, 'delegation') ??
      w.one(c, 'grant', (_, id) => w.state.device(asAddress(id.slice(0, 32))) === undefined);
    if (held === undefined) return undefined;
    const [id, record] = held;
    const granter = id.length > 64 ? asAddress(id.slice(64)) : undefined;
    const scope = scopeAt(w, id);
    const by = granter ?? ('granter' in record ? record.granter : person('alice').address);
    return {
      sender: w.mostly(c, by),
      body: {
        kind: 'revoke-access',
        // The group may be gone; who granted still knows whose it was.
        scope: scope.kind === 'group' && granter === undefined ? { ...scope, owner: by } : scope,
        subject: asAddress(id.slice(32, 64)),
        ...(granter && { granter }),
      },
    };
  },
};

export const DEVICE_DRAWS: Draws<DeviceBody['kind'] | DeviceLifeBody['kind'] | AccessBody['kind']> = {
  ...ofMaker,
  ...ofLife,
  ...ofAccess,
};
