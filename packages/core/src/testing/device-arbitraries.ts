/** fast-check generators of what devices and access are made of; see `arbitraries.ts` for the rest. */
import fc from 'fast-check';
import { compareBytes, toHex } from '../bytes/hex.ts';
import { asHash, type Hash } from '../crypto/hash.ts';
import { ED25519, type PublicKey } from '../crypto/signature.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import type { AccessBody, GroupForm, Scope } from '../ledger/bodies/access.ts';
import { MARKS, type DeviceLifeBody } from '../ledger/bodies/device-life.ts';
import { KELVIN_MAX, KELVIN_MIN } from '../ledger/command.ts';
import { amount, AMOUNT_MAX, millis, type Amount, type Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import {
  UTC_OFFSET,
  type ColourRange,
  type Schedule,
  type Terms,
  type WeeklyWindow,
} from '../ledger/terms.ts';

type Arbitrary<T> = fc.Arbitrary<T>;

const bytes = (length: number): Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((value) => new Uint8Array(value));
const hash: Arbitrary<Hash> = bytes(32).map(asHash);
const address: Arbitrary<Address> = bytes(32).map(asAddress);
const key: Arbitrary<PublicKey> = bytes(32).map((value) => ({ algorithm: ED25519, bytes: value }));
const signature = bytes(64);
const moment: Arbitrary<Millis> = fc.maxSafeNat().map(millis);
const value: Arbitrary<Amount> = fc.bigInt({ min: 0n, max: AMOUNT_MAX }).map(amount);
const text = fc.string({ unit: 'grapheme-ascii', maxLength: 64 });

export const anyColourRange: Arbitrary<ColourRange> = fc
  .tuple(fc.integer({ min: KELVIN_MIN, max: KELVIN_MAX }), fc.integer({ min: KELVIN_MIN, max: KELVIN_MAX }))
  .map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) }));

const anyWindow: Arbitrary<WeeklyWindow> = fc
  .tuple(fc.integer({ min: 1, max: 127 }), fc.nat(1439), fc.integer({ min: 1, max: 1440 }))
  .filter(([, from, to]) => from !== to)
  .map(([days, from, to]) => ({ days, from, to }));

export const anySchedule: Arbitrary<Schedule> = fc
  .tuple(fc.integer(UTC_OFFSET), fc.array(anyWindow, { minLength: 1, maxLength: LIMITS.scheduleWindowsMax }))
  .map(([utcOffset, windows]) => ({ utcOffset, windows }));

/** Whether or not they make sense together. */
export const anyTerms: Arbitrary<Terms> = termsWith({
  actions: fc.nat(0xffff),
  levelMax: fc.nat(255),
  notBefore: moment,
  expiresAt: moment,
});

/** The same with fields of one's own. */
export function termsWith(fields: {
  readonly actions: Arbitrary<number>;
  readonly levelMax: Arbitrary<number>;
  readonly notBefore: Arbitrary<Millis>;
  readonly expiresAt: Arbitrary<Millis>;
}): Arbitrary<Terms> {
  const optional = fc.record(
    {
      colour: anyColourRange,
      schedule: anySchedule,
      uses: fc.integer({ min: 1, max: 0xffff_ffff }),
      delegable: fc.integer({ min: 1, max: LIMITS.delegationsMax }),
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  return fc
    .tuple(fc.record(fields, { noNullPrototype: true }), optional)
    .map(([plain, more]) => ({ ...plain, ...more }));
}

const anyScope: Arbitrary<Scope> = fc.oneof(
  address.map((device) => ({ kind: 'device' as const, device })),
  fc.tuple(address, hash).map(([owner, group]) => ({ kind: 'group' as const, owner, group })),
);

const anyGroupForm: Arbitrary<GroupForm> = fc
  .tuple(fc.boolean(), fc.uniqueArray(address, { maxLength: LIMITS.groupDevicesMax, selector: toHex }))
  .map(([place, devices]) => ({ place, devices: devices.toSorted(compareBytes) }));

function record<T>(model: { [K in keyof T]: Arbitrary<T[K]> }): Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as Arbitrary<T>;
}

const kind = <K extends string>(name: K): Arbitrary<K> => fc.constant(name);

export const anyDeviceLifeBody: Arbitrary<DeviceLifeBody> = fc.oneof(
  fc
    .tuple(hash, text, fc.nat(0xffff), fc.nat(255), fc.option(anyColourRange))
    .map(([id, name, actions, levelMax, colour]) => ({
      kind: 'register-model' as const,
      model: { hash: id, name, actions, levelMax, ...(colour && { colour }) },
    })),
  record({ kind: kind('set-attestation'), key, proof: signature }),
  record({ kind: kind('offer-device'), device: address, to: address, price: value, expiresAt: moment }),
  record({ kind: kind('accept-device'), device: address, price: value, transfers: fc.nat(0xffff_ffff) }),
  record({ kind: kind('withdraw-device'), device: address }),
  record({ kind: kind('mark-device'), device: address, mark: fc.constantFrom(...MARKS) }),
  record({
    kind: kind('recover-device'),
    recovery: record({
      device: address,
      claimKey: key,
      index: fc.nat(0xffff_ffff),
      path: fc.array(hash, { maxLength: 5 }),
      voucher: signature,
      presence: signature,
    }),
  }),
  record({ kind: kind('set-device-recovery'), device: address, delay: fc.maxSafeNat() }),
);

export const anyAccessBody: Arbitrary<AccessBody> = fc.oneof(
  fc
    .tuple(address, address, anyTerms)
    .map(([device, subject, terms]) => ({ kind: 'grant' as const, grant: { device, subject, ...terms } })),
  record({ kind: kind('revoke'), device: address, subject: address }),
  fc
    .tuple(text, fc.option(anyGroupForm))
    .map(([name, group]) => ({ kind: 'set-group' as const, name, ...(group && { group }) })),
  fc
    .tuple(hash, address, anyTerms)
    .map(([group, subject, terms]) => ({ kind: 'grant-group' as const, group, subject, ...terms })),
  fc.tuple(anyScope, fc.option(address), address, anyTerms).map(([scope, via, subject, terms]) => ({
    kind: 'delegate' as const,
    scope,
    ...(via && { via }),
    subject,
    terms,
  })),
  fc.tuple(anyScope, address, fc.option(address)).map(([scope, subject, granter]) => ({
    kind: 'revoke-access' as const,
    scope,
    subject,
    ...(granter && { granter }),
  })),
);
