/**
 * Devices and access against a plain reference: objects that know who owns what and under which object they were given, no
 * counters, no records, no keys. What the ledger accepts, who owns a lamp, and how bright whom may set it, must be the same.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { equalBytes } from '../bytes/hex.ts';
import { groupId, type Scope } from '../ledger/bodies/access.ts';
import type { Body } from '../ledger/body.ts';
import { millis, SUPPLY } from '../ledger/ids.ts';
import { ACTIONS, termsRefusal, type Terms } from '../ledger/terms.ts';
import { alice, bob, carol, dave, DeviceWorld } from '../testing/device-world.ts';
import type { Person } from '../testing/state-world.ts';
import { termsIn } from './access-chain.ts';
import { accessOf } from './find-access.ts';
import { RECORD_KINDS } from './keys.ts';
import { depositPrice, type RecordDeposit } from './record-deposit.ts';
import { encodeRecord } from './records.ts';

const people: readonly Person[] = [alice, bob, carol, dave];
const LAMPS = [0, 1] as const;
const DELAY = 10_000;
const PER_BYTE = 100n;

/** How often each is tried. */
const LIFE = {
  claim: 1,
  offer: 2,
  accept: 2,
  withdraw: 2,
  stolen: 1,
  found: 1,
  retire: 1,
  recover: 2,
  'set-recovery': 2,
  finish: 2,
  wait: 1,
} as const;
const ACCESS = {
  grant: 3,
  revoke: 1,
  group: 2,
  ungroup: 1,
  'grant-group': 1,
  delegate: 4,
  undelegate: 1,
} as const;

type LifeKind = keyof typeof LIFE;
type AccessKind = keyof typeof ACCESS;
type Kind = LifeKind | AccessKind;

const KINDS = Object.entries({ ...LIFE, ...ACCESS }).flatMap(([kind, weight]) =>
  Array.from({ length: weight }, () => kind as Kind),
);

const isLife = (kind: Kind): kind is LifeKind => Object.hasOwn(LIFE, kind);

interface Step {
  readonly kind: Kind;
  readonly sender: number;
  readonly subject: number;
  readonly third: number;
  readonly lamp: number;
  readonly scope: 'device' | 'group';
  readonly level: number;
  readonly seconds: number;
  readonly delegable: number;
  readonly bits: number;
}

const anyStep: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(...KINDS),
  sender: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: fc.nat(3) }),
  subject: fc.nat(3),
  // 3 stands for nobody.
  third: fc.oneof({ weight: 3, arbitrary: fc.constant(3) }, { weight: 2, arbitrary: fc.nat(2) }),
  lamp: fc.nat(LAMPS.length - 1),
  scope: fc.constantFrom('device', 'device', 'group'),
  level: fc.constantFrom(50, 100, 200),
  seconds: fc.constantFrom(20, 1000, 1000, 1000),
  delegable: fc.constantFrom(0, 1, 2, 3, 3),
  bits: fc.nat(3),
});

/** Mostly one person recovers lamps, or nobody would finish what he began; and a delegation is taken back by who gave it. */
const step = anyStep.map((s) => {
  if ((s.kind === 'recover' || s.kind === 'finish') && s.bits > 0) return { ...s, sender: 1 };
  return s.kind === 'undelegate' && s.bits > 0 ? { ...s, sender: s.bits - 1, third: s.bits - 1 } : s;
});

const first: Omit<Step, 'kind'> = {
  sender: 0,
  subject: 1,
  third: 3,
  lamp: 0,
  scope: 'device',
  level: 200,
  seconds: 1000,
  delegable: 3,
  bits: 1,
};
/** A lamp with an owner, a guest, and a guest of the guest: chance alone seldom gets as far. */
const SETTLED: readonly Step[] = [
  { ...first, kind: 'claim' },
  { ...first, kind: 'grant' },
  { ...first, kind: 'delegate', sender: 1, subject: 2, level: 100, delegable: 2, seconds: 900 },
];

