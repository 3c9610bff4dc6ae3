/** What a renter does step by step: tells the device, waits until the chain has the device's word, brings it if nobody does. */
import type { Client } from '@itc/client/client.js';
import { bringWord, rentalStatus, type RentalStatus } from '@itc/client/rentals.js';
import { fromHex } from '@itc/core/bytes/hex.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Wallet } from './wallet.ts';

/** A gateway that can brings the word at once. */
const CARRIER_MS = 5_000;
const POLL_MS = 200;

export interface StartedRental extends RentalStatus {
  readonly startedAt: number;
  readonly end: number;
}

/** As the ledger's event tells it; amounts are decimal texts of base units. */
export interface SettledRental {
  readonly rental: string;
  readonly startedAt: number;
  readonly end: number;
  readonly uses: number;
  readonly charge: string;
  readonly returned: string;
  readonly heldBack: string;
}

/** Throws what the device answered, `peer.timeout` when it does not answer or the chain does not hear of it. */
export async function beginRental(
  wallet: Wallet,
  device: Address,
  timeoutMs: number,
): Promise<StartedRental> {
  await tell(wallet, device, 'begin', timeoutMs);
  return untilWord(wallet, device, async () => {
    const { startedAt, end, ...rest } = await rentalStatus(wallet.client, device);
    return startedAt === undefined || end === undefined ? undefined : { ...rest, startedAt, end };
  });
}

export async function stopRental(wallet: Wallet, device: Address, timeoutMs: number): Promise<SettledRental> {
  const { rental } = await rentalStatus(wallet.client, device);
  await tell(wallet, device, 'end', timeoutMs);
  return untilWord(wallet, device, () => settledRental(wallet.client, rental));
}

async function tell(
  wallet: Wallet,
  device: Address,
  kind: 'begin' | 'end',
  timeoutMs: number,
): Promise<void> {
  const { outcome } = await wallet.command(device, { kind }, timeoutMs);
  if (outcome === undefined) throw new LedgerError('peer.timeout', 'the device did not answer in time');
  if (outcome.kind === 'refused')
    throw new LedgerError('rental.state', `the device refused: ${outcome.reason}`);
}

/** The gateway brings it; after a while the renter does. */
async function untilWord<T>(
  wallet: Wallet,
  device: Address,
  found: () => Promise<T | undefined>,
): Promise<T> {
  const began = performance.now();
  let isBrought = false;
  while (performance.now() - began < 4 * CARRIER_MS) {
    const now = await found();
    if (now !== undefined) return now;
    if (!isBrought && performance.now() - began > CARRIER_MS) {
      isBrought = true;
      await bringWords(wallet, device);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new LedgerError('peer.timeout', 'the chain did not hear the device’s word in time');
}

/** Brings what the chain does not know yet; gives what was brought. */
export async function bringWords(wallet: Wallet, device: Address): Promise<readonly string[]> {
  const { words } = await wallet.client.get<{ words: readonly { event: string; word: string }[] }>(
    `/rentals/devices/${formatAddress(device)}/words`,
  );
  const brought: string[] = [];
  for (const { event, word } of words) {
    const bytes = fromHex(word);
    if (!bytes.ok) throw new LedgerError('peer.message', bytes.message);
    try {
      await wallet.send(bringWord(wallet.chain, bytes.value));
      brought.push(event);
    } catch (error) {
      // Somebody was quicker, or it is about a rental that is settled.
      if (!(error instanceof LedgerError) || !error.code.startsWith('rental.')) throw error;
    }
  }
  return brought;
}

/** What became of a rental that has ended; undefined while it has not. */
export async function settledRental(client: Client, rental: string): Promise<SettledRental | undefined> {
  const { entries } = await client.get<{ entries: readonly { event?: { kind: string } }[] }>('/log', {
    about: rental,
  });
  for (const { event } of entries)
    if (event?.kind === 'rental-settled') return event as unknown as SettledRental;
  return undefined;
}
