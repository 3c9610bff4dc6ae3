/** Bodies about subnets: founding them, their checkpoints, value going in and out (spec STATE-7, STATE-8, STATE-14). */
import { utf8Encode } from '../../bytes/writer.ts';
import { HASH_BYTES, hashTagged, type Hash } from '../../crypto/hash.ts';
import type { Address } from '../address.ts';
import {
  readCheckpointCertificate,
  writeCheckpointCertificate,
  type CheckpointCertificate,
} from '../checkpoint.ts';
import { readWithdrawal, writeWithdrawal, type Withdrawal } from '../escrow.ts';
import { readAddress, readHash } from '../fields.ts';
import { amount, type Amount } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { readValidatorSet, writeValidatorSet, type ValidatorSet } from '../validators.ts';
import type { BodyCodecs } from './codec.ts';

export type SubnetBody =
  | {
      readonly kind: 'create-subnet';
      readonly name: string;
      readonly members: ValidatorSet;
      readonly powBits: number;
    }
  | { readonly kind: 'checkpoint'; readonly certificate: CheckpointCertificate }
  /** From the sender's balance into the subnet, for an address inside. */
  | { readonly kind: 'deposit'; readonly subnet: Hash; readonly to: Address; readonly amount: Amount }
  /** Fetches what left the subnet with a checkpoint. Anyone may send it: the receiver is in the leaf. */
  | {
      readonly kind: 'withdraw';
      readonly subnet: Hash;
      /** Sequence of the checkpoint. */
      readonly checkpoint: number;
      readonly withdrawal: Withdrawal;
      /** From `withdrawalLeaf` to the checkpoint's withdrawal root. */
      readonly path: readonly Hash[];
    };

export function subnetId(creator: Address, name: string): Hash {
  return hashTagged('subnet', creator, utf8Encode(name));
}

export const SUBNET_CODECS: BodyCodecs<SubnetBody> = {
  'create-subnet': {
    write: (writer, body) => {
      writer.text(body.name);
      writeValidatorSet(writer, body.members);
      writer.u8(body.powBits);
    },
    read: (reader) => ({
      kind: 'create-subnet',
      name: reader.text(LIMITS.textBytesMax),
      members: readValidatorSet(reader),
      powBits: reader.u8(),
    }),
  },
  checkpoint: {
    write: (writer, body) => writeCheckpointCertificate(writer, body.certificate),
    read: (reader) => ({ kind: 'checkpoint', certificate: readCheckpointCertificate(reader) }),
  },
  deposit: {
    write: (writer, body) =>
      writer.fixed(body.subnet, HASH_BYTES).fixed(body.to, HASH_BYTES).u64(body.amount),
    read: (reader) => ({
      kind: 'deposit',
      subnet: readHash(reader),
      to: readAddress(reader),
      amount: amount(reader.u64()),
    }),
  },
  withdraw: {
    write: (writer, body) => {
      writer.fixed(body.subnet, HASH_BYTES).u53(body.checkpoint);
      writeWithdrawal(writer, body.withdrawal);
      writer.list(body.path, (w, hash) => w.fixed(hash, HASH_BYTES));
    },
    read: (reader) => ({
      kind: 'withdraw',
      subnet: readHash(reader),
      checkpoint: reader.u53(),
      withdrawal: readWithdrawal(reader),
      path: reader.list(LIMITS.merklePathMax, readHash),
    }),
  },
};
