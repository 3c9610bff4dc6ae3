/** Several replicas in one virtual time, with shells that propose what waits: for what only shows over many blocks. */
import type { Hash } from '../crypto/hash.ts';
import { sha256 } from '../crypto/hash.ts';
import { Writer } from '../bytes/writer.ts';
import { epoch, height, millis } from '../ledger/ids.ts';
import type { CommittedBlock, Effects, Input } from '../pbft/effects.ts';
import type { LogRecord } from '../pbft/log.ts';
import type { Candidate, Message } from '../pbft/messages.ts';
import { Replica, type EpochBase, type ReplicaStatus } from '../pbft/replica.ts';
import type { Timing } from '../pbft/timing.ts';
import { verifyMessage, type VerifyContext } from '../pbft/verify.ts';
import { CHAIN, makeBlock, validatorsOf } from './pbft.ts';

export interface ClusterOptions {
  readonly weights?: readonly number[];
  readonly timing?: Partial<Timing>;
  /** Milliseconds a message takes. */
  readonly latencyMs?: number;
  /** Requests arriving in a millisecond. */
  readonly load?: (now: number) => number;
  /** Most requests in a block, and what a proposer waits before it answers. */
  readonly blockMax?: (node: number, now: number) => number;
  readonly proposeMs?: (node: number, now: number) => number;
  /** A proposer leaves these out, and its shells report them as overdue after a second. */
  readonly censored?: { readonly by: number; readonly id: Hash };
  /** Blocks of this node break a rule. */
  readonly invalidBy?: number;
  /** Messages that do not arrive. */
  readonly lost?: (from: number, to: number, message: Message) => boolean;
  /** What the log of a node held before it started. */
  readonly restore?: (node: number) => readonly LogRecord[];
  /** The block of this height ends its epoch. */
  readonly closes?: (height: number) => boolean;
}

export const CLUSTER_TIMING: Timing = {
  viewTimeoutMs: 4_000,
  viewTimeoutMaxMs: 60_000,
  resendMs: 1_000,
  heartbeatMs: 10_000,
};

const TICK_MS = 100;
const OVERDUE_MS = 1_000;

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

interface Node {
  replica: Replica;
  base: EpochBase | undefined;
  log: LogRecord[];
  readonly delivered: CommittedBlock[];
  /** When each block was delivered. */
  readonly times: number[];
  requests: number;
  up: boolean;
  proposing: boolean;
}

export class Cluster {
  readonly weights: readonly number[];
  readonly nodes: Node[];
  /** Kind and author of everything sent to all. */
  readonly sent: { readonly at: number; readonly from: number; readonly message: Message }[] = [];
  now = 1_000_000;
  readonly #o: ClusterOptions;
  readonly #events: Event[] = [];
  readonly #invalid: Set<Hash> = new Set();
  readonly #withCensored: Set<Hash> = new Set();
  /** Requests in a block and all below it. */
  readonly #upTo: Map<Hash, number> = new Map();
  #arrived = 0;
  #order = 0;
  #salt = 0;

  constructor(options: ClusterOptions = {}) {
    this.#o = options;
    this.weights = options.weights ?? [1, 1, 1, 1];
    this.nodes = this.weights.map((_, self) => ({
      replica: this.#replica(self, 0, undefined, options.restore?.(self) ?? []),
      base: undefined,
      log: [],
      delivered: [],
      times: [],
      requests: 0,
      up: true,
      proposing: false,
    }));
    for (const self of this.nodes.keys()) this.#tickLater(self, 1 + self);
  }

  run(ms: number): this {
    const end = this.now + ms;
    for (;;) {
      const next = this.#events[0];
      if (next === undefined || next.at > end) break;
      this.#events.shift();
      this.#arrived += (this.#o.load?.(this.now) ?? 0) * (next.at - this.now);
      this.now = next.at;
      next.run();
    }
    this.now = end;
    return this;
  }

  status(node: number): ReplicaStatus {
    return (this.nodes[node] as Node).replica.status();
  }

  heightOf(node: number): number {
    return (this.nodes[node] as Node).replica.committedHeight;
  }

  /** Messages of one kind, once per sending. */
  of(kind: Message['kind']): { readonly at: number; readonly from: number; readonly message: Message }[] {
    return this.sent.filter(({ message }) => message.kind === kind);
  }

  crash(node: number): void {
    (this.nodes[node] as Node).up = false;
  }

