/**
 * The devices this gateway knows: names, who is here now, what they last said (spec EDGE-7). What devices say is in
 * the vault already; of its own the directory stores names, kinds, credentials and lamp states.
 */
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { hashTagged } from '@itc/core/crypto/hash.js';
import { asAddress, formatAddress, parseAddress, type Address } from '@itc/core/ledger/address.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import type { SenmlRecord } from '../2-conversion/senml.ts';
import type { Row, Vault } from '../3-cyber/vault/vault.ts';
import { EDGE_LIMITS } from '../limits.ts';
import type { LedgerPort } from '../ports.ts';
import { readingsIn, shown } from './decode-readings.ts';
import type { StoredCredential } from './credential.ts';
import { presentOf, withOwner, type OwnerSpan } from './owners.ts';
import type { DeviceView, LampState, LatestValue } from './views.ts';

export interface Known {
  readonly address: Address;
  readonly text: string;
  row: DeviceRow;
  connections: number;
  lastSeen: number | undefined;
  /** When readings of it last came by another gateway, while it was not connected here. */
  elsewhere: number | undefined;
  readonly latest: Map<string, LatestValue>;
}

/** As stored. */
interface DeviceRow {
  readonly name?: string;
  readonly kind?: string;
  /** bech32m of who enrolled a device without key. */
  readonly owner?: string;
  readonly credential?: StoredCredential;
  readonly state?: LampState & { readonly time: number };
  /** Owners this gateway has heard of; see `owners.ts`. */
  readonly owners?: readonly OwnerSpan[];
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** Words that stand in topics where a name may stand. */
const TAKEN: readonly string[] = ['up', 'down', 'notice', 'header'];

export class Directory {
  readonly #ledger: LedgerPort;
  readonly #vault: Vault;
  readonly #now: () => number;
  readonly #byText: Map<string, Known> = new Map();
  /** By address in hex: asked for every payload, where bech32m would cost more than the rest of the question. */
  readonly #byHex: Map<string, Known> = new Map();
  readonly #byName: Map<string, Known> = new Map();

  constructor(o: { ledger: LedgerPort; vault: Vault; now: () => number }) {
    this.#ledger = o.ledger;
    this.#vault = o.vault;
    this.#now = o.now;
  }

