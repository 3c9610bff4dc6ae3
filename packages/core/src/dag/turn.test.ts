import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../ledger/limits.ts';
import { indicesOf } from '../ledger/validators.ts';
import type { Payload } from '../ledger/payload.ts';
import { keyNamed, payloadOf, sealToy } from '../testing/dag.ts';
import { setOf, TurningSubnet } from '../testing/dag-turns.ts';
import { indexOfMember } from './turn.ts';

const T = LIMITS.memberTurnCheckpoints;
const four = setOf({ a: 10, b: 10, c: 10, d: 10 });
const five = setOf({ a: 10, b: 10, c: 10, d: 10, e: 10 });
/** Without `a`, with `e` in its place. */
const others = setOf({ b: 10, c: 10, d: 10, e: 9 });

/** Readings without end: each once, dealt out to the members in turn. */
class Load {
  readonly sent: string[] = [];
  readonly #subnet: TurningSubnet;
  #count = 0;

  constructor(subnet: TurningSubnet) {
    this.#subnet = subnet;
  }

  /** One for each of these. */
  readonly offer = (...names: string[]): void => {
    for (const name of names) {
      this.#count += 1;
      const payload: Payload = payloadOf(`device of ${name}`, this.#count);
      this.sent.push(String(payload.id));
      this.#subnet.node(name).waiting.push(payload);
    }
  };
}

/** All who are up have the same root for every checkpoint both have applied. */
function assertOneState(subnet: TurningSubnet): void {
  const roots = new Map<number, string>();
  for (const { roots: own, name, member } of subnet.nodes.values()) {
    assert.equal(member.divergence, undefined, name);
    for (const [sequence, root] of own) {
      const known = roots.get(sequence) ?? String(root);
      assert.equal(String(root), known, `checkpoint ${sequence} at ${name}`);
      roots.set(sequence, known);
    }
  }
}

test('DAG-14.1: behind the checkpoint that ends a turn the next set decides: one more, then one less, roots equal', () => {
  const subnet = new TurningSubnet(four, ['a', 'b', 'c', 'd']);
  const load = new Load(subnet);
  subnet.turns.set(T, five);
  subnet.until(T, () => load.offer('a', 'b', 'c', 'd'));
  assert.deepEqual(subnet.node('a').member.members, five);
  subnet.join('e', 'b');
  subnet.turns.set(2 * T, others);
  subnet.until(T + 4, () => load.offer('a', 'e'));
  const e = subnet.node('e').member;
  assert.equal(e.self, indexOfMember(five, keyNamed('e')));
  const signed = ({ certificate }: (typeof subnet.chain)[number]): boolean =>
    indicesOf(certificate.signers, 5)?.includes(e.self) === true;
  assert.ok(subnet.chain.slice(T).some(signed));
  subnet.until(2 * T, () => load.offer('b', 'e'));
  assert.equal(subnet.node('a').member.self, -1);
  subnet.leave('a');
  subnet.until(2 * T + 3, () => load.offer('b', 'e'));
  subnet.run(6_000);
  assertOneState(subnet);
  const { applied } = subnet.node('b');
  assert.equal(new Set(applied).size, applied.length);
  assert.deepEqual([...applied].sort(), [...load.sent].sort());
});

test('DAG-14.2: what was not final at a turn is void and given up by its issuer; an envelope of before is refused', () => {
  const subnet = new TurningSubnet(four, ['a', 'b', 'c', 'd']);
  const load = new Load(subnet);
  subnet.turns.set(T, five);
  subnet.until(T - 1, () => load.offer('a', 'b', 'c', 'd'));
  const a = subnet.node('a');
  // Its envelope reaches nobody in time.
  const late = payloadOf('late', 1);
  const [before] = [a.member.draft([late], subnet.now as never, 1)];
  assert.ok(before !== undefined);
  subnet.until(T, () => load.offer('b', 'c'));
  const { anchors } = a.member;
  assert.equal(anchors.head, T);
  const old = a.member.step({
    kind: 'own',
    envelope: sealToy(before, a.member.self, keyNamed('a')),
    now: subnet.now as never,
  });
  assert.equal(old.refused[0]?.code, 'envelope.too-old');
});

test('DAG-14.3: from its log, and from a snapshot behind a turn, a member comes back to the same root and indices', () => {
  const subnet = new TurningSubnet(four, ['a', 'b', 'c', 'd']);
  const load = new Load(subnet);
  subnet.turns.set(T, five);
  subnet.until(T + 3, () => load.offer('a', 'b', 'c', 'd'));
  const { member, log } = subnet.node('c');
  const root = member.snapshot()[0]?.bytes;
  // The main chain may have forgotten the turn by then.
  subnet.turns.clear();
  const again = subnet.start('c', log).member;
  assert.deepEqual(again.members, five);
  assert.deepEqual(again.snapshot()[0]?.bytes, root);
  const from = subnet.start('c', member.snapshot()).member;
  assert.deepEqual(from.members, five);
  assert.equal(from.self, indexOfMember(five, keyNamed('c')));
  assert.deepEqual(from.snapshot()[0]?.bytes, root);
  subnet.until(T + 5, () => load.offer('a', 'b', 'c'));
  assertOneState(subnet);
});

test('DAG-14.4: who leaves takes nothing along, who stays keeps lanes and standing under its new index', () => {
  const subnet = new TurningSubnet(four, ['a', 'b', 'c', 'd']);
  const load = new Load(subnet);
  subnet.turns.set(T, others);
  subnet.until(T, () => load.offer('a', 'b', 'c', 'd'));
  const [record] = subnet.node('b').member.snapshot();
  assert.ok(record !== undefined);
  const heads = subnet.node('b').member.finalHeads();
  assert.equal(heads.length, 3);
  subnet.leave('a');
  subnet.join('e', 'c');
  subnet.turns.set(2 * T, five);
  subnet.until(2 * T, () => load.offer('b', 'c', 'd'));
  // Who returns begins its lanes anew, under an anchor it cannot have known.
  subnet.join('a', 'b');
  subnet.until(2 * T + 6, () => load.offer('a', 'e'));
  assertOneState(subnet);
  assert.equal(subnet.node('b').member.finalHeads().length, 5);
});

test('DAG-14.5: a quiet subnet reaches the end of its turn when the main chain waits for it', () => {
  const subnet = new TurningSubnet(four, ['a', 'b', 'c', 'd']);
  const load = new Load(subnet);
  subnet.until(1, () => load.offer('a'));
  subnet.run(4_000);
  const quiet = subnet.chain.length;
  subnet.run(5_000);
  assert.equal(subnet.chain.length, quiet);
  subnet.awaited = true;
  subnet.turns.set(T, five);
  subnet.until(T);
  assert.deepEqual(subnet.node('d').member.members, five);
});

test('DAG-14.6: members come and go under load and loss: sent is final, once, with equal roots', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000_000 }), fc.double({ min: 0, max: 0.2 }), (seed, loss) => {
      const subnet = new TurningSubnet(four, ['a', 'b', 'c', 'd'], seed);
      subnet.loss = loss;
      const load = new Load(subnet);
      subnet.turns.set(T, five);
      subnet.until(T, () => load.offer('a', 'b', 'c', 'd'));
      subnet.join('e', 'd');
      subnet.turns.set(2 * T, others);
      subnet.until(2 * T - 2, () => load.offer('a', 'b', 'e'));
      // Who leaves brings to an end what it has taken.
      subnet.run(4_000);
      subnet.until(2 * T, () => load.offer('b', 'c', 'e'));
      subnet.leave('a');
      subnet.until(2 * T + 2, () => load.offer('b', 'c', 'e'));
      subnet.run(10_000);
      assertOneState(subnet);
      const lost = load.sent.filter((id) => !subnet.node('c').applied.includes(id));
      assert.deepEqual(
        lost.filter((id) => !subnet.node('a').waiting.some((payload) => String(payload.id) === id)),
        [],
      );
      const { applied } = subnet.node('c');
      assert.equal(new Set(applied).size, applied.length);
    }),
    { numRuns: 3, endOnFailure: true },
  );
});

