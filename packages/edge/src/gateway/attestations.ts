/**
 * What the devices of this gateway attested about firmware (spec EDGE-14): the last word of each device on each release, ready to be
 * reported to the ledger under one root. Kept in the vault, because a report counts what came before it.
 */
import { compareBytes, fromHex, toHex } from '@itc/core/bytes/hex.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { decodeAttestation } from '@itc/core/ledger/firmware.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import type { Row, Vault } from '../3-cyber/vault/vault.ts';
import { EDGE_LIMITS } from '../limits.ts';

interface Attested {
  readonly device: string;
  readonly payload: string;
  readonly failed: boolean;
}

interface Release {
  readonly channel: Hash;
  readonly number: number;
  /** By device, in hex. */
  readonly devices: Map<string, Attested>;
}

/** In the form in which it is reported. */
export interface ReleaseInstalls {
  readonly channel: Hash;
  readonly number: number;
  /** Payloads, ascending by device. */
  readonly payloads: readonly Hash[];
  readonly failures: number;
}

const KEY_BYTES = HASH_BYTES + 8;

export class Attestations {
  readonly #vault: Pick<Vault, 'rows'>;
  /** By channel and number, in hex. */
  readonly #releases: Map<string, Release> = new Map();

  constructor(vault: Pick<Vault, 'rows'>) {
    this.#vault = vault;
  }

  load(): void {
    for (const { key, value } of this.#vault.rows('attestations', { limit: EDGE_LIMITS.devicesMax }))
      this.#enter(key.subarray(0, KEY_BYTES), value as Attested);
  }

  /** By a device that is logged in here, its signature checked. What has to be stored with the payload. */
  hear(payload: Payload): Row[] {
    const attestation = decodeAttestation(payload.content);
    if (!attestation.ok) return [];
    const { channel, number, outcome } = attestation.value;
    const key = new Writer(KEY_BYTES).fixed(channel, HASH_BYTES).u53(number).finish();
    const device = toHex(payload.device);
    // The tree of a release only grows: the first word of a device on it stands.
    if (this.#releases.get(toHex(key))?.devices.has(device) === true) return [];
    const attested: Attested = { device, payload: toHex(payload.id), failed: outcome === 'failed' };
    this.#enter(key, attested);
    const row = new Writer(KEY_BYTES + HASH_BYTES).raw(key).raw(payload.device).finish();
    return [{ table: 'attestations', key: row, value: attested }];
  }

  *installs(): Iterable<ReleaseInstalls> {
    for (const { channel, number, devices } of this.#releases.values()) {
      const all = [...devices.values()].toSorted((a, b) => (a.device < b.device ? -1 : 1));
      const failures = all.filter(({ failed }) => failed).length;
      yield { channel, number, payloads: all.map(({ payload }) => hashOf(payload)), failures };
    }
  }

  #enter(key: Uint8Array, attested: Attested): void {
    const name = toHex(key);
    let release = this.#releases.get(name);
    if (release === undefined) {
      const view = new DataView(key.buffer, key.byteOffset + HASH_BYTES, 8);
      const number = view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4);
      release = { channel: asHash(key.slice(0, HASH_BYTES)), number, devices: new Map() };
      this.#releases.set(name, release);
      this.#forgetOldest();
    }
    release.devices.set(attested.device, attested);
  }

  /** Of a product line the oldest release goes from memory; what was reported of it stays on the ledger. */
  #forgetOldest(): void {
    if (this.#releases.size <= EDGE_LIMITS.releasesAttestedMax) return;
    const [oldest] = [...this.#releases].toSorted(
      ([, a], [, b]) => a.number - b.number || compareBytes(a.channel, b.channel),
    );
    if (oldest !== undefined) this.#releases.delete(oldest[0]);
  }
}

function hashOf(hex: string): Hash {
  const bytes = fromHex(hex);
  if (!bytes.ok) throw new RangeError('the vault keeps ids in hex');
  return asHash(bytes.value);
}
