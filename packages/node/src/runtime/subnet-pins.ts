/**
 * Devices whose readings stay provable although their bodies are pruned (spec SUBNET-2). Each of their readings is
 * kept with its whole proof as soon as it is final: blocks, states and envelopes may then go at their own pace.
 */
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { toHex } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import type { Delivery } from '@itc/core/dag/effects.js';
import { asAddress, type Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Change, Tables } from '../ports.ts';
import type { StoredProof } from './subnet-proof.ts';
import type { SubnetStore } from './subnet-store.ts';

export interface Pin {
  readonly device: Address;
  /** Milliseconds since 1970: readings are kept at least until then. */
  readonly until: number;
  readonly readings: number;
  readonly bytes: number;
  /** Readings whose proof could not be kept: no room, or the chain had pruned what it needs. */
  readonly missed: number;
}

export const PINS_MAX = 256;
const PINS = 'subnet-pins';
/** Device ‖ checkpoint ‖ payload → u53 height ‖ proof. */
const PINNED = 'subnet-pinned';
/** Payload → device ‖ checkpoint. */
const PINNED_IDS = 'subnet-pinned-ids';
/** Two rows of a pinned reading: keys, nodes, and pages two thirds full. */
const ROW_BYTES = 300;
/** LMDB gives a value that is larger than half a page pages of its own. */
const PAGE_BYTES = 4_096;
const PAGE_HEAD_BYTES = 16;
const BATCH = 256;
const ADDRESS_BYTES = 32;

export class SubnetPins {
  readonly #tables: Tables;
  readonly #store: SubnetStore;
  readonly #prove: (payload: Hash) => Result<StoredProof, 'not-found'>;
  readonly #bytesMax: number;
  readonly #pins = new Map<string, Pin>();

  constructor(options: {
    readonly tables: Tables;
    readonly store: SubnetStore;
    readonly prove: (payload: Hash) => Result<StoredProof, 'not-found'>;
    /** Of all pinned readings together. */
    readonly bytesMax: number;
  }) {
    this.#tables = options.tables;
    this.#store = options.store;
    this.#prove = options.prove;
    this.#bytesMax = options.bytesMax;
    for (const { key, value } of this.#tables.table(PINS).range()) {
      const pin = decodePin(key, value);
      this.#pins.set(toHex(pin.device), pin);
    }
  }