const story = (minLength: number, maxLength: number): fc.Arbitrary<readonly Step[]> =>
  fc
    .tuple(fc.boolean(), fc.array(step, { minLength, maxLength }))
    .map(([isSettled, steps]) => (isSettled ? [...SETTLED, ...steps] : steps));

/** Who owns a lamp from some moment on: what is given under it ends with it. */
type Ownership = object;

interface Lamp {
  owner: number | undefined;
  ownership: Ownership;
  state: 'owned' | 'stolen' | 'retired';
  offer: { readonly to: number; readonly until: number } | undefined;
  recovery: { readonly by: number; readonly readyAt: number } | undefined;
  delay: number;
}

interface Group {
  members: readonly { readonly lamp: number; readonly ownership: Ownership }[];
}

interface Link {
  readonly granter: number;
  /** An ownership, a group, or the link above. */
  readonly under: object;
  level: number;
  until: number;
  delegable: number;
}

class Model {
  readonly lamps: readonly Lamp[] = LAMPS.map(() => ({
    owner: undefined,
    ownership: {},
    state: 'owned',
    offer: undefined,
    recovery: undefined,
    delay: DELAY,
  }));
  /** One per owner. */
  readonly groups: Map<number, Group> = new Map();
  /** By scope, subject, and who delegated (nobody: the owner). */
  readonly links: Map<string, Link> = new Map();

  static name(scope: string, subject: number, granter?: number): string {
    return [scope, subject, granter ?? 'owner'].join(' ');
  }

  /** What a scope's grants are given under now, and by whom. */
  root(scope: string): { readonly owner: number; readonly under: object } | undefined {
    const [kind, number] = scope.split('-') as [string, string];
    if (kind === 'group') {
      const under = this.groups.get(Number(number));
      return under && { owner: Number(number), under };
    }
    const { owner, ownership } = this.lamps[Number(number)] as Lamp;
    return owner === undefined ? undefined : { owner, under: ownership };
  }

  isAlive(scope: string, link: Link): boolean {
    const root = this.root(scope);
    if (root === undefined) return false;
    if (link.under === root.under) return link.granter === root.owner;
    const above = [...this.links].find(([, other]) => other === link.under);
    return above !== undefined && above[1].delegable > link.delegable && this.isAlive(scope, above[1]);
  }

  /** The least level of a link and all above it. */
  levelOf(link: Link, now: number): number {
    const above = [...this.links.values()].find((other) => other === link.under);
    const own = now < link.until ? link.level : -1;
    return above === undefined ? own : Math.min(own, this.levelOf(above, now));
  }

  /** How bright a subject may set a lamp now; −1: not at all. */
  brightness(lamp: number, subject: number, now: number): number {
    const { owner, ownership } = this.lamps[lamp] as Lamp;
    if (owner === undefined) return -1;
    const group = this.groups.get(owner);
    const isIn = group?.members.some((member) => member.lamp === lamp && member.ownership === ownership);
    const scopes = [`device-${lamp}`, ...(isIn === true ? [`group-${owner}`] : [])];
    const levels = scopes.flatMap((scope) =>
      [...this.links]
        .filter(([name, link]) => name.startsWith(`${scope} ${subject} `) && this.isAlive(scope, link))
        .map(([, link]) => this.levelOf(link, now)),
    );
    return Math.max(-1, ...levels);
  }

  put(name: string, link: Link): void {
    const before = this.links.get(name);
    if (before?.under === link.under && before.granter === link.granter)
      Object.assign(before, { level: link.level, until: link.until, delegable: link.delegable });
    else this.links.set(name, link);
  }

  newOwner(lamp: Lamp, owner: number): void {
    Object.assign(lamp, { owner, ownership: {}, state: 'owned', offer: undefined, recovery: undefined });
    lamp.delay = 604_800_000;
  }