  /** Reads back what was stored, with the newest readings of each device. */
  load(): void {
    for (const { key, value } of this.#vault.rows('devices', { limit: EDGE_LIMITS.devicesMax })) {
      const known = this.#add(asAddress(key), value as DeviceRow);
      let first = true;
      for (const { id } of this.#vault.payloadsOf(known.address)) {
        const status = this.#vault.status(id);
        const bytes = this.#vault.payload(id);
        const payload = bytes && parsePayload(this.#ledger.chain, bytes);
        if (status !== undefined && payload?.ok === true) {
          known.lastSeen = Math.max(known.lastSeen ?? 0, status.receivedAt);
          const records = readingsIn(payload.value, status.receivedAt, this.#vault.batch(id));
          this.#remember(known, records, status.receivedAt);
        }
        // Two payloads: names that come only now and then show up again with their next reading.
        if (!first) break;
        first = false;
      }
    }
  }

  get(address: Address): Known | undefined {
    return this.#byHex.get(hex(address));
  }

  /** By address or by name. */
  find(who: string): Known | undefined {
    return this.#byText.get(who) ?? this.#byName.get(who);
  }

  /** The address a name or an address stands for, also of a device never seen here. */
  resolve(who: string): Address | undefined {
    const known = this.find(who);
    if (known !== undefined) return known.address;
    const parsed = parseAddress(who);
    return parsed.ok ? parsed.value : undefined;
  }

  /** Makes it known if there is room. */
  meet(address: Address): Known | undefined {
    const known = this.get(address);
    if (known !== undefined) return known;
    if (this.#byText.size >= EDGE_LIMITS.devicesMax) return undefined;
    const added = this.#add(address, {});
    // Seen once is known for good; losing this row loses nothing but an empty line.
    this.#vault.putRows([{ table: 'devices', key: address, value: {} }]).catch(() => {});
    return added;
  }

  /** May it publish: claimed on the ledger, or enrolled here. */
  isAdmitted(address: Address): boolean {
    const record = this.#ledger.device(address);
    return record === undefined
      ? this.get(address)?.row.credential !== undefined
      : record.state !== 'retired';
  }

  connected(known: Known, now: number): void {
    known.connections += 1;
    known.lastSeen = now;
    known.elsewhere = undefined;
  }

  disconnected(known: Known, now: number): void {
    known.connections = Math.max(0, known.connections - 1);
    known.lastSeen = now;
  }

  heard(known: Known, records: readonly SenmlRecord[], receivedAt: number): void {
    this.owners(known);
    // What came here before the connection ended is stored a moment after it.
    const seen = known.lastSeen ?? 0;
    known.lastSeen = receivedAt;
    if (known.connections === 0 && receivedAt > seen) known.elsewhere = receivedAt;
    this.#remember(known, records, receivedAt);
  }

  /**
   * Its owners, up to the one the ledger names now. A new one is written down, and what the device last said under the one before
   * is no longer shown as the newest.
   */
  owners(known: Known): readonly OwnerSpan[] {
    const spans = known.row.owners ?? [];
    const record = this.#ledger.device(known.address);
    const next = record === undefined ? spans : withOwner(spans, record);
    if (next === spans) return spans;
    known.row = { ...known.row, owners: next };
    const visible = presentOf(next);
    for (const [name, { time }] of known.latest) if (!visible(time)) known.latest.delete(name);
    // Lost, it is written again with the next word of the device.
    this.#vault.putRows([{ table: 'devices', key: known.address, value: known.row }]).catch(() => {});
    return next;
  }

  /** The row to store with the acknowledgement that told of the state. Older news than what is known changes nothing. */
  stateRow(known: Known, state: LampState & { readonly time: number }): Row[] {
    if ((known.row.state?.time ?? 0) > state.time) return [];
    known.row = { ...known.row, state };
    return [{ table: 'devices', key: known.address, value: known.row }];
  }

  /** The form of a name. Whether it is free is for `enrol` to say. */
  static nameFlaw(name: string): string | undefined {
    if (!NAME.test(name)) return 'expected 1 to 64 letters, digits, dots, hyphens or underscores';
    return TAKEN.includes(name) || name.startsWith('itc1') ? `${name} has a meaning of its own` : undefined;
  }

  /** Address of a device without key: derived from gateway and name, under algorithm 0, which no key has. */
  legacyAddress(name: string): Address {
    return asAddress(hashTagged('address', Uint8Array.of(0), this.#ledger.gateway, utf8Encode(name)));
  }

  /** Gives a name, and for a device without key its credential. Durable when it resolves. */
  async enrol(o: {
    address: Address;
    name: string;
    kind?: string;
    legacy?: { owner: Address; credential: StoredCredential };
  }): Promise<Result<Known, 'request.malformed' | 'request.unauthorised'>> {
    const holder = this.#byName.get(o.name);
    const text = formatAddress(o.address);
    if (holder !== undefined && holder.text !== text)
      return refused('request.malformed', `${o.name} is the name of another device`);
    const known =
      this.#byText.get(text) ??
      (this.#byText.size < EDGE_LIMITS.devicesMax ? this.#add(o.address, {}) : undefined);
    if (known === undefined)
      return refused('request.malformed', `this gateway keeps at most ${EDGE_LIMITS.devicesMax} devices`);
    if (
      o.legacy !== undefined &&
      known.row.owner !== undefined &&
      known.row.owner !== formatAddress(o.legacy.owner)
    )
      return refused('request.unauthorised', `${o.name} was enrolled by someone else`);
    const row: DeviceRow = {
      ...known.row,
      name: o.name,
      ...(o.kind === undefined ? {} : { kind: o.kind }),
      ...(o.legacy === undefined
        ? {}
        : { owner: formatAddress(o.legacy.owner), credential: o.legacy.credential }),
    };
    if (known.row.name !== undefined) this.#byName.delete(known.row.name);
    known.row = row;
    this.#byName.set(o.name, known);
    await this.#vault.putRows([{ table: 'devices', key: o.address, value: row }]);
    return ok(known);
  }

  view(known: Known): DeviceView {
    const { row, text, address, lastSeen } = known;
    const record = this.#ledger.device(address);
    if (record !== undefined) this.owners(known);
    const owner = record === undefined ? row.owner : formatAddress(record.owner);
    return {
      address: text,
      ...(row.name === undefined ? {} : { name: row.name }),
      ...(row.kind === undefined ? {} : { kind: row.kind }),
      ...(owner === undefined ? {} : { owner }),
      registered: record !== undefined,
      ...(row.credential === undefined ? {} : { attested: true }),
      online: this.#isOnline(known),
      ...(lastSeen === undefined ? {} : { lastSeen }),
      ...(row.state === undefined ? {} : { state: shownState(row.state) }),
      latest: [...known.latest.values()],
    };
  }

  /** Devices only: who has sent an order about value is known too, and is none. */
  views(): DeviceView[] {
    return [...this.#byText.values()]
      .filter((known) => this.#isDevice(known))
      .map((known) => this.view(known));
  }

  #isDevice({ row, address, latest }: Known): boolean {
    return row.name !== undefined || latest.size > 0 || this.#ledger.device(address) !== undefined;
  }

  /** Connected here, or heard of through another gateway a moment ago. */
  #isOnline({ connections, elsewhere }: Known): boolean {
    return connections > 0 || (elsewhere !== undefined && this.#now() - elsewhere < EDGE_LIMITS.elsewhereMs);
  }

  #add(address: Address, row: DeviceRow): Known {
    const known: Known = {
      address,
      text: formatAddress(address),
      row,
      connections: 0,
      lastSeen: undefined,
      elsewhere: undefined,
      latest: new Map(),
    };
    this.#byText.set(known.text, known);
    this.#byHex.set(hex(address), known);
    if (row.name !== undefined) this.#byName.set(row.name, known);
    return known;
  }

  #remember(known: Known, records: readonly SenmlRecord[], receivedAt: number): void {
    for (const record of records) {
      const before = known.latest.get(record.name);
      if (before === undefined && known.latest.size >= EDGE_LIMITS.latestNamesMax) continue;
      // A reading dated in the future must not stand in the way of all that follow.
      if (before !== undefined && before.time > record.time && before.time <= receivedAt + 60_000) continue;
      known.latest.set(record.name, shown(record));
    }
  }
}

function shownState({ on, level, kelvin }: LampState): LampState {
  return { on, level, ...(kelvin !== undefined && { kelvin }) };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
