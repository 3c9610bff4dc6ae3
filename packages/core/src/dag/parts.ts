/** Putting a member together, for its first members and for others that take their place (spec DAG-14). */
import { turnEndAfter } from '../ledger/member-turns.ts';
import { Accusations } from './accusations.ts';
import type { Effects, MemberOptions, Timing } from './effects.ts';
import { Follow } from './follow.ts';
import { Graph, type GraphPast } from './graph.ts';
import { Intake } from './intake.ts';
import type { MemberParts } from './report.ts';
import { NONE } from './slab.ts';
import { Solidifier } from './solidify.ts';
import { indexOfMember, type MemberTurn } from './turn.ts';
import type { VerifiedEnvelope } from './verify.ts';

type Renewed = Omit<MemberParts, 'follow'>;

function renewed(options: MemberOptions, timing: Timing, past?: GraphPast): Renewed {
  const { members, self } = options;
  const graph = new Graph({ ...options, ...(past === undefined ? {} : { past }) });
  const solidifier = new Solidifier({ members: members.length, self, timing });
  const accusations = new Accusations(graph, self);
  return {
    options,
    graph,
    solidifier,
    accusations,
    intake: new Intake(graph, solidifier, accusations, self),
  };
}

/** `turned` is told of each turn in the moment in which its checkpoint has been applied. */
export function assemble(
  options: MemberOptions,
  timing: Timing,
  turned: (turn: MemberTurn, effects: Effects) => void,
): MemberParts {
  const parts = renewed(options, timing);
  return { ...parts, follow: new Follow(options, parts.graph, parts.solidifier, turned) };
}

/** Goes on with other members; gives the own envelopes that were not final. What the main chain tells is not touched. */
export function renew(parts: MemberParts, timing: Timing, turn: MemberTurn): VerifiedEnvelope[] {
  const { graph, options, follow } = parts;
  const { lanes, anchors, finals } = graph;
  const givenUp = ownPending(graph, options.self);
  const { members } = turn;
  const own = options.own ?? options.members[options.self]?.key;
  const self = own === undefined ? -1 : indexOfMember(members, own);
  const past = { lanes, anchors, finals, since: turn.first - 1 };
  const { accusations } = parts;
  Object.assign(parts, renewed({ ...options, members, self }, timing, past));
  parts.accusations.carryOver(accusations, options.members, members);
  follow.rebind(parts.options, parts.graph, parts.solidifier);
  return givenUp;
}

function ownPending({ slab }: Graph, self: number): VerifiedEnvelope[] {
  const own: VerifiedEnvelope[] = [];
  for (let place = slab.first; place !== NONE; place = slab.next[place] as number)
    if (slab.issuer[place] === self && (slab.payloads[place] as number) > 0) own.push(slab.envelope(place));
  return own;
}

/** Whether a member whose last checkpoint is this one goes by the same members as we do, as far as we can know. */
export function isOfTurn(options: MemberOptions, graph: Graph, checkpoint: number): boolean {
  if (options.turnAfter === undefined) return true;
  return checkpoint >= graph.since && checkpoint < turnEndAfter(graph.anchors.head);
}
