/**
 * Another set of members (spec DAG-14). Behind a checkpoint at which a turn ends, what is not final is void: envelopes belong to the set
 * their anchor belongs to, so no two sets ever stand in one DAG. Members go by their index; the state is written anew for the
 * indices of the next set, as part of that checkpoint.
 */
import { equalBytes } from '../bytes/hex.ts';
import type { Reader } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { hashTagged, type Hash } from '../crypto/hash.ts';
import type { PublicKey } from '../crypto/signature.ts';
import { readValidatorSet, writeValidatorSet, type ValidatorSet } from '../ledger/validators.ts';
import type { LogRecord } from './records.ts';
import { decode } from '../bytes/reader.ts';
import type { VerifiedEnvelope } from './verify.ts';

/** A set and the first checkpoint it decides. */
export interface MemberTurn {
  readonly members: ValidatorSet;
  readonly first: number;
}

/** Leading byte of its key and value in the state tree, beside those of lanes and ledger. */
export const TURN_KIND = 7;
/** There once the members have changed. */
export const TURN_KEY: Hash = hashTagged('stateKey', Uint8Array.of(TURN_KIND));

export function indexOfMember(members: ValidatorSet, key: PublicKey): number {
  return members.findIndex((member) => equalBytes(member.key.bytes, key.bytes));
}

function writeTurn(writer: Writer, turn: MemberTurn): Writer {
  writer.u53(turn.first);
  writeValidatorSet(writer, turn.members);
  return writer;
}

export function readTurn(reader: Reader): MemberTurn {
  return { first: reader.u53(), members: readValidatorSet(reader) };
}

export function encodeTurn(turn: MemberTurn): Uint8Array {
  return writeTurn(new Writer(1_280).u8(TURN_KIND), turn).finish();
}

/** In the log before the checkpoint behind which the turn begins: by then the main chain may have forgotten it. */
export function turnRecord(turn: MemberTurn): LogRecord {
  return { kind: 'turn', bytes: writeTurn(new Writer(1_280), turn).finish() };
}

/** Throws on a record that was not written by `turnRecord`. */
export function readTurnRecord(bytes: Uint8Array): MemberTurn {
  const read = decode(readTurn, bytes);
  if (!read.ok) throw new Error(`a turn of our own log is not readable: ${read.message}`);
  return read.value;
}

/** Whether an envelope was screened by the set in force: a check of signatures may last beyond a turn. */
export function isOfSet(members: ValidatorSet, { issuer, envelope, accusation }: VerifiedEnvelope): boolean {
  const names = (index: number, key: PublicKey): boolean => {
    const member = members[index];
    return member !== undefined && equalBytes(member.key.bytes, key.bytes);
  };
  return (
    names(issuer, envelope.issuer) &&
    (accusation === undefined || names(accusation.accused, accusation.envelope.issuer))
  );
}