  /** What ends by itself at the end of a block. */
  expire(now: number): void {
    for (const [name, link] of this.links) if (link.until <= now) this.links.delete(name);
    for (const lamp of this.lamps)
      if (lamp.offer !== undefined && lamp.offer.until <= now) lamp.offer = undefined;
  }

  /** Whether the ledger should accept it at this moment; then it is done here, too. */
  run(s: Step, now: number): boolean {
    const lamp = this.lamps[s.lamp] as Lamp;
    const isOwner = lamp.owner === s.sender;
    const isOwn = isOwner && lamp.state === 'owned';
    const isKept = isOwner && lamp.state !== 'retired';
    const { kind } = s;
    if (!isLife(kind)) return this.#access(kind, s, now, isKept);
    switch (kind) {
      case 'claim':
        if (lamp.owner !== undefined) return false;
        this.newOwner(lamp, s.sender);
        return true;
      case 'offer':
        if (!isOwn || s.subject === s.sender) return false;
        lamp.offer = { to: s.subject, until: now + 1000 * s.seconds - 1000 };
        return true;
      case 'accept':
        if (lamp.offer?.to !== s.sender || now >= lamp.offer.until) return false;
        this.newOwner(lamp, s.sender);
        return true;
      case 'withdraw':
        if (lamp.offer === undefined || !(isOwner || lamp.offer.to === s.sender)) return false;
        lamp.offer = undefined;
        return true;
      case 'stolen':
      case 'retire':
        if (!(kind === 'stolen' ? isOwn : isKept)) return false;
        Object.assign(lamp, { offer: undefined, recovery: undefined });
        lamp.state = kind === 'stolen' ? 'stolen' : 'retired';
        return true;
      case 'found':
        if (!isOwner || lamp.state !== 'stolen') return false;
        lamp.state = 'owned';
        return true;
      case 'recover': {
        const isFree = lamp.recovery === undefined && lamp.delay > 0 && lamp.state !== 'retired';
        if (lamp.owner === undefined || isOwner || !isFree) return false;
        lamp.recovery = { by: s.sender, readyAt: now + lamp.delay };
        return true;
      }
      case 'set-recovery':
        if (!isKept) return false;
        Object.assign(lamp, { recovery: undefined, delay: s.bits === 0 ? 0 : DELAY });
        return true;
      case 'finish':
        if (lamp.recovery?.by !== s.sender || now < lamp.recovery.readyAt) return false;
        this.newOwner(lamp, s.sender);
        return true;
      case 'wait':
        return true;
    }
  }

  #access(kind: AccessKind, s: Step, now: number, isKept: boolean): boolean {
    const device = `device-${s.lamp}`;
    const terms = { level: s.level, until: now + 1000 * s.seconds - 1000, delegable: s.delegable };
    const own = this.groups.get(s.sender);
    switch (kind) {
      case 'grant': {
        if (!isKept || s.subject === s.sender) return false;
        const under = (this.lamps[s.lamp] as Lamp).ownership;
        this.put(Model.name(device, s.subject), { granter: s.sender, under, ...terms });
        return true;
      }
      case 'revoke': {
        const held = this.links.get(Model.name(device, s.subject));
        const isAllowed = (this.lamps[s.lamp] as Lamp).owner === s.sender || held?.granter === s.sender;
        return held !== undefined && isAllowed && this.links.delete(Model.name(device, s.subject));
      }
      case 'group': {
        const lamps = LAMPS.filter((lamp) => ((s.bits >> lamp) & 1) === 1);
        const isAll = lamps.every((lamp) => {
          const { owner, state } = this.lamps[lamp] as Lamp;
          return owner === s.sender && state !== 'retired';
        });
        if (!isAll) return false;
        const members = lamps.map((lamp) => ({ lamp, ownership: (this.lamps[lamp] as Lamp).ownership }));
        if (own === undefined) this.groups.set(s.sender, { members });
        else own.members = members;
        return true;
      }
      case 'ungroup':
        return this.groups.delete(s.sender);
      case 'grant-group':
        if (own === undefined || s.subject === s.sender) return false;
        this.put(Model.name(`group-${s.sender}`, s.subject), { granter: s.sender, under: own, ...terms });
        return true;
      case 'delegate': {
        const scope = scopeName(s);
        const root = this.root(scope);
        const via = s.third === 3 ? undefined : s.third;
        const above = this.links.get(Model.name(scope, s.sender, via));
        if (root === undefined || root.owner === s.subject || s.subject === s.sender) return false;
        if (above === undefined || !this.isAlive(scope, above)) return false;
        const isWider =
          terms.level > above.level || terms.until > above.until || terms.delegable >= above.delegable;
        if (isWider || terms.until <= now) return false;
        this.put(Model.name(scope, s.subject, s.sender), { granter: s.sender, under: above, ...terms });
        return true;
      }
      case 'undelegate': {
        const scope = scopeName(s);
        const isAllowed = this.root(scope)?.owner === s.sender || s.third === s.sender;
        return isAllowed && s.third !== 3 && this.links.delete(Model.name(scope, s.subject, s.third));
      }
    }
  }
}

