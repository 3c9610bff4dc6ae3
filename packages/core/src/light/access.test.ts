import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../bytes/hex.ts';
import { asHash, hashTagged, type Hash } from '../crypto/hash.ts';
import { StateTree, type StateChange } from '../crypto/state-tree.ts';
import { groupId } from '../ledger/bodies/access.ts';
import { encodeCommand, type Action } from '../ledger/command.ts';
import { millis } from '../ledger/ids.ts';
import { ACTIONS, LEVEL_MAX } from '../ledger/terms.ts';
import type { DelegationRecord, GrantRecord, GroupRecord } from '../state/access-record.ts';
import type { Device } from '../state/device-record.ts';
import { delegationKey, deviceKey, grantKey, groupKey, stateKeyHash } from '../state/keys.ts';
import { NO_DEPOSIT } from '../state/record-deposit.ts';
import { encodeRecord } from '../state/records.ts';
import { ChainBuilder, GENESIS_TIME, signedPayload, world } from '../testing/chain.ts';
import { delegationBelow, grantBy, ownedDevice } from '../testing/devices.ts';
import {
  installNativeSha256,
  keyPair,
  rememberingVerifier,
  verifyQuickly,
  type KeyPair,
} from '../testing/keys.ts';
import {
  decodeAccessProof,
  encodeAccessProof,
  proveAccess,
  type AccessPath,
  type AccessProof,
} from './access-proof.ts';
import { judgeAccess, judgeShown } from './access.ts';
import { verifyCommand } from './command.ts';
import { ReplayWindows } from './replay.ts';
import { encodeLightStream } from './stream.ts';
import { accessKeys, followStream, shownBy, verifyStreamedCommand, type Followed } from './stream-access.ts';
import { encodeTrust, trustGenesis } from './trust.ts';
import { UseCounts } from './use-counts.ts';

installNativeSha256();

const home = world();
const verify = rememberingVerifier(verifyQuickly);
const [lamp, owner, a, b, c, stranger] = [60, 61, 62, 63, 64, 65].map((n) => keyPair(n)) as [
  KeyPair,
  KeyPair,
  KeyPair,
  KeyPair,
  KeyPair,
  KeyPair,
];
const NOW = millis(GENESIS_TIME + 10_000);
const ROOM = groupId(owner.address, 'room');
const ON: Action = { kind: 'on' };
const level = (value: number): Action => ({ kind: 'level', level: value });

/** Records under one header. */
class House {
  readonly #changes: StateChange[] = [];

  constructor(device: Partial<Device> = {}) {
    for (let i = 0; i < 20; i += 1)
      this.#changes.push({ key: hashTagged('stateKey', Uint8Array.of(i)), value: Uint8Array.of(i) });
    const record = ownedDevice({ key: lamp.key, owner: owner.address, at: home.genesis.time, ...device });
    this.#put(stateKeyHash(deviceKey(lamp.address)), encodeRecord('device', record));
  }

  grant(to: KeyPair, changes: Partial<GrantRecord> = {}, scope: Uint8Array = lamp.address): this {
    const record = grantBy(owner.address, NOW, changes);
    return this.#put(stateKeyHash(grantKey(scope, to.address)), encodeRecord('grant', record));
  }

  delegation(
    from: KeyPair,
    to: KeyPair,
    below: number,
    changes: Partial<DelegationRecord> = {},
    scope: Uint8Array = lamp.address,
  ): this {
    const key = stateKeyHash(delegationKey(scope, to.address, from.address));
    return this.#put(key, encodeRecord('delegation', delegationBelow(below, NOW, changes)));
  }

  room(changes: Partial<GroupRecord> = {}, by: KeyPair = owner): this {
    const record: GroupRecord = {
      name: 'room',
      place: true,
      devices: [{ device: lamp.address, transfers: 0 }],
      serial: 77,
      deposit: NO_DEPOSIT,
      ...changes,
    };
    return this.#put(stateKeyHash(groupKey(by.address, ROOM)), encodeRecord('group', record));
  }

