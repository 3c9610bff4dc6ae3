/** The 149 bytes that clients keep of what they trust, whoever vouches for it (spec LIGHT-4.5, QUANTUM-3). */
import type { Reader } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import { readHash } from '../ledger/fields.ts';
import { height, millis, type Epoch } from '../ledger/ids.ts';
import type { TrustedHeader } from './trust.ts';

/** The header believed last, and whether it closed its epoch. */
interface Believed {
  readonly last: TrustedHeader;
  readonly ended: boolean;
}

/** chain 32 ‖ epoch u32 ‖ hash of those who are trusted 32 ‖ height u53 ‖ time u53 ‖ header hash 32 ‖ state root 32 ‖ ended bool. */
export function encodeTrusted(
  o: Believed & { readonly chain: Hash; readonly epoch: Epoch; readonly trusted: Hash },
): Uint8Array {
  const { last } = o;
  return new Writer(160)
    .fixed(o.chain, HASH_BYTES)
    .u32(o.epoch)
    .fixed(o.trusted, HASH_BYTES)
    .u53(last.height)
    .u53(last.time)
    .fixed(last.hash, HASH_BYTES)
    .fixed(last.stateRoot, HASH_BYTES)
    .bool(o.ended)
    .finish();
}

/** What stands behind the hash of those who are trusted. */
export function readBelieved(reader: Reader): Believed {
  const last = {
    height: height(reader.u53()),
    time: millis(reader.u53()),
    hash: readHash(reader),
    stateRoot: readHash(reader),
  };
  return { last, ended: reader.bool() };
}
