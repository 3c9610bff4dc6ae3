/** Builds and signs commands to lamps: a COSE_Sign1 payload, made and signed in this browser (spec WIRE-5, WIRE-6). */
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { parseAddress } from '@itc/core/ledger/address.js';
import { encodeCommand } from '@itc/core/ledger/command.js';
import { millis } from '@itc/core/ledger/ids.js';
import {
  encodePayload,
  payloadId,
  payloadSigningBytes,
  type UnsignedPayload,
} from '@itc/core/ledger/payload.js';
import type { Identity } from './identity.ts';
import type { LampAction } from './wire.ts';

/** How long a lamp may still act on it: a person who switched a light no longer waits after that. */
export const COMMAND_LIFE_MS = 120_000;

export interface SignedCommand {
  readonly id: string;
  /** Hex, as `POST /commands` takes it. */
  readonly payload: string;
}

/** The only use of storage the counter needs; `localStorage` in the page. */
export interface CounterStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/**
 * The next sequence number of the lane (this key, that device): the clock, or one more than the last if the
 * clock stood still or went back. So a cleared storage does not repeat numbers, nor does a wrong clock.
 */
export function nextSequence(store: CounterStore | undefined, lane: string, now: number): number {
  const key = `itc-sequence:${lane}`;
  let last = 0;
  try {
    last = Number(store?.getItem(key) ?? 0);
  } catch {
    // Storage is switched off; the clock alone must do.
  }
  const next = Math.max(Math.floor(now), Number.isSafeInteger(last) ? last + 1 : 1, 1);
  try {
    store?.setItem(key, String(next));
  } catch {
    // As above.
  }
  return next;
}

export async function signCommand(options: {
  readonly identity: Pick<Identity, 'key' | 'sign'>;
  /** Chain id, hex. */
  readonly chain: string;
  readonly device: string;
  readonly action: LampAction;
  readonly sequence: number;
  /** The node's time. */
  readonly now: number;
}): Promise<SignedCommand> {
  const chain = chainHash(options.chain);
  const parsed = parseAddress(options.device);
  if (!parsed.ok) throw new Error(`the device's address is not acceptable: ${parsed.message}`);
  const device = parsed.value;
  const content = encodeCommand({
    device,
    action: options.action,
    notAfter: millis(Math.floor(options.now) + COMMAND_LIFE_MS),
  });
  const unsigned: UnsignedPayload = {
    signer: options.identity.key,
    device,
    sequence: options.sequence,
    contentType: 'command',
    content,
  };
  const signedBytes = payloadSigningBytes(chain, unsigned);
  const signature = await options.identity.sign(signedBytes);
  return {
    id: toHex(payloadId(unsigned.signer, signedBytes)),
    payload: toHex(encodePayload(unsigned, signature)),
  };
}

function chainHash(hex: string): Hash {
  const bytes = fromHex(hex);
  if (!bytes.ok) throw new Error(`the node's chain id is not acceptable: ${bytes.message}`);
  return asHash(bytes.value);
}