  #replica(
    self: number,
    inEpoch: number,
    base: EpochBase | undefined,
    restore: readonly LogRecord[],
  ): Replica {
    return new Replica({
      chain: CHAIN,
      epoch: epoch(inEpoch),
      validators: validatorsOf(this.weights),
      self,
      application: { check: (block) => (this.#invalid.has(block.hash) ? 'invalid' : 'valid') },
      sign: () => new Uint8Array(64),
      random: () => self / this.weights.length,
      timing: this.#o.timing ?? CLUSTER_TIMING,
      restore,
      ...(base === undefined ? {} : { base }),
    });
  }

  #later(ms: number, run: () => void): void {
    const event: Event = { at: this.now + ms, order: (this.#order += 1), run };
    let place = this.#events.length;
    while (place > 0 && (this.#events[place - 1] as Event).at > event.at) place -= 1;
    this.#events.splice(place, 0, event);
  }

  #tickLater(self: number, ms: number): void {
    this.#later(ms, () => {
      const node = this.nodes[self] as Node;
      const { censored } = this.#o;
      const pending = Math.max(0, Math.floor(this.#arrived) - node.requests);
      const waits =
        censored !== undefined && !node.delivered.some(({ block }) => this.#withCensored.has(block.hash));
      const overdue = waits && this.now > 1_000_000 + OVERDUE_MS ? [censored.id] : [];
      this.#step(self, { kind: 'pending', count: pending + (waits ? 1 : 0), overdue });
      this.#step(self, { kind: 'tick', now: millis(this.now) });
      this.#tickLater(self, TICK_MS);
    });
  }

  #step(self: number, input: Input): void {
    const node = this.nodes[self] as Node;
    if (node.up) this.#carryOut(self, node.replica.step(input));
  }

  #carryOut(self: number, effects: Effects): void {
    const node = this.nodes[self] as Node;
    const cut = effects.persist.findLastIndex(({ kind }) => kind === 'truncate');
    if (cut >= 0) node.log = [];
    node.log.push(...effects.persist.slice(cut + 1));
    for (const { to, message } of effects.send) {
      this.sent.push({ at: this.now, from: self, message });
      for (const other of this.nodes.keys()) {
        if (other === self || (to !== 'all' && to !== other)) continue;
        if (this.#o.lost?.(self, other, message) === true) continue;
        this.#later(this.#o.latencyMs ?? 20, () => this.#receive(self, other, message));
      }
    }
    for (const committed of effects.deliver) this.#deliver(self, committed);
    for (const want of effects.want) {
      if (want.kind === 'sync') this.#sync(self, want.from);
      if (want.kind === 'proposal') this.#propose(self, want.height, want.parentHash);
    }
  }

  #receive(from: number, to: number, message: Message): void {
    const { epoch: current } = this.status(to);
    const context: VerifyContext = {
      chain: CHAIN,
      epoch: epoch(current),
      validators: validatorsOf(this.weights),
      verify: () => true,
    };
    const checked = verifyMessage(context, message);
    if (checked.ok) this.#step(to, { kind: 'message', from, message: checked.value });
  }

  #deliver(self: number, committed: CommittedBlock): void {
    const node = this.nodes[self] as Node;
    const { block } = committed;
    node.delivered.push(committed);
    node.times.push(this.now);
    node.requests = this.#upTo.get(block.hash) ?? 0;
    const stateRoot = sha256(new Writer(8).u53(block.height).finish());
    // The block is executed at once; the step that says so comes after the one that delivered.
    this.#later(0, () => {
      this.#step(self, { kind: 'executed', height: block.height, hash: block.hash, stateRoot });
      if (!block.closes) return;
      node.base = { height: block.height, hash: block.hash, stateRoot };
      node.replica = this.#replica(self, committed.certificate.epoch + 1, node.base, node.log);
      node.proposing = false;
    });
  }

  #sync(self: number, from: number): void {
    this.#later(2 * (this.#o.latencyMs ?? 20), () => {
      const peer = this.nodes[from] as Node;
      if (!peer.up) return;
      for (const { block, certificate } of peer.delivered.slice(this.heightOf(self)))
        if (certificate.epoch === this.status(self).epoch)
          this.#step(self, { kind: 'certified', block, certificate });
    });
  }

  #propose(self: number, at: number, parentHash: Hash): void {
    const node = this.nodes[self] as Node;
    if (node.proposing) return;
    node.proposing = true;
    this.#later(this.#o.proposeMs?.(self, this.now) ?? 40, () => {
      node.proposing = false;
      this.#salt += 1;
      const most = this.#o.blockMax?.(self, this.now) ?? 1_000;
      const below = this.#upTo.get(parentHash) ?? 0;
      const waiting = Math.max(0, Math.floor(this.#arrived) - below);
      const block: Candidate = {
        ...makeBlock(at, parentHash, this.#salt),
        count: Math.min(most, waiting),
        closes: this.#o.closes?.(at) === true,
      };
      this.#upTo.set(block.hash, below + block.count);
      if (this.#o.invalidBy === self) this.#invalid.add(block.hash);
      if (this.#o.censored !== undefined && this.#o.censored.by !== self) this.#withCensored.add(block.hash);
      this.#step(self, { kind: 'proposal', block });
    });
  }
}

/** Height at which every node of a cluster is at least. */
export function lowest(cluster: Cluster): number {
  return height(
    Math.min(...cluster.nodes.filter(({ up }) => up).map(({ replica }) => replica.committedHeight)),
  );
}