/** Groups are those of the first two people. */
const scopeName = (s: Step): string => (s.scope === 'device' ? `device-${s.lamp}` : `group-${s.lamp}`);
const groupOf = (owner: number): Scope => {
  const { address } = people[owner] as Person;
  return { kind: 'group', owner: address, group: groupId(address, 'room') };
};

function bodyOf(w: DeviceWorld, kind: Exclude<Kind, 'wait'>, s: Step): Body {
  const sender = people[s.sender] as Person;
  const subject = people[s.subject] as Person;
  const third = s.third === 3 ? undefined : people[s.third];
  const expiresAt = millis(w.now + 1000 * s.seconds);
  const terms: Partial<Terms> = {
    actions: ACTIONS.level,
    levelMax: s.level,
    expiresAt,
    ...(s.delegable > 0 && { delegable: s.delegable }),
  };
  const scope = s.scope === 'device' ? w.scope(s.lamp) : groupOf(s.lamp);
  switch (kind) {
    case 'claim':
      return w.claimOf(s.lamp, sender);
    case 'offer':
      return w.offer(subject, { index: s.lamp, price: 5n, ms: 1000 * s.seconds });
    case 'accept':
      return w.acceptance({
        index: s.lamp,
        price: 5n,
        transfers: w.state.device(w.lamp(s.lamp).address)?.transfers ?? 0,
      });
    case 'withdraw':
      return { kind: 'withdraw-device', device: w.lamp(s.lamp).address };
    case 'stolen':
    case 'found':
      return w.mark(kind, s.lamp);
    case 'retire':
      return w.mark('retired', s.lamp);
    case 'finish':
      return w.mark('recovered', s.lamp);
    case 'recover':
      return w.recovery(sender, s.lamp);
    case 'set-recovery':
      return w.setRecovery(s.bits === 0 ? 0 : DELAY, s.lamp);
    case 'grant':
      return w.grant(subject, terms, s.lamp);
    case 'revoke':
      return w.revoke(subject, s.lamp);
    case 'group':
      return {
        kind: 'set-group',
        name: 'room',
        group: { place: true, devices: w.lampsOf(...LAMPS.filter((lamp) => ((s.bits >> lamp) & 1) === 1)) },
      };
    case 'ungroup':
      return { kind: 'set-group', name: 'room' };
    case 'grant-group':
      return {
        kind: 'grant-group',
        group: groupId(sender.address, 'room'),
        subject: subject.address,
        ...w.terms(terms),
      };
    case 'delegate':
      return w.delegation(subject, terms, third, scope);
    case 'undelegate':
      return {
        kind: 'revoke-access',
        scope,
        subject: subject.address,
        granter: (third ?? dave).address,
      };
  }
}