  list(): readonly Pin[] {
    return [...this.#pins.values()];
  }

  get bytes(): number {
    return this.list().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  of(device: Address): Pin | undefined {
    return this.#pins.get(toHex(device));
  }

  /** Pins a device, or moves its date; what is still here of its past is pinned too. */
  async pin(device: Address, until: number): Promise<Result<Pin, 'pool.full'>> {
    const known = this.of(device);
    if (known === undefined && this.#pins.size >= PINS_MAX)
      return refused('pool.full', `${PINS_MAX} devices are pinned already`);
    const pin =
      known === undefined ? { device, until, readings: 0, bytes: 0, missed: 0 } : { ...known, until };
    await this.#tables.commit([pinChange(pin)]);
    this.#pins.set(toHex(device), pin);
    if (known === undefined) await this.#keepPast(device);
    await this.#tables.flush();
    return ok(this.of(device) ?? pin);
  }

  /** Forgets a pin and what it kept. False when there was none. */
  async unpin(device: Address): Promise<boolean> {
    const pin = this.of(device);
    if (pin === undefined) return false;
    this.#pins.delete(toHex(device));
    await this.#tables.commit([{ table: PINS, key: device, value: undefined }]);
    for (;;) {
      const changes: Change[] = [];
      const range = { start: device, end: successor(device), limit: BATCH };
      for (const { key } of this.#tables.table(PINNED).range(range)) {
        changes.push(
          { table: PINNED, key, value: undefined },
          { table: PINNED_IDS, key: key.slice(-HASH_BYTES), value: undefined },
        );
      }
      if (changes.length === 0) return true;
      await this.#tables.commit(changes);
    }
  }

  async expire(now: number): Promise<void> {
    for (const { device, until } of this.list()) if (until < now) await this.unpin(device);
  }

  /** Keeps the readings of pinned devices in a checkpoint that was just stored. */
  async keep(delivery: Delivery): Promise<void> {
    if (this.#pins.size === 0) return;
    const ids = new Map<string, Hash[]>();
    for (const { payload } of delivery.applied) {
      const device = toHex(payload.device);
      if (!this.#pins.has(device)) continue;
      const of = ids.get(device);
      if (of === undefined) ids.set(device, [payload.id]);
      else of.push(payload.id);
    }
    for (const [device, payloads] of ids) await this.#keep(device, payloads);
  }

  /** The proof of a pinned reading, as it was when it became final. */
  proof(payload: Hash): StoredProof | undefined {
    const place = this.#tables.table(PINNED_IDS).get(payload);
    if (place === undefined) return undefined;
    const stored = this.#tables.table(PINNED).get(new Writer(80).raw(place).raw(payload).finish());
    if (stored === undefined)
      throw new LedgerError('storage.corrupt', `the proof of the pinned reading ${toHex(payload)} is gone`);
    const reader = new Reader(stored);
    const height = reader.u53();
    const checkpoint = new Reader(place.subarray(ADDRESS_BYTES)).u53();
    return { height, checkpoint, proof: reader.fixed(reader.remaining).slice() };
  }

  async #keepPast(device: Address): Promise<void> {
    const name = toHex(device);
    for (const { sequence } of this.#store.checkpoints(0)) {
      const ids: Hash[] = [];
      for (const payload of this.#store.payloadsOf(sequence)) {
        if (toHex(payload.device) === name && this.#store.place(payload.id)?.checkpoint === sequence)
          ids.push(payload.id);
      }
      if (ids.length > 0) await this.#keep(name, ids);
    }
  }

  async #keep(device: string, payloads: readonly Hash[]): Promise<void> {
    const pin = this.#pins.get(device);
    if (pin === undefined) return;
    let { readings, bytes, missed } = pin;
    let room = this.#bytesMax - this.bytes;
    const changes: Change[] = [];
    for (const id of payloads) {
      if (this.#tables.table(PINNED_IDS).has(id)) continue;
      const proved = this.#prove(id);
      const size = proved.ok ? storedBytes(proved.value.proof.length) : 0;
      if (!proved.ok || size > room) {
        missed += 1;
        continue;
      }
      room -= size;
      bytes += size;
      readings += 1;
      const { checkpoint, height, proof } = proved.value;
      const place = new Writer(48).fixed(pin.device, ADDRESS_BYTES).u53(checkpoint).finish();
      changes.push(
        { table: PINNED_IDS, key: id, value: place },
        {
          table: PINNED,
          key: new Writer(80).raw(place).raw(id).finish(),
          value: new Writer(proof.length + 8).u53(height).raw(proof).finish(),
        },
      );
    }
    const grown = { ...pin, readings, bytes, missed };
    await this.#tables.commit([...changes, pinChange(grown)]);
    this.#pins.set(device, grown);
  }
}

/** On disk, of a proof of this length. */
function storedBytes(length: number): number {
  const pages = Math.ceil((length + PAGE_HEAD_BYTES) / PAGE_BYTES);
  return ROW_BYTES + (length > PAGE_BYTES / 2 ? pages * PAGE_BYTES : length);
}

function pinChange(pin: Pin): Change {
  const value = new Writer(32).u53(pin.until).u53(pin.readings).u53(pin.bytes).u53(pin.missed).finish();
  return { table: PINS, key: pin.device, value };
}

function decodePin(key: Uint8Array, value: Uint8Array): Pin {
  const reader = new Reader(value);
  return {
    device: asAddress(key.slice()),
    until: reader.u53(),
    readings: reader.u53(),
    bytes: reader.u53(),
    missed: reader.u53(),
  };
}

/** The least key above all that begin with this one; undefined above everything would need a device of 0xff only. */
function successor(prefix: Uint8Array): Uint8Array {
  const next = prefix.slice();
  for (let i = next.length - 1; i >= 0; i -= 1) {
    next[i] = ((next[i] as number) + 1) & 0xff;
    if (next[i] !== 0) return next;
  }
  return new Uint8Array(prefix.length + 1).fill(0xff);
}