  #put(key: Hash, value: Uint8Array): this {
    this.#changes.push({ key, value });
    return this;
  }

  access(subject: KeyPair, path: AccessPath = { granters: [] }): AccessProof {
    const tree = StateTree.empty.update(this.#changes);
    const { block, certificate } = new ChainBuilder(home).append([], { stateRoot: tree.root });
    const who = { device: lamp.address, subject: subject.address };
    const proof = proveAccess({ tree, header: block.header, certificate, ...who, path });
    if (proof === undefined) throw new Error('the path leads nowhere');
    return proof;
  }

  /** What the lamp says to a command of a subject who shows this path: by a proof, and the same by a stream. */
  judge(subject: KeyPair, action: Action = ON, path: AccessPath = { granters: [] }, at = NOW): string {
    const verdict = judged(this.access(subject, path), subject, action, at);
    const shown = shownBy(this.follow(subject, path));
    const question = { device: lamp.address, signer: subject.address, action, now: at };
    const streamed = judgeShown({ ...question, shown });
    assert.equal(streamed.ok ? 'ok' : streamed.code, verdict, 'the stream shows the same');
    return verdict;
  }

  stream(subject: KeyPair, path: AccessPath = { granters: [] }): Uint8Array {
    const tree = StateTree.empty.update(this.#changes);
    const { block, certificate } = new ChainBuilder(home).append([], { stateRoot: tree.root });
    const who = { device: lamp.address, owner: owner.address, subject: subject.address };
    const keys = accessKeys({ ...who, ...(subject !== owner && { path }) });
    const valueAt = new Map(this.#changes.map(({ key, value }) => [toHex(key), value]));
    const items = keys.map((key) => {
      const value = valueAt.get(toHex(stateKeyHash(key)));
      return { kind: 'state', key, ...(value && { value }), proof: tree.prove(stateKeyHash(key)) } as const;
    });
    const trusted = home.validators.set;
    return encodeLightStream({ trusted, hops: [], header: block.header, certificate, items });
  }

  follow(subject: KeyPair, path?: AccessPath): Followed {
    const stream = this.stream(subject, path);
    const followed = followStream({ trust: encodeTrust(trustGenesis(home.genesis)), stream, verify });
    assert.ok(followed.ok);
    return followed.value;
  }
}

function judged(access: AccessProof, signer: KeyPair, action: Action = ON, now = NOW): string {
  const verdict = judgeAccess({ access, device: lamp.address, signer: signer.address, action, now });
  return verdict.ok ? 'ok' : verdict.code;
}

const via = (...granters: readonly KeyPair[]): AccessPath => ({
  granters: granters.map(({ address }) => address),
});
const inRoom = (...granters: readonly KeyPair[]): AccessPath => ({ group: ROOM, ...via(...granters) });

test('LIGHT-12.1: a device that was reported stolen, or retired, obeys nobody, not even its owner', () => {
  for (const state of ['stolen', 'retired'] as const) {
    const house = new House({ state }).grant(a);
    assert.equal(house.judge(a), state);
    assert.equal(house.judge(owner), state);
    assert.equal(house.judge(stranger), state);
  }
});

test('LIGHT-12.2: a grant counts while its owner is, for the ownership it was given under', () => {
  assert.equal(new House({ transfers: 3 }).grant(a, { basis: 3 }).judge(a), 'ok');
  assert.equal(new House({ transfers: 3 }).grant(a, { basis: 2 }).judge(a), 'not-granted');
  assert.equal(
    new House({ transfers: 3 }).grant(a, { basis: 3, granter: b.address }).judge(a),
    'not-granted',
  );
});

test('LIGHT-12.3: range of colour temperature, hours of the week', () => {
  const kelvin = (value: number): Action => ({ kind: 'colour-temperature', kelvin: value });
  const coloured = new House().grant(a, { actions: ACTIONS.colour, colour: { min: 2200, max: 4000 } });
  assert.deepEqual(
    [2200, 4000, 2199, 4001].map((value) => coloured.judge(a, kelvin(value))),
    ['ok', 'ok', 'not-allowed', 'not-allowed'],
  );
  assert.equal(coloured.judge(a, ON), 'not-allowed');
  const minute = Math.floor(NOW / 60_000) % 1440;
  const at = (from: number): string =>
    new House()
      .grant(a, {
        schedule: { utcOffset: 0, windows: [{ days: 127, from: from % 1440, to: ((from + 9) % 1440) + 1 }] },
      })
      .judge(a);
  assert.deepEqual([at(minute), at(minute + 60)], ['ok', 'off-schedule']);
});

test('LIGHT-12.4: what is granted for a group goes for the devices in it, under the owner and ownership they were put in by', () => {
  const grant = { basis: 77 };
  assert.equal(new House().room().grant(a, grant, ROOM).judge(a, ON, inRoom()), 'ok');
  assert.equal(new House().room({ devices: [] }).grant(a, grant, ROOM).judge(a, ON, inRoom()), 'not-granted');
  assert.equal(
    new House({ transfers: 1 }).room().grant(a, grant, ROOM).judge(a, ON, inRoom()),
    'not-granted',
    'sold and bought back',
  );
  assert.equal(new House().room({ serial: 78 }).grant(a, grant, ROOM).judge(a, ON, inRoom()), 'not-granted');
});

test('LIGHT-12.4: attack: a stranger’s group that names the lamp, and a grant for a group shown as one for the lamp', () => {
  const devices = [{ device: lamp.address, transfers: 0 }];
  const foreign = new House()
    .room({ devices }, stranger)
    .room()
    .grant(a, { basis: 77, granter: stranger.address }, ROOM);
  assert.equal(foreign.judge(a, ON, inRoom()), 'not-granted');
  // The record is looked for under the lamp's owner: one that lies elsewhere proves nothing.
  const good = new House().room().grant(a, { basis: 77 }, ROOM).access(a, inRoom());
  const other = new House().room({ devices }, stranger).grant(a, { basis: 77 }, ROOM);
  assert.throws(() => other.access(a, inRoom()));
  const { group: _, ...asDevice } = good;
  assert.equal(judged(asDevice, a), 'proof');
  assert.equal(
    judged(
      { ...good, group: { ...(good.group as NonNullable<typeof good.group>), id: asHash(lamp.address) } },
      a,
    ),
    'proof',
  );
});

/** Owner to a, a to b, b to c; serials 1, 2, 3. */
const chained = (
  o: {
    top?: Partial<GrantRecord>;
    first?: Partial<DelegationRecord>;
    second?: Partial<DelegationRecord>;
  } = {},
): House =>
  new House()
    .grant(a, { delegable: 3, ...o.top })
    .delegation(a, b, 1, { delegable: 2, ...o.first })
    .delegation(b, c, 2, { via: a.address, ...o.second });

test('LIGHT-12.5: a chain allows what every link of it does, at every link', () => {
  const house = chained({ first: { levelMax: 60 }, second: { levelMax: 30 } });
  assert.deepEqual(
    [house.judge(a, level(100)), house.judge(b, level(60), via(a)), house.judge(c, level(30), via(a, b))],
    ['ok', 'ok', 'ok'],
  );
  assert.equal(house.judge(c, level(31), via(a, b)), 'not-allowed');
  // A link that was narrowed after others hung below it narrows them.
  assert.equal(chained({ top: { levelMax: 10 } }).judge(c, level(11), via(a, b)), 'not-allowed');
  assert.equal(chained({ first: { expiresAt: NOW } }).judge(c, ON, via(a, b)), 'not-granted');
});

test('LIGHT-12.5: attack: links that do not hang on each other, go deeper than was allowed, or are passed on from a rental', () => {
  const broken: readonly House[] = [
    chained({ top: { serial: 9 } }),
    chained({ first: { serial: 9 } }),
    chained({ second: { basis: 1 } }),
    chained({ second: { via: undefined } }),
    chained({ second: { via: stranger.address } }),
    chained({ first: { via: stranger.address } }),
    chained({ first: { delegable: 3 } }),
    chained({ top: { delegable: 1 } }),
    chained({ top: { rental: asHash(new Uint8Array(32)) } }),
    chained({ top: { granter: stranger.address } }),
  ];
  for (const [i, house] of broken.entries())
    assert.equal(house.judge(c, ON, via(a, b)), 'not-granted', `${i}`);
  assert.equal(chained().judge(c, ON, via(a, b)), 'ok');
});

test('LIGHT-12.5: attack: somebody else’s chain, a chain with a link left out, a forged link', () => {
  const house = chained();
  const whole = house.access(c, via(a, b));
  assert.equal(judged(whole, stranger), 'proof');
  assert.equal(judged({ ...whole, delegations: whole.delegations.slice(1) }, c), 'proof');
  assert.equal(judged({ ...whole, delegations: whole.delegations.slice(0, 1) }, c), 'proof');
  const [first, second] = whole.delegations as [(typeof whole.delegations)[0], (typeof whole.delegations)[0]];
  const wide = encodeRecord('delegation', delegationBelow(2, NOW, { via: a.address, levelMax: LEVEL_MAX }));
  assert.equal(judged({ ...whole, delegations: [first, { ...second, record: wide }] }, c), 'proof');
  assert.equal(judged({ ...whole, delegations: [second, first] }, c), 'proof');
});

test('LIGHT-12.5: a chain through a group', () => {
  const house = new House().room().grant(a, { basis: 77, delegable: 1 }, ROOM).delegation(a, b, 1, {}, ROOM);
  assert.equal(house.judge(b, ON, inRoom(a)), 'ok');
  assert.equal(house.judge(b, level(101), inRoom(a)), 'not-allowed');
});

test('LIGHT-12.6, WIRE-9.2: proofs of chains and groups have one encoding, and a bounded size; any byte changed refuses the command', () => {
  const cases: readonly [AccessProof, KeyPair][] = [
    [chained().access(c, via(a, b)), c],
    [
      new House()
        .room()
        .grant(a, { basis: 77, delegable: 1 }, ROOM)
        .delegation(a, b, 1, {}, ROOM)
        .access(b, inRoom(a)),
      b,
    ],
  ];
  const verify = rememberingVerifier(verifyQuickly);
  for (const [proof, signer] of cases) {
    const bytes = encodeAccessProof(proof);
    assert.ok(bytes.length < 8_192, `${bytes.length} bytes`);
    const back = decodeAccessProof(bytes);
    assert.ok(back.ok);
    assert.deepEqual(back.value, proof);
    const content = encodeCommand({ device: lamp.address, action: ON, notAfter: millis(NOW + 1000) });
    const form = { device: lamp.address, contentType: 'command' as const, content, sequence: 1 };
    const command = signedPayload(home.chain, signer, form).bytes;
    const run = (access: AccessProof): string => {
      const verdict = verifyCommand({
        trust: trustGenesis(home.genesis),
        device: lamp.address,
        command,
        access,
        now: NOW,
        replay: new ReplayWindows(),
        verify,
      });
      return verdict.kind === 'accepted' ? 'accepted' : verdict.reason;
    };
    assert.equal(run(back.value), 'accepted');
    for (let i = 0; i < bytes.length; i += 3) {
      const changed = bytes.with(i, (bytes[i] as number) ^ (1 << (i % 8)));
      const read = decodeAccessProof(changed);
      if (!read.ok) continue;
      assert.equal(toHex(encodeAccessProof(read.value)), toHex(changed));
      assert.notEqual(run(read.value), 'accepted', `byte ${i}`);
    }
  }
});

test('LIGHT-12.7: a grant for so many commands is obeyed so often, by whoever uses it or what hangs below it', () => {
  const house = chained({ top: { uses: 3 }, first: { uses: 2 } });
  const uses = new UseCounts();
  let sequence = 0;
  const send = (by: KeyPair, path: AccessPath, counts: UseCounts | null = uses): string => {
    sequence += 1;
    const content = encodeCommand({ device: lamp.address, action: ON, notAfter: millis(NOW + 1000) });
    const form = { device: lamp.address, contentType: 'command' as const, content, sequence };
    const verdict = verifyCommand({
      trust: trustGenesis(home.genesis),
      device: lamp.address,
      command: signedPayload(home.chain, by, form).bytes,
      access: house.access(by, path),
      now: NOW,
      replay: new ReplayWindows(),
      ...(counts && { uses: counts }),
      verify: verifyQuickly,
    });
    return verdict.kind === 'accepted' ? 'accepted' : verdict.reason;
  };
  assert.equal(send(c, via(a, b), null), 'not-allowed', 'a device that cannot count');
  assert.deepEqual(
    [send(c, via(a, b)), send(b, via(a)), send(c, via(a, b))],
    ['accepted', 'accepted', 'used-up'],
  );
  assert.equal(send(b, via(a)), 'used-up', 'passing it on makes no more of it');
  assert.deepEqual([send(a, via()), send(a, via())], ['accepted', 'used-up']);
});

test('LIGHT-12.7: counts survive a restart in one encoding, and are forgotten when their grant has ended, not before', () => {
  const counts = new UseCounts();
  const use = (
    serial: number,
    expiresAt: number,
  ): { serial: number; uses: number; expiresAt: typeof NOW } => ({
    serial,
    uses: 9,
    expiresAt: millis(expiresAt),
  });
  for (let i = 0; i < 64; i += 1) counts.take([use(i + 1, 100 + i)], millis(1));
  assert.equal(counts.check([use(999, 500)], millis(99)), 'full');
  assert.equal(counts.check([use(5, 500)], millis(99)), 'left');
  const back = UseCounts.decode(counts.encode());
  assert.ok(back.ok);
  assert.deepEqual(back.value.encode(), counts.encode());
  assert.equal(back.value.used(5), 1);
  assert.equal(counts.check([use(999, 500)], millis(100)), 'left');
  counts.take([use(999, 500)], millis(100));
  assert.deepEqual([counts.used(1), counts.used(2), counts.size], [0, 1, 64]);
  const bytes = counts.encode();
  for (const at of [0, 1, 2, 9]) assert.ok(!UseCounts.decode(bytes.with(at, 0xff)).ok, `byte ${at}`);
});

/** One link at random: the first is the owner's grant. */
const anyLink = fc.record({
  levelMax: fc.constantFrom(10, 50, 100, 254),
  actions: fc.constantFrom(1, 2, 3),
  starts: fc.integer({ min: -3, max: 1 }),
  ends: fc.integer({ min: 0, max: 3 }),
  delegable: fc.nat(3),
  isBroken: fc.constantFrom(false, false, false, false, true),
});

test('LIGHT-12.8: property: over random chains the lamp allows exactly what a plain reference of them does, and a delegation never widens', () => {
  let allowed = 0;
  fc.assert(
    fc.property(
      fc.array(anyLink, { minLength: 1, maxLength: 4 }),
      fc.oneof(fc.constant(ON), fc.constantFrom(5, 50, 51, 200).map(level)),
      fc.integer({ min: -4, max: 4 }),
      (links, action, tick) => {
        const people = [a, b, c, stranger];
        const at = millis(NOW + 1000 * tick);
        const house = new House();
        for (const [i, link] of links.entries()) {
          const terms = {
            levelMax: link.levelMax,
            actions: link.actions,
            notBefore: millis(NOW + 1000 * link.starts),
            expiresAt: millis(NOW + 1000 * link.ends),
            ...(link.delegable > 0 && { delegable: link.delegable }),
            serial: i + 1,
          };
          if (i === 0) house.grant(a, { ...terms, basis: link.isBroken ? 5 : 0 });
          else {
            const above = i > 1 ? (people[i - 2] as KeyPair).address : undefined;
            const below = link.isBroken ? 99 : i;
            house.delegation(people[i - 1] as KeyPair, people[i] as KeyPair, below, { ...terms, via: above });
          }
        }
        // Said plainly: every link allows it now, none is broken, and each may have as many below it as it has.
        const covers = ({ actions, levelMax }: (typeof links)[number]): boolean =>
          action.kind === 'level' ? (actions & 2) !== 0 && action.level <= levelMax : (actions & 1) !== 0;
        const expected = links.every(
          (link, i) =>
            !link.isBroken &&
            covers(link) &&
            tick >= link.starts &&
            tick < link.ends &&
            (i === 0 || link.delegable < (links[i - 1] as (typeof links)[number]).delegable),
        );
        const signer = people[links.length - 1] as KeyPair;
        const path = via(...people.slice(0, links.length - 1));
        const outcome = house.judge(signer, action, path, at);
        assert.equal(outcome === 'ok', expected, outcome);
        if (outcome !== 'ok') return;
        allowed += 1;
        // Whoever stands above may do the same.
        if (links.length > 1)
          assert.equal(
            house.judge(
              people[links.length - 2] as KeyPair,
              action,
              via(...people.slice(0, links.length - 2)),
              at,
            ),
            'ok',
          );
      },
    ),
    { numRuns: 400, seed: 3 },
  );
  assert.ok(allowed > 10, `${allowed} allowed`);
});

const START = encodeTrust(trustGenesis(home.genesis));

function askedBy(
  signer: KeyPair,
  stream: Uint8Array,
  o: { readonly trust?: Uint8Array; readonly sequence?: number; readonly replay?: ReplayWindows } = {},
): ReturnType<typeof verifyStreamedCommand> {
  const content = encodeCommand({ device: lamp.address, action: ON, notAfter: millis(NOW + 60_000) });
  const { bytes } = signedPayload(home.chain, signer, {
    device: lamp.address,
    contentType: 'command',
    content,
    sequence: o.sequence ?? 1,
  });
  return verifyStreamedCommand({
    trust: o.trust ?? START,
    stream,
    device: lamp.address,
    command: bytes,
    now: NOW,
    replay: o.replay ?? new ReplayWindows(),
    uses: new UseCounts(),
    verify,
  });
}

test('LIGHT-15.1: one stream shows header and access; trust moves with it, and a replay is refused without it', () => {
  const house = new House().grant(a);
  const replay = new ReplayWindows();
  const first = askedBy(a, house.stream(a), { replay });
  assert.equal(first.kind, 'accepted');
  assert.notDeepEqual(first.trust, START);
  assert.deepEqual(first.followed?.trust, first.trust);
  const again = askedBy(a, house.stream(a), { replay, trust: first.trust });
  assert.ok(again.kind === 'refused' && again.reason === 'replayed' && again.followed === undefined);
  const next = askedBy(a, house.stream(a), { replay, trust: first.trust, sequence: 2 });
  assert.equal(next.kind, 'accepted', 'under the header that is believed already');
});

test('LIGHT-15.2: records of somebody else, left out, or of another house show nothing', () => {
  const reasonOf = (verdict: ReturnType<typeof askedBy>): string =>
    verdict.kind === 'refused' ? verdict.reason : 'ok';
  const house = new House().grant(a);
  assert.equal(reasonOf(askedBy(b, house.stream(a))), 'proof', 'a stream of another signer');
  assert.equal(reasonOf(askedBy(a, house.stream(owner))), 'proof', 'the owner’s, who needs no grant');
  assert.equal(reasonOf(askedBy(stranger, house.stream(stranger))), 'not-granted');
  assert.equal(reasonOf(askedBy(owner, house.stream(a))), 'proof', 'the grant is one too many');
  const elsewhere = new House().room().grant(b, { basis: 77 }, ROOM).stream(b, { group: ROOM, granters: [] });
  assert.equal(reasonOf(askedBy(b, elsewhere)), 'ok');
  assert.equal(reasonOf(askedBy(a, elsewhere)), 'proof');
});

test('LIGHT-15.3: whatever is changed in a stream, or cut off, nobody is obeyed by it, and trust does not move to it', () => {
  const stream = new House().grant(a).stream(a);
  for (let i = 0; i < stream.length; i += 3) {
    const broken = askedBy(a, stream.with(i, (stream[i] as number) ^ (1 << (i % 8))));
    assert.equal(broken.kind, 'refused', `byte ${i}`);
    assert.ok(i < 400 || askedBy(a, stream.subarray(0, i)).kind === 'refused');
  }
  const cut = askedBy(a, stream.subarray(0, stream.length - 1));
  assert.ok(cut.kind === 'refused' && cut.reason === 'proof');
  assert.deepEqual(cut.trust, START);
});
