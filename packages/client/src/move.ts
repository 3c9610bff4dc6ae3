/**
 * From one subnet to another (spec SUBNET-9): what a holder has leaves the first by an order, is fetched on the main chain by its
 * proof, and is deposited into the second. Each step can be seen on the chain, so whoever was interrupted calls again: what
 * waits on the main chain is fetched first, and only what is inside is ordered out.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { Body } from '@itc/core/ledger/body.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount, millis, type Amount } from '@itc/core/ledger/ids.js';
import { parseHash, type Client } from './client.ts';
import { systemClock, type Clock } from './clock.ts';
import type { Signer } from './keys.ts';
import { buildOrder, judgeBalance } from './value.ts';

export type MoveStep =
  /** The order is in the first subnet's DAG. */
  | { readonly step: 'ordered'; readonly payload: string; readonly amount: Amount }
  /** It is final: the value waits on the main chain. */
  | { readonly step: 'left'; readonly checkpoint: number }
  | { readonly step: 'fetched'; readonly height: number; readonly amount: Amount }
  | { readonly step: 'deposited'; readonly height: number; readonly amount: Amount }
  /** Spendable in the second subnet. */
  | { readonly step: 'arrived'; readonly balance: Amount; readonly checkpoint: number };

export interface Movement {
  readonly chain: Hash;
  readonly from: Hash;
  readonly to: Hash;
  /** Asks members of both; a devnet's front, or a client of each. */
  readonly fromClient: MoveClient;
  readonly toClient: MoveClient;
  /** Signs the order: whose balance it is. */
  readonly holder: Signer;
  /** Greater than every sequence number before of this signer, as for `buildOrder`. */
  readonly sequence: number;
  /** All of the balance when left out. */
  readonly amount?: Amount;
  /** Account through which it goes on the main chain, and that pays the fees. */
  readonly payer: Address;
  /** Sends a transaction of the payer and resolves when it is final. */
  readonly send: (body: Body) => Promise<{ readonly height: number }>;
  readonly onStep?: (step: MoveStep) => void;
  /** Of the order: after it the move ends without effect. A minute when left out. */
  readonly validMs?: number;
  readonly timeoutMs?: number;
  readonly clock?: Clock;
}

export type MoveClient = Pick<
  Client,
  'sendOrder' | 'waitForLevel' | 'subnetWithdrawals' | 'subnetBalance' | 'subnetMembers'
>;

const TIMEOUT_MS = 120_000;
const PAUSE_MS = 250;

/**
 * Resolves with what arrived. Throws `not-found` when there is nothing to move, `withdrawal.unknown` when the order was
 * ignored (for its reason), `peer.timeout` when a step takes too long: then nothing is lost, and calling again goes on.
 */
export async function moveBalance(o: Movement): Promise<Amount> {
  const { onStep = () => undefined } = o;
  const ordered = await orderOut(o, onStep);
  const fetched = await fetchWithdrawals(o, onStep);
  const total = amount(fetched);
  if (total === 0n)
    throw new LedgerError(
      'not-found',
      ordered ? 'the withdrawal was fetched by somebody else' : 'there is nothing to move',
    );
  const before = await balanceIn(o.toClient, o.to, o.holder.address);
  const deposit: Body = { kind: 'deposit', subnet: o.to, to: o.holder.address, amount: total };
  const { height } = await o.send(deposit);
  onStep({ step: 'deposited', height, amount: total });
  await arrive(o, before + total, onStep);
  return total;
}

async function orderOut(o: Movement, onStep: (step: MoveStep) => void): Promise<boolean> {
  const inside = await balanceIn(o.fromClient, o.from, o.holder.address);
  const value = o.amount ?? amount(inside);
  if (inside === 0n && o.amount === undefined) return false;
  const clock = o.clock ?? systemClock;
  const order = await buildOrder({
    chain: o.chain,
    subnet: o.from,
    signer: o.holder,
    sequence: o.sequence,
    order: {
      kind: 'withdraw',
      to: o.payer,
      amount: value,
      expiresAt: millis(clock.now() + (o.validMs ?? 60_000)),
    },
  });
  const payload = await o.fromClient.sendOrder(o.from, order);
  const wait = { timeoutMs: o.timeoutMs ?? TIMEOUT_MS };
  await o.fromClient.waitForLevel({ subnet: o.from, payload, level: 0 }, wait);
  onStep({ step: 'ordered', payload: toHex(payload), amount: value });
  const status = await o.fromClient.waitForLevel({ subnet: o.from, payload, level: 3 }, wait);
  if (status.state === 'ignored')
    throw new LedgerError(
      'withdrawal.unknown',
      `nothing left the subnet: ${status.reason ?? status.code ?? 'ignored'}`,
    );
  onStep({ step: 'left', checkpoint: status.checkpoint ?? 0 });
  return true;
}

/** All that waits for the payer, also of an earlier call. */
async function fetchWithdrawals(o: Movement, onStep: (step: MoveStep) => void): Promise<bigint> {
  let sum = 0n;
  for (const waiting of (await o.fromClient.subnetWithdrawals(o.from, o.payer)).withdrawals) {
    const { height } = await o.send(withdrawalBody(o.from, o.payer, waiting));
    sum += BigInt(waiting.amount);
    onStep({ step: 'fetched', height, amount: amount(BigInt(waiting.amount)) });
  }
  return sum;
}

/** The transaction that fetches one; anybody may send it, the receiver is in the leaf. */
export function withdrawalBody(
  subnet: Hash,
  to: Address,
  waiting: {
    readonly checkpoint: number;
    readonly number: number;
    readonly amount: string;
    readonly path: readonly string[];
  },
): Body {
  const { checkpoint, number, path } = waiting;
  const withdrawal = { number, to, amount: amount(BigInt(waiting.amount)) };
  return { kind: 'withdraw', subnet, checkpoint, withdrawal, path: path.map(parseHash) };
}

async function balanceIn(client: MoveClient, subnet: Hash, holder: Address): Promise<bigint> {
  try {
    const judged = judgeBalance(holder, await client.subnetBalance(subnet, holder));
    if (judged === undefined) throw new LedgerError('peer.message', 'the proof of the balance does not hold');
    return judged.balance;
  } catch (error) {
    // Before its first checkpoint nobody has anything in a subnet.
    if (error instanceof LedgerError && error.code === 'not-found') return 0n;
    throw error;
  }
}

async function arrive(o: Movement, expected: bigint, onStep: (step: MoveStep) => void): Promise<void> {
  const clock = o.clock ?? systemClock;
  const end = clock.now() + (o.timeoutMs ?? TIMEOUT_MS);
  for (;;) {
    const balance = await balanceIn(o.toClient, o.to, o.holder.address);
    if (balance >= expected) {
      const { checkpoint } = await o.toClient.subnetMembers(o.to);
      onStep({ step: 'arrived', balance: amount(balance), checkpoint });
      return;
    }
    if (clock.now() > end)
      throw new LedgerError(
        'peer.timeout',
        'the deposit is final, and the second subnet has not credited it yet',
      );
    await clock.sleep(PAUSE_MS);
  }
}
