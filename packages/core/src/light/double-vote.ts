/**
 * Who signed both of two certificates (spec LIGHT-4.3). Commit votes for two hashes in one view of one height convict
 * their signer; votes in different views do not, for a correct validator may have been outvoted in between.
 */
import { equalBytes } from '../bytes/hex.ts';
import type { Certificate } from '../ledger/block.ts';
import type { Evidence } from '../ledger/evidence.ts';
import { indicesOf, type ValidatorSet } from '../ledger/validators.ts';

/** Both certificates are verified ones of the same set. In the order of the set, each ready to be a transaction. */
export function doubleVotes(set: ValidatorSet, first: Certificate, second: Certificate): Evidence[] {
  const { epoch, view, height } = first;
  if (second.epoch !== epoch || second.view !== view || second.height !== height) return [];
  if (equalBytes(first.hash, second.hash)) return [];
  const others = new Map(signaturesOf(second, set));
  const votes: Evidence[] = [];
  for (const [index, signature] of signaturesOf(first, set)) {
    const other = others.get(index);
    const culprit = set[index]?.key;
    if (other === undefined || culprit === undefined) continue;
    votes.push({
      kind: 'commit',
      culprit,
      epoch,
      view,
      height,
      first: { hash: first.hash, signature },
      second: { hash: second.hash, signature: other },
    });
  }
  return votes;
}

function signaturesOf(certificate: Certificate, set: ValidatorSet): [number, Uint8Array][] {
  const indices = indicesOf(certificate.signers, set.length) ?? [];
  return indices.flatMap((index, i): [number, Uint8Array][] => {
    const signature = certificate.signatures[i];
    return signature === undefined ? [] : [[index, signature]];
  });
}
