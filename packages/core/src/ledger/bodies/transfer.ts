/** Bodies that move ITC between accounts (spec STATE-3). */
import { HASH_BYTES } from '../../crypto/hash.ts';
import { asAddress, type Address } from '../address.ts';
import { readAddress } from '../fields.ts';
import { amount, type Amount } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { BodyCodecs } from './codec.ts';

export type TransferBody =
  | { readonly kind: 'transfer'; readonly to: Address; readonly amount: Amount }
  /** 1 to `transferOutputsMax`, all or none. */
  | { readonly kind: 'transfers'; readonly outputs: readonly TransferOutput[] };

export interface TransferOutput {
  readonly to: Address;
  readonly amount: Amount;
}

export const TRANSFER_CODECS: BodyCodecs<TransferBody> = {
  transfer: {
    write: (writer, body) => writer.fixed(body.to, HASH_BYTES).u64(body.amount),
    // A transfer is what most blocks are full of: its receiver stays a view where the bytes are kept anyway.
    read: (reader) => ({
      kind: 'transfer',
      to: asAddress(reader.kept(HASH_BYTES)),
      amount: amount(reader.u64()),
    }),
  },
  transfers: {
    write: (writer, body) =>
      writer.list(body.outputs, (w, { to, amount: value }) => w.fixed(to, HASH_BYTES).u64(value)),
    read: (reader) => {
      const outputs = reader.list(LIMITS.transferOutputsMax, (r) => ({
        to: readAddress(r),
        amount: amount(r.u64()),
      }));
      if (outputs.length === 0) reader.refuse('decode.out-of-range', 'expected at least one receiver');
      return { kind: 'transfers', outputs };
    },
  },
};
