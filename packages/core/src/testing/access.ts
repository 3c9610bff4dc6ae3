/** What a gateway proves of access, for tests: records under a header that validators certified. */
import { StateTree, type StateChange } from '../crypto/state-tree.ts';
import type { Address } from '../ledger/address.ts';
import { proveAccess, type AccessProof } from '../light/access-proof.ts';
import { ChainBuilder, type World } from './chain.ts';

/** Under the second block of a chain whose state holds these records. */
export function accessUnder(
  home: World,
  changes: readonly StateChange[],
  of: { readonly device: Address; readonly subject: Address },
): AccessProof {
  const tree = StateTree.empty.update(changes);
  const builder = new ChainBuilder(home);
  builder.append();
  const { block, certificate } = builder.append([], { stateRoot: tree.root });
  const proof = proveAccess({ tree, header: block.header, certificate, ...of });
  if (proof === undefined) throw new Error('the records of this access cannot be proved');
  return proof;
}
