/** A maker with a product line: three root keys and three release keys, two of each needed, and everything they sign. */
import assert from 'node:assert/strict';
import { sha256, type Hash } from '../crypto/hash.ts';
import { compareKeys } from '../crypto/signature.ts';
import { utf8Encode } from '../bytes/writer.ts';
import type { Body } from '../ledger/body.ts';
import {
  channelId,
  channelSigningBytes,
  releaseSigningBytes,
  roleOf,
  rolloutSigningBytes,
  type ChannelForm,
  type ReleaseForm,
  type Role,
  type RoleSignature,
  type Version,
} from '../ledger/firmware.ts';
import { millis, type Millis } from '../ledger/ids.ts';
import type { Channel, Release } from '../state/firmware-record.ts';
import type { NumberedRelease } from '../state/firmware-decision.ts';
import { countedId } from '../state/keys.ts';
import { idText } from '../state/record-map.ts';
import { fakeSign, members, person, World, type Person } from './state-world.ts';

export const maker: Person = person('maker');
export const mallory: Person = person('mallory');
export const roots: readonly Person[] = ['root 0', 'root 1', 'root 2'].map(person);
export const releasers: readonly Person[] = ['release 0', 'release 1', 'release 2'].map(person);
export const MODEL: Hash = sha256(utf8Encode('lamp model'));
export const BOARD = 'lamp-a1';
const YEAR = 31_536_000_000;

export function role(people: readonly Person[], threshold = 2): Role {
  return roleOf(
    people.map(({ key }) => key),
    threshold,
  );
}

/** By people of a role, each under its place there; those who are not of it say the first places. */
export function roleSignatures(
  of: Role,
  people: readonly Person[],
  signed: Uint8Array,
): readonly RoleSignature[] {
  return people
    .map((who, i) => {
      const place = of.keys.findIndex((key) => compareKeys(key, who.key) === 0);
      return { index: place < 0 ? i : place, signature: fakeSign(who.key, signed) };
    })
    .toSorted((a, b) => a.index - b.index);
}

export const version = (major: number, minor = 0, patch = 0): Version => ({ major, minor, patch });

export interface ReleaseOptions extends Partial<ReleaseForm> {
  readonly by?: readonly Person[];
  readonly number?: number;
}

export class FirmwareWorld extends World {
  readonly channel: Hash = channelId({ maker: maker.address, model: MODEL, board: BOARD });

  constructor(depositPerByte = 0n) {
    super(['maker', 'mallory', ...members.map(({ name }) => name)], 10n, { depositPerByte });
    this.accept(maker, { kind: 'register-maker', name: 'Lumen' });
  }

  /** With its channel open. */
  static opened(depositPerByte = 0n): FirmwareWorld {
    const w = new FirmwareWorld(depositPerByte);
    w.accept(maker, w.create());
    return w;
  }

  accept(who: Person, body: Body): void {
    assert.equal(this.send(who, body), 'ok', body.kind);
  }

  get now(): Millis {
    return this.context.time;
  }

  form(changes: Partial<ChannelForm> = {}): ChannelForm {
    return {
      version: 1,
      root: role(roots),
      release: role(releasers),
      expiresAt: millis(this.now + YEAR),
      ...changes,
    };
  }

  create(form: ChannelForm = this.form(), by: readonly Person[] = roots.slice(0, 2)): Body {
    const signed = channelSigningBytes(this.chain, this.channel, form);
    return {
      kind: 'create-channel',
      model: MODEL,
      board: BOARD,
      form,
      signatures: roleSignatures(form.root, by, signed),
    };
  }

  rotate(
    changes: Partial<ChannelForm>,
    o: { readonly by?: readonly Person[]; readonly accepted?: readonly Person[] } = {},
  ): Body {
    const before = this.record().form;
    const form = { ...before, version: before.version + 1, expiresAt: millis(this.now + YEAR), ...changes };
    const signed = channelSigningBytes(this.chain, this.channel, form);
    return {
      kind: 'rotate-channel',
      channel: this.channel,
      form,
      signatures: roleSignatures(before.root, o.by ?? roots.slice(0, 2), signed),
      accepted: roleSignatures(form.root, o.accepted ?? roots.slice(0, 2), signed),
    };
  }

  release(o: ReleaseOptions = {}): Body {
    const { by = releasers.slice(0, 2), number = this.nextNumber(), ...changes } = o;
    const form = this.releaseForm(number, changes);
    const signed = releaseSigningBytes(this.chain, this.channel, number, form);
    const signatures = roleSignatures(this.record().form.release, by, signed);
    return { kind: 'release-firmware', channel: this.channel, number, form, signatures };
  }

  releaseForm(number: number, changes: Partial<ReleaseForm> = {}): ReleaseForm {
    return {
      version: version(1, number),
      manifest: sha256(utf8Encode(`manifest ${number}`)),
      image: sha256(utf8Encode(`image ${number}`)),
      size: 200_000,
      counter: 0,
      minimum: version(0),
      dependencies: [],
      ...changes,
    };
  }

  approve(number: number, by: readonly Person[]): Body {
    const { form } = this.releaseAt(number) as Release;
    const signed = releaseSigningBytes(this.chain, this.channel, number, form);
    const signatures = roleSignatures(this.record().form.release, by, signed);
    return { kind: 'approve-release', channel: this.channel, number, signatures };
  }

  rollOut(
    number: number,
    o: {
      readonly share?: number;
      readonly halted?: boolean;
      readonly step?: number;
      readonly by?: readonly Person[];
    },
  ): Body {
    const before = this.releaseAt(number)?.rollout ?? { step: 0, share: 0, halted: false };
    const { share = before.share, halted = false, by = releasers.slice(0, 2) } = o;
    const step = { step: o.step ?? before.step + 1, share, halted };
    const form = this.releaseAt(number)?.form ?? this.releaseForm(number, {});
    const signed = rolloutSigningBytes(this.chain, this.channel, { number, form }, step);
    const signatures = roleSignatures(this.record().form.release, by, signed);
    return { kind: 'roll-out', channel: this.channel, number, step, signatures };
  }

  /** Released, approved, and out to everybody. */
  published(o: ReleaseOptions = {}): number {
    const number = this.nextNumber();
    this.accept(maker, this.release(o));
    this.accept(maker, this.rollOut(number, { share: 10_000 }));
    return number;
  }

  record(): Channel {
    return this.state.record('channel', idText(this.channel)) as Channel;
  }

  releaseAt(number: number): Release | undefined {
    return this.state.record('release', idText(countedId(this.channel, number)));
  }

  /** All that is remembered, from the newest down. */
  releases(): readonly NumberedRelease[] {
    const { newest, oldest } = this.record();
    const all: NumberedRelease[] = [];
    for (let number = newest; number >= oldest; number -= 1)
      all.push({ number, release: this.releaseAt(number) as Release });
    return all;
  }

  nextNumber(): number {
    const { newest } = this.record();
    return this.releaseAt(newest)?.approvedAt === 0 ? newest : newest + 1;
  }
}
