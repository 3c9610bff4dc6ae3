/** Payments that go on by themselves (spec STATE-20), and many obligations made into few transfers. */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { StreamTerms } from '@itc/core/ledger/bodies/stream.js';
import type { Body } from '@itc/core/ledger/body.js';
import { amount, millis, type Amount } from '@itc/core/ledger/ids.js';

export { streamId } from '@itc/core/ledger/bodies/stream.js';

/** The greatest time there is: until the money is used up. */
const FOREVER = millis(Number.MAX_SAFE_INTEGER);

/** From now on and until the money is used up, without notice, unless told otherwise. */
export function openStream(
  o: Pick<StreamTerms, 'number' | 'payee' | 'rate' | 'amount'> & Partial<StreamTerms>,
): Body {
  return {
    kind: 'open-stream',
    number: o.number,
    payee: o.payee,
    rate: o.rate,
    period: o.period ?? 1,
    amount: o.amount,
    start: o.start ?? millis(0),
    end: o.end ?? FOREVER,
    notice: o.notice ?? 0,
    device: o.device,
  };
}

export function fundStream(stream: Hash, value: Amount): Body {
  return { kind: 'fund-stream', stream, amount: value };
}

export function settleStream(stream: Hash): Body {
  return { kind: 'settle-stream', stream };
}

export function closeStream(stream: Hash): Body {
  return { kind: 'close-stream', stream };
}

export interface Obligation {
  readonly from: Address;
  readonly to: Address;
  readonly amount: Amount;
}

/**
 * Transfers that leave everybody as well off as the obligations would: one fewer than there are parties at most, since each of
 * them settles what one side owes or is owed. Greatest debts first, so that the same obligations always give the same transfers.
 */
export function netted(obligations: readonly Obligation[]): readonly Obligation[] {
  const parties = new Map<string, { readonly address: Address; owed: bigint }>();
  const add = (address: Address, value: bigint): void => {
    const name = toHex(address);
    const party = parties.get(name);
    if (party === undefined) parties.set(name, { address, owed: value });
    else party.owed += value;
  };
  for (const { from, to, amount: value } of obligations) {
    add(from, 0n - value);
    add(to, value);
  }
  const ordered = [...parties.entries()]
    .toSorted(
      ([a, one], [b, other]) =>
        Number(other.owed > one.owed) - Number(other.owed < one.owed) || (a < b ? -1 : 1),
    )
    .map(([, party]) => party);
  const creditors = ordered.filter(({ owed }) => owed > 0n);
  const debtors = ordered.filter(({ owed }) => owed < 0n).toReversed();
  const transfers: Obligation[] = [];
  let at = 0;
  for (const debtor of debtors) {
    while (debtor.owed < 0n) {
      const creditor = creditors[at] as (typeof creditors)[number];
      const value = creditor.owed < -debtor.owed ? creditor.owed : -debtor.owed;
      transfers.push({ from: debtor.address, to: creditor.address, amount: amount(value) });
      debtor.owed += value;
      creditor.owed -= value;
      if (creditor.owed === 0n) at += 1;
    }
  }
  return transfers;
}
