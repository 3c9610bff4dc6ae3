/** Recorded sensor data as signed payloads: the same bytes at every run. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Hash } from '@itc/core/crypto/hash.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import {
  encodePayload,
  payloadId,
  payloadSigningBytes,
  type UnsignedPayload,
} from '@itc/core/ledger/payload.js';
import { encodeSenml, type SenmlRecord } from '@itc/edge/2-conversion/senml.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';

export interface Recording {
  readonly name: string;
  readonly quantity: string;
  readonly unit?: string;
  /** Milliseconds since 1970. */
  readonly times: readonly number[];
  readonly values: readonly number[];
}

export interface Packed {
  readonly id: Hash;
  /** The COSE_Sign1. */
  readonly bytes: Uint8Array;
  readonly readings: number;
}

const FILES_MAX = 1_000;

/** Quantity and SenML unit (RFC 8428 §12.1) by the end of the file's name. */
const QUANTITIES: readonly (readonly [RegExp, string, string])[] = [
  [/Brightness$/i, 'brightness', 'lx'],
  [/Humidity$/i, 'humidity', '%RH'],
  [/Temperature$/i, 'temperature', 'Cel'],
  [/SetpointHistory$/i, 'setpoint', 'Cel'],
];

/** Files in order of name. Throws `not-found` and `request.malformed` naming file and line. */
export function loadRecordings(folder: string, limit: number): Recording[] {
  let files: string[];
  try {
    files = readdirSync(folder)
      .filter((file) => file.endsWith('.csv'))
      .sort();
  } catch (error) {
    throw new LedgerError('not-found', `${folder} cannot be read`, { folder }, error);
  }
  if (files.length === 0) throw new LedgerError('not-found', `${folder} has no .csv files`, { folder });
  if (files.length > FILES_MAX)
    throw new LedgerError('request.malformed', `${folder} has more than ${FILES_MAX} files`, { folder });
  return files.map((file) =>
    parseRecording(basename(file, '.csv'), readFileSync(join(folder, file), 'utf8'), limit),
  );
}

export function parseRecording(name: string, text: string, limit: number): Recording {
  const times: number[] = [];
  const values: number[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line === '' || times.length >= limit) continue;
    const [seconds, value, ...rest] = line.split('\t').map(Number);
    if (
      seconds === undefined ||
      value === undefined ||
      rest.length > 0 ||
      !Number.isFinite(seconds) ||
      !Number.isFinite(value)
    ) {
      throw new LedgerError(
        'request.malformed',
        `${name}.csv, line ${i + 1}: expected UNIX seconds, a tab, a value`,
      );
    }
    times.push(Math.round(seconds * 1_000));
    values.push(value);
  }
  const known = QUANTITIES.find(([pattern]) => pattern.test(name));
  return {
    name,
    quantity: known?.[1] ?? 'value',
    ...(known === undefined ? {} : { unit: known[2] }),
    times,
    values,
  };
}

export function packRecording(chain: Hash, keys: KeyPair, recording: Recording, chunk: number): Packed[] {
  const packed: Packed[] = [];
  for (let start = 0; start < recording.times.length; start += chunk) {
    const records: SenmlRecord[] = [];
    for (let i = start; i < Math.min(start + chunk, recording.times.length); i += 1) {
      records.push({
        name: recording.quantity,
        ...(recording.unit === undefined ? {} : { unit: recording.unit }),
        time: recording.times[i] as number,
        value: recording.values[i] as number,
      });
    }
    const unsigned: UnsignedPayload = {
      signer: keys.publicKey,
      device: keys.address,
      sequence: packed.length + 1,
      contentType: 'senml+cbor',
      content: encodeSenml('senml+cbor', records),
    };
    const signed = payloadSigningBytes(chain, unsigned);
    packed.push({
      id: payloadId(unsigned.signer, signed),
      bytes: encodePayload(unsigned, keys.sign(signed)),
      readings: records.length,
    });
  }
  return packed;
}
