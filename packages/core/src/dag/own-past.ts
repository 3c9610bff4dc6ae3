/** Whether a member knows what it has issued before, and who else does not (spec DAG-10.3). */
import { quorumOf } from '../ledger/validators.ts';
import type { MemberOptions } from './effects.ts';
import type { Graph } from './graph.ts';
import type { HeadsMessage } from './messages.ts';

/**
 * What is on its way arrives within this time, and what somebody alone holds is told to others. Not longer: where two thirds of the
 * stake do not take part without us no new checkpoint comes until we issue, and nobody else gets any further.
 */
const PATIENCE_MS = 15_000;
/** Two checkpoints are what a member waits for; some may be on their way when it begins. */
const HELPED_CHECKPOINTS = 4;

export class OwnPast {
  isCertain: boolean;
  /** Members heard from, while it is not certain. */
  readonly #heard = new Set<number>();
  /** Newest checkpoint anybody has told of. */
  #told = 0;
  /** A checkpoint that nobody had before two thirds of the stake had spoken. */
  #newAnchor: number | undefined;
  #since: number | undefined;

  constructor(isCertain: boolean) {
    this.isCertain = isCertain;
  }

  /**
   * Starting without records, we may have issued before and forgotten it. Whoever holds an own envelope of ours tells its
   * sequence; two thirds of the stake have to speak, and all they hold has to be here.
   */
  hear(
    from: number,
    message: HeadsMessage,
    { members, self }: Pick<MemberOptions, 'members' | 'self'>,
    graph: Graph,
  ): void {
    if (this.isCertain) return;
    const unknown = message.heads.some(
      (head) => head.issuer === self && head.sequence > graph.sequenceOf(self, head.lane),
    );
    if (unknown) return;
    this.#heard.add(from);
    if (self >= 0) this.#heard.add(self);
    this.#told = Math.max(this.#told, message.checkpoint);
    let stake = 0;
    for (const member of this.#heard) stake += members[member]?.weight ?? 0;
    if (stake < quorumOf(members.map((member) => member.weight)).strong) return;
    // Who signed a checkpoint has applied the one before: among two thirds is one that is at most one behind what we ever had.
    this.#newAnchor ??= this.#told + 2;
    // Before the first checkpoint nobody can tell a subnet that begins from one whose member has lost its disk.
    if (this.#told === 0 && graph.anchors.head === 0) this.isCertain = true;
  }

  /**
   * That is not enough to be safe from ourselves: what one of the others holds, or is on its way to it, nobody may have told. Under an
   * anchor that was not there before there can be no second envelope of one slot and anchor, which is what is punished
   * (STATE-24.12).
   */
  look(now: number, graph: Graph): void {
    if (this.isCertain || this.#newAnchor === undefined) return;
    this.#since ??= now;
    this.isCertain = graph.anchors.head >= this.#newAnchor || now - this.#since >= PATIENCE_MS;
  }

  /** Other members: what those before have told goes by other indices. */
  forgetHeard(): void {
    this.#heard.clear();
  }
}

/**
 * Who else waits for an anchor that is new to it. A subnet in which nobody sends makes its checkpoints for them out of empty envelopes, a
 * few for each time it is told: a liar gains no more by it than by payloads of its own.
 */
export class LostPasts {
  /** By member: the last checkpoint here when it was first told. */
  readonly #since = new Map<number, number>();

  /** Before the first checkpoint everybody begins, and nobody has lost anything. */
  hear(from: number, { uncertain, checkpoint }: HeadsMessage, head: number): void {
    if (!uncertain) this.#since.delete(from);
    else if (checkpoint > 0 && !this.#since.has(from)) this.#since.set(from, head);
  }

  areAwaiting(head: number): boolean {
    for (const since of this.#since.values()) if (head < since + HELPED_CHECKPOINTS) return true;
    return false;
  }

  /** Others decide: indices name other members. */
  forget(): void {
    this.#since.clear();
  }
}
