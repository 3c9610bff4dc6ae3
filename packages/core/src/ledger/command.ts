/**
 * Commands to devices and their acknowledgements. Both travel as the content of a COSE_Sign1 payload
 * (see `payload.ts`); the signer's sequence number in its lane to the device is the nonce. Spec WIRE-6.
 */
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import type { Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import type { Address } from './address.ts';
import { millis, type Millis } from './ids.ts';
import { readAddress, readHash } from './fields.ts';

const VERSION = 1;

export type Action =
  | { readonly kind: 'on' }
  | { readonly kind: 'off' }
  | { readonly kind: 'level'; readonly level: number };

export interface Command {
  readonly device: Address;
  readonly action: Action;
  /** Past this moment of chain time the device refuses it. */
  readonly notAfter: Millis;
}

/** Why a device refused a command; part of the signed acknowledgement. */
export const REFUSALS = [
  'malformed',
  'wrong-device',
  'signature',
  'expired',
  'replayed',
  'not-granted',
  'not-allowed',
  'proof',
  'stale-proof',
] as const;
export type Refusal = (typeof REFUSALS)[number];

export type Outcome = { readonly kind: 'done' } | { readonly kind: 'refused'; readonly reason: Refusal };

/** Signed by the device: what it did with one command, and its state afterwards. */
export interface Acknowledgement {
  /** Payload id of the command. */
  readonly command: Hash;
  readonly outcome: Outcome;
  readonly on: boolean;
  /** 0 to 254. */
  readonly level: number;
  readonly time: Millis;
}

export function encodeCommand(command: Command): Uint8Array {
  const writer = new Writer(64).u8(VERSION).fixed(command.device, HASH_BYTES);
  switch (command.action.kind) {
    case 'off':
      writer.u8(0).u8(0);
      break;
    case 'on':
      writer.u8(1).u8(0);
      break;
    case 'level':
      writer.u8(2).u8(command.action.level);
      break;
  }
  return writer.u53(command.notAfter).finish();
}

function readAction(reader: Reader): Action {
  const kind = reader.u8();
  const level = reader.u8();
  if (level > 254) reader.refuse('decode.out-of-range', `expected a level up to 254, got ${level}`);
  if (kind === 2) return { kind: 'level', level };
  if (kind > 2) return reader.refuse('decode.unknown-kind', `expected an action from 0 to 2, got ${kind}`);
  if (level !== 0) reader.refuse('decode.not-canonical', 'expected level 0 where the action has none');
  return { kind: kind === 1 ? 'on' : 'off' };
}

function readVersion(reader: Reader): void {
  const version = reader.u8();
  if (version !== VERSION)
    reader.refuse('decode.unknown-kind', `expected version ${VERSION}, got ${version}`);
}

export function decodeCommand(bytes: Uint8Array): Result<Command, DecodeCode> {
  return decode((reader) => {
    readVersion(reader);
    return { device: readAddress(reader), action: readAction(reader), notAfter: millis(reader.u53()) };
  }, bytes);
}

export function encodeAcknowledgement(acknowledgement: Acknowledgement): Uint8Array {
  const { outcome } = acknowledgement;
  return new Writer(64)
    .u8(VERSION)
    .fixed(acknowledgement.command, HASH_BYTES)
    .u8(outcome.kind === 'done' ? 0 : REFUSALS.indexOf(outcome.reason) + 1)
    .bool(acknowledgement.on)
    .u8(acknowledgement.level)
    .u53(acknowledgement.time)
    .finish();
}

export function decodeAcknowledgement(bytes: Uint8Array): Result<Acknowledgement, DecodeCode> {
  return decode((reader) => {
    readVersion(reader);
    const command = readHash(reader);
    const code = reader.u8();
    const reason = REFUSALS[code - 1];
    if (code > 0 && reason === undefined)
      reader.refuse('decode.unknown-kind', `expected an outcome from 0 to ${REFUSALS.length}, got ${code}`);
    return {
      command,
      outcome: reason === undefined ? { kind: 'done' } : { kind: 'refused', reason },
      on: reader.bool(),
      level: reader.u8(),
      time: millis(reader.u53()),
    };
  }, bytes);
}
