/** Whether a member knows what it has issued before (spec DAG-10.3). */
import { quorumOf } from '../ledger/validators.ts';
import type { MemberOptions } from './effects.ts';
import type { Graph } from './graph.ts';
import type { HeadsMessage } from './messages.ts';

export class OwnPast {
  isCertain: boolean;
  /** Members heard from, while it is not certain. */
  readonly #heard = new Set<number>();

  constructor(isCertain: boolean) {
    this.isCertain = isCertain;
  }

  /**
   * Starting without records, we may have issued before and forgotten it. Whoever holds an own envelope of ours tells its
   * sequence; once two thirds of the stake have spoken and all they hold is here, going on cannot equivocate.
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
    let stake = 0;
    for (const member of this.#heard) stake += members[member]?.weight ?? 0;
    if (stake >= quorumOf(members.map((member) => member.weight)).strong) this.isCertain = true;
  }

  /** Other members: what those before have told goes by other indices. */
  forgetHeard(): void {
    this.#heard.clear();
  }
}
