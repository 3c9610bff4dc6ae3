/** Which keys act for an account, and who gives it others when all are lost (spec STATE-15). */
import { compareBytes } from '@itc/core/bytes/hex.js';
import type { KeySet } from '@itc/core/ledger/account-keys.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { Guardianship } from '@itc/core/ledger/bodies/keys.js';
import type { Body } from '@itc/core/ledger/body.js';
import { millis } from '@itc/core/ledger/ids.js';

/** From the next transaction on these act for the sender, and no other. */
export function rotateKeys(keys: KeySet): Body {
  return { kind: 'rotate-keys', keys };
}

/** Guardians in any order. */
export function setGuardians(o: Guardianship): Body {
  return { kind: 'set-guardians', ...o, guardians: o.guardians.toSorted(compareBytes) };
}

export function dropGuardians(): Body {
  return { kind: 'set-guardians', guardians: [], threshold: 0, delay: millis(0) };
}

/** By a guardian: these keys for the account that lost its own. */
export function proposeKeys(account: Address, keys: KeySet): Body {
  return { kind: 'recover', account, keys };
}

/** By the account itself, or by a guardian. */
export function vetoRecovery(account: Address): Body {
  return { kind: 'veto-recovery', account };
}

/** By anyone, once the delay is over: the keys the guardians agreed on. */
export function finishRecovery(account: Address, keys: KeySet): Body {
  return { kind: 'finish-recovery', account, keys };
}
