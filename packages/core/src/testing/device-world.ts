/** A world with a maker, a batch of lamps, and the words of devices and owners at hand (see `state-world.ts`). */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import type { Address } from '../ledger/address.ts';
import type { Scope } from '../ledger/bodies/access.ts';
import { recoverySigningBytes, type Mark, type RecoveryClaim } from '../ledger/bodies/device-life.ts';
import type { Body } from '../ledger/body.ts';
import { amount, millis, type Millis } from '../ledger/ids.ts';
import { ACTIONS, type Terms } from '../ledger/terms.ts';
import type { Device } from '../state/records.ts';
import {
  fakeSign,
  makeBatch,
  person,
  World,
  type Batch,
  type Person,
  type WorldOptions,
} from './state-world.ts';

export const maker: Person = person('maker');
export const alice: Person = person('alice');
export const bob: Person = person('bob');
export const carol: Person = person('carol');
export const dave: Person = person('dave');
export const mallory: Person = person('mallory');

export const BUILT_IN = 1_000_000n;
const NAMES = ['maker', 'alice', 'bob', 'carol', 'dave', 'mallory'];

export class DeviceWorld extends World {
  readonly batch: Batch;

  /** A batch of lamps of which alice owns the first ones. */
  constructor(o: { readonly lamps?: number; readonly owned?: number } & WorldOptions = {}) {
    super(NAMES, 10n, o);
    const { lamps = 3, owned = lamps } = o;
    this.batch = makeBatch(maker, 'lamp', lamps);
    this.accept(maker, { kind: 'register-maker', name: 'Lumen' });
    this.accept(maker, this.registerBatch(maker, this.batch, BUILT_IN));
    for (let index = 0; index < owned; index += 1) this.accept(alice, this.claimOf(index, alice));
  }

  /** Of the last block. */
  get now(): Millis {
    return millis(1_000_000 + 1000 * this.height + this.later);
  }

  accept(sender: Person, body: Body): void {
    const code = this.send(sender, body);
    if (code !== 'ok') throw new Error(`${body.kind} by ${sender.name}: ${code}`);
  }

  /** Lets time pass: the next block comes at least so many milliseconds after the last one. */
  wait(ms: number): void {
    this.later += ms;
    this.block();
  }

  lamp(index = 0): Person {
    return person(`lamp-${index}`);
  }

  record(index = 0): Device {
    const record = this.state.device(this.lamp(index).address);
    if (record === undefined) throw new Error('nobody has claimed it');
    return record;
  }

  isOwnedBy(who: Person, index = 0): boolean {
    return equalBytes(this.record(index).owner, who.address);
  }

  claimOf(index: number, owner: Person): Body {
    return { kind: 'claim', claim: this.claim(this.batch, index, owner) };
  }

  offer(
    to: Person,
    o: { readonly index?: number; readonly price?: bigint; readonly ms?: number } = {},
  ): Body {
    const { index = 0, price = 0n, ms = 60_000 } = o;
    return {
      kind: 'offer-device',
      device: this.lamp(index).address,
      to: to.address,
      price: amount(price),
      expiresAt: millis(this.now + ms),
    };
  }

  acceptance(
    o: { readonly index?: number; readonly price?: bigint; readonly transfers?: number } = {},
  ): Body {
    const { index = 0, price = 0n } = o;
    const transfers = o.transfers ?? this.record(index).transfers;
    return { kind: 'accept-device', device: this.lamp(index).address, price: amount(price), transfers };
  }

  /** Offered and accepted at once. */
  sell(from: Person, to: Person, index = 0): void {
    this.accept(from, this.offer(to, { index }));
    this.accept(to, this.acceptance({ index }));
  }

  mark(mark: Mark, index = 0): Body {
    return { kind: 'mark-device', device: this.lamp(index).address, mark };
  }

  /** As somebody makes it out who holds voucher and device. */
  recovery(claimant: Person, index = 0, changes: Partial<RecoveryClaim> = {}): Body {
    const entry = this.batch.devices[index];
    if (entry === undefined) throw new Error(`no lamp ${index}`);
    const device = entry.device.address;
    const transfers = this.state.device(device)?.transfers ?? 0;
    const bytes = recoverySigningBytes(this.chain, { device, claimant: claimant.address, transfers });
    const recovery: RecoveryClaim = {
      device,
      claimKey: entry.claimKey.key,
      index,
      path: entry.path,
      voucher: fakeSign(entry.claimKey.key, bytes),
      presence: fakeSign(entry.device.key, bytes),
      ...changes,
    };
    return { kind: 'recover-device', recovery };
  }

  setRecovery(delay: number, index = 0): Body {
    return { kind: 'set-device-recovery', device: this.lamp(index).address, delay };
  }

  /** On, off and levels up to 100, for a day and a bit. */
  terms(changes: Partial<Terms> = {}): Terms {
    return {
      actions: ACTIONS.onOff | ACTIONS.level,
      levelMax: 100,
      notBefore: millis(0),
      expiresAt: millis(100_000_000),
      ...changes,
    };
  }

  grant(to: Person, changes: Partial<Terms> = {}, index = 0): Body {
    const device = this.lamp(index).address;
    return { kind: 'grant', grant: { device, subject: to.address, ...this.terms(changes) } };
  }

  revoke(from: Person, index = 0): Body {
    return { kind: 'revoke', device: this.lamp(index).address, subject: from.address };
  }

  scope(index = 0): Scope {
    return { kind: 'device', device: this.lamp(index).address };
  }

  delegation(to: Person, changes: Partial<Terms> = {}, via?: Person, scope: Scope = this.scope()): Body {
    return {
      kind: 'delegate',
      scope,
      ...(via && { via: via.address }),
      subject: to.address,
      terms: this.terms(changes),
    };
  }

  undelegate(from: Person, granter: Person, scope: Scope = this.scope()): Body {
    return { kind: 'revoke-access', scope, subject: from.address, granter: granter.address };
  }

  /** By address, ascending. */
  lampsOf(...indices: readonly number[]): readonly Address[] {
    const addresses = indices.map((index) => this.lamp(index).address);
    return addresses.toSorted(compareBytes);
  }
}