test('DAG-13.3 DAG-14.2: a proof of forgery outlives the turn that made its envelope void, under the new index of the accused', () => {
  const subnet = new TurningSubnet(four, ['a', 'b', 'c', 'd']);
  const load = new Load(subnet);
  subnet.turns.set(T, five);
  subnet.until(T - 1, () => load.offer('a', 'b', 'c', 'd'));
  const [a, b] = [subnet.node('a'), subnet.node('b')];
  const draft = a.member.draft([payloadOf('victim', 1, 'x', true)], subnet.now as never, 1);
  assert.ok(draft !== undefined);
  const envelope = sealToy(draft, a.member.self, a.key);
  const found = subnet.step(b, { kind: 'forged', envelope, index: 0 });
  const [asked] = found.want.filter((want) => want.kind === 'accuse');
  assert.equal(asked?.kind === 'accuse' && asked.accused, indexOfMember(four, a.key));
  subnet.until(T, () => load.offer('c', 'd'));
  assert.deepEqual(b.member.members, five);
  const again = subnet.step(b, { kind: 'tick' }).want.find((want) => want.kind === 'accuse');
  assert.ok(again?.kind === 'accuse', 'nobody has barred it yet');
  assert.equal(again.accused, indexOfMember(five, a.key));
  assert.ok(b.member.bars(again.accused));
});

test('DAG-14.5: where nobody sends, a turn of checkpoints passes at the cadence, however many there were before', () => {
  const subnet = new TurningSubnet(four, ['a', 'b', 'c', 'd']);
  subnet.awaited = true;
  subnet.turns.set(T, five);
  const from = subnet.now;
  subnet.until(T);
  assert.ok(subnet.now - from < T * 2_000, `${(subnet.now - from) / T} ms for each`);
});
