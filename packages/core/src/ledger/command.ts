/**
 * Commands to devices and their acknowledgements. Both travel as the content of a COSE_Sign1 payload
 * (see `payload.ts`); the signer's sequence number in its lane to the device is the nonce. Spec WIRE-6.
 */
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import type { Result } from '../bytes/result.ts';
import { utf8Encode, Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import { SIGNATURE_DOMAINS, writePublicKey, type PublicKey } from '../crypto/signature.ts';
import type { Address } from './address.ts';
import { readCosigners, writeCosigners, type Cosigner } from './cosigners.ts';
import { millis, type Millis } from './ids.ts';
import { readAddress, readHash } from './fields.ts';

const VERSION = 1;
/** Of a command that several keys of an account give together: further signers follow. */
const SHARED_VERSION = 2;
/** Version 1 of an answer had no colour temperature. */
const ANSWER_VERSION = 2;
/** What a lamp may be asked for; what it has, its model says. */
export const KELVIN_MIN = 1_000;
export const KELVIN_MAX = 20_000;

export type Action =
  | { readonly kind: 'on' }
  | { readonly kind: 'off' }
  | { readonly kind: 'level'; readonly level: number }
  /** In kelvin, 1 000 to 20 000. */
  | { readonly kind: 'colour-temperature'; readonly kelvin: number }
  /** By a renter: the rental he holds starts now, or stops (spec STATE-22). */
  | { readonly kind: 'begin' }
  | { readonly kind: 'end' };

export interface Command {
  readonly device: Address;
  readonly action: Action;
  /** Past this moment of chain time the device refuses it. */
  readonly notAfter: Millis;
  /**
   * The other keys of the account that command with the payload's signer: 1 to `signersMax` − 1, ascending, over `commandSigningBytes`.
   * The payload's own signature covers them, so nobody can take one away.
   */
  readonly cosigners?: readonly Cosigner[];
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
  /** The device was reported stolen, or retired: nobody commands it. */
  'stolen',
  'retired',
  /** The grant holds at other hours of the week. */
  'off-schedule',
  /** The grant was for so many commands, and they were given. */
  'used-up',
  /** The rental has not begun on the device, or has ended there. */
  'not-begun',
  /** All who signed are keys of the account, and together they weigh too little. */
  'below-threshold',
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
  /** Of lamps that have a colour temperature; 0 on the wire where there is none. */
  readonly kelvin?: number;
  readonly time: Millis;
}

export function encodeCommand(command: Command): Uint8Array {
  const { cosigners } = command;
  const writer = new Writer(64)
    .u8(cosigners === undefined ? VERSION : SHARED_VERSION)
    .fixed(command.device, HASH_BYTES);
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
    case 'colour-temperature':
      writer.u8(3).u16(command.action.kelvin);
      break;
    case 'begin':
      writer.u8(4).u8(0);
      break;
    case 'end':
      writer.u8(5).u8(0);
      break;
  }
  writer.u53(command.notAfter);
  if (cosigners !== undefined) writeCosigners(writer, cosigners);
  return writer.finish();
}

/** The place of a command among those of its account: which key gives it, under which number. */
export interface CommandPlace {
  /** Whose payload it will be: that key signs last, with all the others' signatures before it. */
  readonly signer: PublicKey;
  /** The account that commands. */
  readonly account: Address;
  readonly sequence: number;
}

/**
 * What the other keys of an account sign: domain ‖ 0x00 ‖ chain 32 ‖ signer, algorithm u8 ‖ key ‖ account 32 ‖ sequence u53 ‖ the command
 * in the form without further signers. Under no other number and by no other signer can it be given again.
 */
export function commandSigningBytes(chain: Hash, place: CommandPlace, command: Command): Uint8Array {
  const writer = new Writer(256).raw(utf8Encode(SIGNATURE_DOMAINS.command)).u8(0).fixed(chain, HASH_BYTES);
  writePublicKey(writer, place.signer);
  const { device, action, notAfter } = command;
  return writer
    .fixed(place.account, HASH_BYTES)
    .u53(place.sequence)
    .raw(encodeCommand({ device, action, notAfter }))
    .finish();
}

function readAction(reader: Reader): Action {
  const kind = reader.u8();
  if (kind === 3) return { kind: 'colour-temperature', kelvin: readKelvin(reader) };
  const level = reader.u8();
  if (level > 254) reader.refuse('decode.out-of-range', `expected a level up to 254, got ${level}`);
  if (kind === 2) return { kind: 'level', level };
  const plain = PLAIN_ACTIONS[kind];
  if (plain === undefined)
    return reader.refuse('decode.unknown-kind', `expected an action from 0 to 5, got ${kind}`);
  if (level !== 0) reader.refuse('decode.not-canonical', 'expected level 0 where the action has none');
  return { kind: plain };
}

/** Those with nothing beside their code. */
const PLAIN_ACTIONS: Readonly<Record<number, 'off' | 'on' | 'begin' | 'end'>> = {
  0: 'off',
  1: 'on',
  4: 'begin',
  5: 'end',
};

function readKelvin(reader: Reader): number {
  const kelvin = reader.u16();
  if (kelvin < KELVIN_MIN || kelvin > KELVIN_MAX)
    reader.refuse('decode.out-of-range', `expected ${KELVIN_MIN} to ${KELVIN_MAX} kelvin, got ${kelvin}`);
  return kelvin;
}

/** `signer`: of the payload, who is not among the further signers. */
export function decodeCommand(bytes: Uint8Array, signer?: PublicKey): Result<Command, DecodeCode> {
  return decode((reader) => {
    const version = reader.u8();
    if (version !== VERSION && version !== SHARED_VERSION)
      reader.refuse('decode.unknown-kind', `expected version 1 or 2, got ${version}`);
    const command = {
      device: readAddress(reader),
      action: readAction(reader),
      notAfter: millis(reader.u53()),
    };
    return version === VERSION ? command : { ...command, cosigners: readCosigners(reader, signer) };
  }, bytes);
}

export function encodeAcknowledgement(acknowledgement: Acknowledgement): Uint8Array {
  const { outcome } = acknowledgement;
  return new Writer(64)
    .u8(ANSWER_VERSION)
    .fixed(acknowledgement.command, HASH_BYTES)
    .u8(outcome.kind === 'done' ? 0 : REFUSALS.indexOf(outcome.reason) + 1)
    .bool(acknowledgement.on)
    .u8(acknowledgement.level)
    .u16(acknowledgement.kelvin ?? 0)
    .u53(acknowledgement.time)
    .finish();
}

export function decodeAcknowledgement(bytes: Uint8Array): Result<Acknowledgement, DecodeCode> {
  return decode((reader) => {
    const version = reader.u8();
    if (version !== ANSWER_VERSION)
      reader.refuse('decode.unknown-kind', `expected version ${ANSWER_VERSION}, got ${version}`);
    const command = readHash(reader);
    const code = reader.u8();
    const reason = REFUSALS[code - 1];
    if (code > 0 && reason === undefined)
      reader.refuse('decode.unknown-kind', `expected an outcome from 0 to ${REFUSALS.length}, got ${code}`);
    const on = reader.bool();
    const level = reader.u8();
    const kelvin = reader.u16();
    return {
      command,
      outcome: reason === undefined ? { kind: 'done' } : { kind: 'refused', reason },
      on,
      level,
      ...(kelvin !== 0 && { kelvin }),
      time: millis(reader.u53()),
    };
  }, bytes);
}