function assertSame(w: DeviceWorld, model: Model): void {
  for (const [i, lamp] of model.lamps.entries()) {
    const record = w.state.device(w.lamp(i).address);
    assert.equal(record === undefined, lamp.owner === undefined);
    if (record === undefined || lamp.owner === undefined) continue;
    assert.ok(equalBytes(record.owner, (people[lamp.owner] as Person).address), 'another owner');
    assert.equal(record.state, lamp.state);
    for (const [subject, { address }] of people.entries()) {
      if (subject === lamp.owner) continue;
      assert.equal(brightness(w, i, address), model.brightness(i, subject, w.now));
    }
  }
}

/** By the records: the brightest level that some way allows now. */
function brightness(w: DeviceWorld, lamp: number, subject: Person['address']): number {
  let best = -1;
  for (const found of accessOf(w.state.records, w.lamp(lamp).address, subject)) {
    for (const level of [50, 100, 200])
      if (
        [...termsIn(found)].every(
          (terms) => termsRefusal(terms, { kind: 'level', level }, w.now) === undefined,
        )
      )
        best = Math.max(best, level);
  }
  return best;
}

const DEPOSITED = ['device', 'grant', 'delegation', 'group', 'sale', 'device-recovery'] as const;

/** No record without the deposit that its bytes cost. */
function assertDeposits(w: DeviceWorld): void {
  for (const kind of DEPOSITED) {
    for (const [, record] of w.state.records.walk(kind)) {
      if ('state' in record && record.state === 'retired') continue;
      const { amount } = (record as { readonly deposit: RecordDeposit }).deposit;
      assert.equal(amount, depositPrice(PER_BYTE, encodeRecord(kind, record).length), kind);
    }
  }
}

const world = (): DeviceWorld => new DeviceWorld({ lamps: LAMPS.length, owned: 0, depositPerByte: PER_BYTE });

/** Counts what was accepted and what was refused, so that a run that reaches nothing is seen. */
function play(steps: readonly Step[], seen?: Map<string, number>): void {
  const w = world();
  const model = new Model();
  for (const s of steps) {
    const { kind } = s;
    if (kind === 'wait') {
      w.wait(1000 * s.seconds);
    } else {
      const before = w.state;
      const sender = people[s.sender] as Person;
      const { receipts, changes } = w.block(w.transaction(sender, bodyOf(w, kind, s)));
      const outcome = receipts[0]?.outcome;
      assert.ok(outcome);
      const expected = model.run(s, w.now);
      assert.equal(outcome.ok, expected, `${kind}: ${outcome.ok ? 'accepted' : outcome.code}`);
      const name = `${kind} ${outcome.ok ? 'accepted' : 'refused'}`;
      seen?.set(name, (seen.get(name) ?? 0) + 1);
      // What comes to its end at the end of the same block is no change of the refused one.
      if (!outcome.ok && before.count('expiry') === w.state.count('expiry')) {
        const kinds = changes.map(({ key }) => key[0]);
        assert.ok(
          kinds.every((kind) => kind === RECORD_KINDS.account || kind === RECORD_KINDS.epoch),
          `a refused ${kind} changed ${kinds.join()}`,
        );
      }
    }
    model.expire(w.now);
    assertSame(w, model);
    assertDeposits(w);
  }
  assert.equal(w.state.supply(), SUPPLY);
}

test('STATE-16.15, STATE-17.9: an owner changes, a device freezes and access opens only as a plain reference says; deposits and supply hold', () => {
  fc.assert(
    fc.property(story(20, 60), (steps) => play(steps)),
    { numRuns: 60 },
  );
});

test('STATE-17.9: the stories of the reference reach acceptance and refusal of every kind', () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(story(40, 80), (steps) => play(steps, seen)),
    { numRuns: 100, seed: 5 },
  );
  for (const kind of new Set(KINDS)) {
    if (kind === 'wait') continue;
    for (const outcome of ['accepted', 'refused'])
      assert.ok(seen.has(`${kind} ${outcome}`), `${kind} was never ${outcome}`);
  }
});
