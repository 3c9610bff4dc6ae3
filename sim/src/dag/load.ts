/** What devices bring to gateways, and bring again when theirs is gone. */
import { payloadOf } from './payloads.ts';
import type { Payload } from '@itc/core/ledger/payload.js';
import type { Random } from '../random.ts';
import type { World } from '../world.ts';
import type { Checks } from './checks.ts';
import { DEVICES } from './liar.ts';
import type { MainChain } from './main-chain.ts';
import type { DagNode } from './node.ts';
import type { Turns } from './turns.ts';
import type { Value } from './value.ts';

/** A device whose gateway is gone sends again, to another. */
const RESEND_MS = 2_000;
const VALUE_EVERY_MS = 150;
const TURN_EVERY_MS = 1_200;

export interface LoadOptions {
  readonly chain: MainChain;
  readonly world: World<Uint8Array>;
  readonly checks: Checks;
  readonly actors: readonly (DagNode | undefined)[];
  readonly turns: Turns | undefined;
  readonly value: Value | undefined;
  /** Of first members. */
  readonly count: number;
  readonly durationMs: number;
  readonly isByzantine: (node: number) => boolean;
  /** Nodes that decide now. */
  readonly members: () => number[];
  /** For all but devices, which have their own. */
  readonly random: Random;
}

export class Load {
  readonly #o: LoadOptions;

  constructor(options: LoadOptions) {
    this.#o = options;
  }

  /** Devices send to one gateway, sometimes to two: the same payload then travels twice. */
  feedDevices(random: Random): void {
    const { chain, world, count, durationMs } = this.#o;
    const sequences = Array.from({ length: DEVICES }, () => 0);
    const everyMs = random.pick([30, 100, 400]);
    for (let at = 100; at < durationMs; at += random.between(1, 2 * everyMs)) {
      const device = random.below(sequences.length);
      sequences[device] = (sequences[device] as number) + 1;
      const payload = payloadOf(chain.id, device, sequences[device] as number);
      const gateways = random.chance(0.1)
        ? [random.below(count), random.below(count)]
        : [random.below(count)];
      world.clock.at(at, () => {
        for (const gateway of gateways) this.#hand(payload, gateway);
      });
    }
  }

  /** What holders of value and of stake do; `wipe` takes a member's disk away, once. */
  feedExtras(wipe: (() => void) | undefined): void {
    const { world, random, value, turns, count, durationMs } = this.#o;
    const { clock, tally } = world;
    for (let at = 50; value !== undefined && at < durationMs; at += random.between(1, 2 * VALUE_EVERY_MS))
      clock.at(at, () => {
        for (const { payload, gateways } of value.act(world.now))
          for (let i = 0; i < gateways; i += 1) this.#hand(payload, random.below(count));
      });
    for (let at = 300; turns !== undefined && at < durationMs; at += random.between(1, 2 * TURN_EVERY_MS))
      clock.at(at, () => tally.add(turns.act()));
    if (turns === undefined && wipe === undefined) return;
    if (wipe !== undefined) clock.at(random.between(1_000, durationMs - 1_000), wipe);
    const resend = (): void => {
      this.#sendAgain();
      clock.after(RESEND_MS, resend);
    };
    clock.after(RESEND_MS, resend);
  }

  /** A device finds one that is a member and means to stay; whoever is down does not answer. */
  #hand(payload: Payload, among: number): void {
    const { turns, world, actors, checks, isByzantine } = this.#o;
    let gateway = among;
    if (turns !== undefined) {
      const { staying, members } = turns;
      const open = members.filter((node) => staying.includes(node));
      gateway = open[among % open.length] ?? among;
    }
    if (!world.isUp(gateway)) return;
    actors[gateway]?.accept(payload);
    if (!isByzantine(gateway)) checks.expect(payload, gateway, world.now);
  }

  /** What a gateway has taken and is no more there for: it has left the subnet, or has lost its disk. */
  #sendAgain(): void {
    const { world, actors, checks, random, isByzantine } = this.#o;
    const members = this.#o.members();
    for (const [id, expected] of checks.expected) {
      const { payload, gateway } = expected;
      const isGone = !members.includes(gateway) || checks.wiped.has(gateway);
      if (!isGone || checks.isDecided(id)) continue;
      const others = members.filter(
        (node) => !isByzantine(node) && !checks.wiped.has(node) && world.isUp(node),
      );
      const [other] = random.shuffle(others);
      if (other === undefined) return;
      expected.gateway = other;
      actors[other]?.accept(payload);
    }
  }
}
