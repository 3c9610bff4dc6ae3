/**
 * Several gateways asked the same (spec CLIENT-14.6): which of them is newest, which lag, which lie, and whether what they show is one
 * chain. Agreement of two makes it twice as hard to pass an old answer off as new; nobody else can say what is newest (LIGHT-9.9).
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { Ok } from '@itc/core/bytes/result.js';
import { headerHash } from '@itc/core/ledger/block.js';
import {
  fault,
  type LightAnswer,
  type LightFault,
  type LightHead,
  type LightRefusal,
  type LightWant,
} from './light-request.ts';
import type { LightConflict } from './light-store.ts';

export type GatewayReport =
  /** It shows the newest header, or one the history of the newest holds, at most a block below. */
  | { readonly kind: 'agrees'; readonly gateway: string; readonly isFresh: boolean }
  /** What it shows is of the same chain, and that many blocks old. */
  | { readonly kind: 'behind'; readonly gateway: string; readonly blocks: number }
  | { readonly kind: 'failed'; readonly gateway: string; readonly fault: LightFault };

export interface Compared {
  readonly best: LightAnswer | undefined;
  readonly reports: readonly GatewayReport[];
  /** Why there is no best one. */
  readonly fault: LightFault;
  readonly conflict?: LightConflict;
  /** That showed the second header of the conflict. */
  readonly gateway?: string;
}

type Asked = Ok<LightAnswer> | LightRefusal;

/** A block that is on its way while two are asked is no lag. */
const LAG_BLOCKS = 1;

export async function compareGateways(o: {
  readonly gateways: readonly string[];
  readonly ask: (gateway: string, wants: readonly LightWant[]) => Promise<Asked>;
  /** The certified header the trust stands on, if it is known. */
  readonly believed: LightHead | undefined;
}): Promise<Compared> {
  const { gateways, ask, believed } = o;
  const asked = await Promise.all(gateways.map((gateway) => ask(gateway, [])));
  const refusals = asked.filter((answer) => !answer.ok);
  const none = refusals[0] ?? fault('unreachable', undefined, 'no gateway was asked');
  const refused = refusals.find(({ code, head }) => code === 'conflict' && head !== undefined);
  if (refused?.head !== undefined) {
    const { head: second } = refused;
    const first = believed?.header.height === second.header.height ? believed : undefined;
    return {
      best: undefined,
      reports: [],
      fault: none,
      conflict: { height: second.header.height, first, second, earlier: undefined },
      ...(refused.gateway && { gateway: refused.gateway }),
    };
  }
  const answers = asked.filter((answer) => answer.ok).map(({ value }) => value);
  const [one] = answers;
  const best = answers.reduce((a, b) => (a !== undefined && heightOf(a) >= heightOf(b) ? a : b), one);
  const reports: GatewayReport[] = [];
  for (const [i, answer] of asked.entries()) {
    const gateway = gateways[i] as string;
    if (!answer.ok || best === undefined) {
      if (!answer.ok) reports.push({ kind: 'failed', gateway, fault: withoutHead(answer) });
      continue;
    }
    const other = answer.value;
    const conflict = await contradiction(best, other, ask);
    if (conflict !== undefined) return { best: undefined, reports, fault: none, conflict, gateway };
    const blocks = heightOf(best) - heightOf(other);
    reports.push(
      blocks <= LAG_BLOCKS
        ? { kind: 'agrees', gateway, isFresh: other.isFresh }
        : { kind: 'behind', gateway, blocks },
    );
  }
  return { best, reports, fault: withoutHead(none) };
}

/** Whether the best header's history holds the other one. A gateway that cannot show it is asked no further: its header is certified. */
async function contradiction(
  best: LightAnswer,
  other: LightAnswer,
  ask: (gateway: string, wants: readonly LightWant[]) => Promise<Asked>,
): Promise<LightConflict | undefined> {
  const at = other.head.header.height;
  const hash = headerHash(other.head.header);
  if (at === heightOf(best))
    return equalBytes(headerHash(best.head.header), hash)
      ? undefined
      : { height: at, first: best.head, second: other.head, earlier: undefined };
  const shown = await ask(best.gateway, [{ kind: 'header', height: at }]);
  if (!shown.ok || shown.value.earlier === undefined) return undefined;
  const { earlier, head } = shown.value;
  if (earlier.height !== at || equalBytes(headerHash(earlier), hash)) return undefined;
  return { height: at, first: other.head, second: head, earlier };
}

function heightOf({ head }: LightAnswer): number {
  return head.header.height;
}

function withoutHead({ head: _head, ...rest }: LightRefusal): LightFault {
  return rest;
}
