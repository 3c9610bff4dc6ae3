/** Bodies of firmware (spec STATE-23). Anybody sends them and pays: what counts is who signed inside. */
import type { Reader } from '../../bytes/reader.ts';
import type { Writer } from '../../bytes/writer.ts';
import { verificationCost } from '../../crypto/cost.ts';
import { HASH_BYTES, type Hash } from '../../crypto/hash.ts';
import { FIXED_SIGNATURE_BYTES, ML_DSA_44, P256 } from '../../crypto/signature.ts';
import { readHash } from '../fields.ts';
import {
  readChannelForm,
  readReleaseForm,
  readRoleSignatures,
  readRolloutStep,
  writeChannelForm,
  writeReleaseForm,
  writeRoleSignatures,
  writeRolloutStep,
  type ChannelForm,
  type ReleaseForm,
  type RoleSignature,
  type RolloutStep,
} from '../firmware.ts';
import { LIMITS } from '../limits.ts';
import type { BodyCodecs } from './codec.ts';

export type FirmwareBody =
  | {
      /** By the maker. */
      readonly kind: 'create-channel';
      readonly model: Hash;
      readonly board: string;
      readonly form: ChannelForm;
      /** By the root role. */
      readonly signatures: readonly RoleSignature[];
    }
  | {
      /** Other keys, or the same ones for longer. */
      readonly kind: 'rotate-channel';
      readonly channel: Hash;
      readonly form: ChannelForm;
      /** By the root role as it was. */
      readonly signatures: readonly RoleSignature[];
      /** By the root role as it will be. */
      readonly accepted: readonly RoleSignature[];
    }
  | {
      readonly kind: 'release-firmware';
      readonly channel: Hash;
      /** One above that of the newest release. */
      readonly number: number;
      readonly form: ReleaseForm;
      /** By one or more of the release role. */
      readonly signatures: readonly RoleSignature[];
    }
  | {
      readonly kind: 'approve-release';
      readonly channel: Hash;
      readonly number: number;
      readonly signatures: readonly RoleSignature[];
    }
  | {
      readonly kind: 'roll-out';
      readonly channel: Hash;
      readonly number: number;
      readonly step: RolloutStep;
      readonly signatures: readonly RoleSignature[];
    }
  | {
      /** By a member of the subnet: what its devices attested so far. */
      readonly kind: 'report-installs';
      readonly channel: Hash;
      readonly number: number;
      readonly subnet: Hash;
      /** Attestations under the root. */
      readonly count: number;
      /** Of them, that say it failed. */
      readonly failures: number;
      /** Over `attestationLeaf`, ascending by device. */
      readonly root: Hash;
    };

/**
 * What checking the signatures inside costs, see `verificationCost`. The keys stand in the state; by its length a signature is of a
 * scheme that costs at most this. 0 for bodies of other kinds.
 */
export function signaturesCost(body: { readonly kind: string } | FirmwareBody): number {
  if (!('signatures' in body)) return 0;
  const accepted = 'accepted' in body ? body.accepted : [];
  let cost = 0;
  for (const { signature } of [...body.signatures, ...accepted])
    cost += verificationCost(signature.length === ML_DSA_BYTES ? ML_DSA_44 : P256);
  return cost;
}

const ML_DSA_BYTES = FIXED_SIGNATURE_BYTES[ML_DSA_44];

function writeSigned(writer: Writer, o: { readonly channel: Hash; readonly number: number }): Writer {
  return writer.fixed(o.channel, HASH_BYTES).u53(o.number);
}

function readSigned(reader: Reader): { readonly channel: Hash; readonly number: number } {
  return { channel: readHash(reader), number: reader.u53() };
}

export const FIRMWARE_CODECS: BodyCodecs<FirmwareBody> = {
  'create-channel': {
    write: (writer, body) => {
      writer.fixed(body.model, HASH_BYTES).text(body.board);
      writeChannelForm(writer, body.form);
      writeRoleSignatures(writer, body.signatures);
    },
    read: (reader) => ({
      kind: 'create-channel',
      model: readHash(reader),
      board: reader.text(LIMITS.textBytesMax),
      form: readChannelForm(reader),
      signatures: readRoleSignatures(reader),
    }),
  },
  'rotate-channel': {
    write: (writer, body) => {
      writeChannelForm(writer.fixed(body.channel, HASH_BYTES), body.form);
      writeRoleSignatures(writer, body.signatures);
      writeRoleSignatures(writer, body.accepted);
    },
    read: (reader) => ({
      kind: 'rotate-channel',
      channel: readHash(reader),
      form: readChannelForm(reader),
      signatures: readRoleSignatures(reader),
      accepted: readRoleSignatures(reader),
    }),
  },
  'release-firmware': {
    write: (writer, body) => {
      writeReleaseForm(writeSigned(writer, body), body.form);
      writeRoleSignatures(writer, body.signatures);
    },
    read: (reader) => ({
      kind: 'release-firmware',
      ...readSigned(reader),
      form: readReleaseForm(reader),
      signatures: readRoleSignatures(reader),
    }),
  },
  'approve-release': {
    write: (writer, body) => writeRoleSignatures(writeSigned(writer, body), body.signatures),
    read: (reader) => ({
      kind: 'approve-release',
      ...readSigned(reader),
      signatures: readRoleSignatures(reader),
    }),
  },
  'roll-out': {
    write: (writer, body) => {
      writeRolloutStep(writeSigned(writer, body), body.step);
      writeRoleSignatures(writer, body.signatures);
    },
    read: (reader) => ({
      kind: 'roll-out',
      ...readSigned(reader),
      step: readRolloutStep(reader),
      signatures: readRoleSignatures(reader),
    }),
  },
  'report-installs': {
    write: (writer, body) =>
      writeSigned(writer, body)
        .fixed(body.subnet, HASH_BYTES)
        .u32(body.count)
        .u32(body.failures)
        .fixed(body.root, HASH_BYTES),
    read: (reader) => ({
      kind: 'report-installs',
      ...readSigned(reader),
      subnet: readHash(reader),
      count: reader.u32(),
      failures: reader.u32(),
      root: readHash(reader),
    }),
  },
};
