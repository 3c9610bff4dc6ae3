/**
 * The server's side of hops between epochs for clients that demand co-signatures: the fewest there are (spec QUANTUM-3.6). A
 * checkpoint leads from every epoch of whose co-signers enough have signed it.
 */
import type { CoSigners } from '../ledger/co-signers.ts';
import type { Header } from '../ledger/block.ts';
import { enoughOf, type CoSignature } from './co-signed-stream.ts';

/** What a way is found by. */
export interface WayHop {
  readonly header: Header;
  /** To whom it leads. */
  readonly coSigners: CoSigners;
  readonly coSignatures: readonly Pick<CoSignature, 'signer'>[];
}

/**
 * From the co-signers that are trusted to those of the last epoch the hops lead to; they ascend by it. Undefined when there is no way:
 * too few have co-signed somewhere between. Costs a comparison per pair of epochs that are not reached yet.
 */
export function coSignedWay<T extends WayHop>(
  trusted: CoSigners,
  hops: readonly T[],
): readonly T[] | undefined {
  const beyond = hops.filter(({ coSigners }) => coSigners.epoch > trusted.epoch);
  const goal = beyond.at(-1);
  if (goal === undefined) return [];
  const from = new Map<T, T | undefined>();
  let left = beyond;
  for (let layer: readonly (T | undefined)[] = [undefined]; layer.length > 0;) {
    const next: T[] = [];
    for (const start of layer) {
      const by = start?.coSigners ?? trusted;
      left = left.filter((hop) => {
        const isAbove = start === undefined || hop.header.height > start.header.height;
        if (!isAbove || hop.header.epoch < by.epoch || enoughOf(by, hop.coSignatures) === undefined)
          return true;
        from.set(hop, start);
        next.push(hop);
        return false;
      });
    }
    if (from.has(goal)) break;
    layer = next;
  }
  if (!from.has(goal)) return undefined;
  const way: T[] = [];
  for (let at: T | undefined = goal; at !== undefined; at = from.get(at)) way.unshift(at);
  return way;
}
