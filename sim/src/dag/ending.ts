/** When a run is over: everything that was taken is final everywhere, and nobody holds more than the rules allow. */
import { LIMITS } from '@itc/core/ledger/limits.js';
import { isTurnDue } from './chain-view.ts';
import { Violation, type Checks } from './checks.ts';
import type { MainChain } from './main-chain.ts';
import type { DagNode } from './node.ts';

export class Ending {
  readonly #chain: MainChain;
  readonly #checks: Checks;
  readonly #actors: readonly (DagNode | undefined)[];
  /** Honest nodes that decide now. */
  readonly #honest: () => number[];
  readonly #hasTurns: boolean;
  readonly #hasValue: boolean;
  /** Accepted when all faults were over: those have to become final. */
  readonly #waits: ReadonlySet<string>;

  constructor(options: {
    readonly chain: MainChain;
    readonly checks: Checks;
    readonly actors: readonly (DagNode | undefined)[];
    readonly honest: () => number[];
    readonly hasTurns: boolean;
    readonly hasValue: boolean;
  }) {
    this.#chain = options.chain;
    this.#checks = options.checks;
    this.#actors = options.actors;
    this.#honest = options.honest;
    this.#hasTurns = options.hasTurns;
    this.#hasValue = options.hasValue;
    this.#waits = new Set(options.checks.unkept);
  }

  isComplete(): boolean {
    if (this.#checks.undecided > 0) return false;
    if (this.#hasTurns && isTurnDue(this.#chain, this.#chain.state)) return false;
    if (this.#hasValue && this.#credited < this.#chain.deposits.length) return false;
    const { awaited } = this.#checks;
    if (!this.#honest().every((node) => (this.#actors[node]?.member.anchors.head ?? 0) >= awaited))
      return false;
    return this.#waits.size === 0 || !this.#checks.unkept.some((hash) => this.#waits.has(hash));
  }

  get #credited(): number {
    return this.#chain.committed.at(-1)?.certificate.checkpoint.value?.deposits ?? 0;
  }

  /** Each member's own account of what it waits for. */
  whatIsMissing(afterMs: number): string {
    const lines = this.#honest().map((node) => {
      const { reason, checkpoint, pending, accepted, round, unsolid, missing } = (
        this.#actors[node] as DagNode
      ).member.status();
      return (
        `member ${node} at checkpoint ${checkpoint}: ${pending} pending, ${accepted} accepted, ` +
        `${unsolid} unsolid, ${missing} missing, round ${round}, ${reason ?? 'no reason'}`
      );
    });
    const { undecided, unkept } = this.#checks;
    const kept = unkept.filter((hash) => this.#waits.has(hash)).length;
    for (const [id, { payload, gateway, at }] of this.#checks.expected) {
      if (this.#checks.isDecided(id)) continue;
      const outcome = this.#actors[gateway]?.member.payloadOutcome(payload) ?? 'gone';
      lines.push(
        `payload ${id.slice(0, 8)} (${payload.contentType}) of ${at} ms at node ${gateway}: ${outcome}`,
      );
    }
    lines.unshift(
      `${undecided} payloads undecided, ${kept} accepted envelopes not final, ` +
        `${this.#chain.deposits.length - this.#credited} deposits not credited`,
    );
    return `not everything is final ${afterMs} ms after healing\n${lines.join('\n')}`;
  }

  /** Whatever was sent, nobody holds more than the rules allow. */
  checkBounds(): void {
    for (const node of this.#honest()) {
      const { pending, unsolid, missing, tips } = (this.#actors[node] as DagNode).member.status();
      const held = { pending, unsolid, missing, tips };
      const within =
        pending <= LIMITS.pendingEnvelopesMax &&
        unsolid <= LIMITS.unsolidEnvelopesMax &&
        missing <= LIMITS.missingMax &&
        tips <= LIMITS.subnetLanesMax + this.#actors.length;
      if (!within) throw new Violation(`member ${node} holds too much: ${JSON.stringify(held)}`);
    }
  }
}
