/**
 * How validators find each other that no configuration has brought together (spec NODE-16): each states where it listens,
 * those who know both pass it on, and who has bonded a key dials the others who have. An address is signed by its key,
 * so nobody can send us elsewhere; who answers there has to show the key all the same.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { KeyPair } from '../crypto/keypair.ts';
import { verifyNative } from '../crypto/native.ts';
import {
  decodeAddresses,
  encodeAddresses,
  endpointFrom,
  signAddress,
  verifyAddress,
  type AddressStatement,
} from '../network/address-statement.ts';
import { NETWORK_LIMITS } from '../network/limits.ts';
import type { Clock, Peer, PeerId, Timer, Transport } from '../ports.ts';
import type { Chain } from './chain.ts';
import { CHANNELS } from './channels.ts';

export interface AddressBookOptions {
  readonly chain: Chain;
  readonly keys: KeyPair;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Where this process listens; asked when it has started. */
  readonly listen: () => string;
  /** Keys that decide or have been bonded to. */
  readonly bonded: () => ReadonlySet<PeerId>;
  /** Of the configuration: these are dialled anyway. */
  readonly configured: ReadonlySet<PeerId>;
  /** All that is to be dialled besides; replaces what was said before. */
  readonly dial: (
    peers: readonly { readonly id: PeerId; readonly host: string; readonly port: number }[],
  ) => void;
}

/** The own address is stated anew this often: whoever has missed or forgotten it hears it again. */
const STATE_MS = 300_000;
/** A key may move this often: more would be passed on through the whole network for nothing. */
const MOVE_MS = 10_000;
/** Clocks may be apart by this much; a statement from further ahead could never be replaced. */
const AHEAD_MS = 600_000;
/** Statements kept, those of bonded keys first: the others may bond later. */
const KEPT_MAX = 2 * LIMITS.candidatesMax;

export class AddressBook {
  readonly #o: AddressBookOptions;
  readonly #kept = new Map<PeerId, AddressStatement>();
  /** Bonded keys when it was last looked at: what is said of new ones is news to others, too. */
  #bonded: ReadonlySet<PeerId>;
  #timer: Timer | undefined;

  constructor(options: AddressBookOptions) {
    this.#o = options;
    this.#bonded = options.bonded();
    const { transport } = options;
    transport.open({ ...CHANNELS.address, receive: (peer, bytes) => this.#receive(peer, bytes) });
    transport.listen({
      connected: (peer) => {
        if (peer.role === 'validator') this.#send([peer], [...this.#kept.values()]);
      },
    });
  }

  get size(): number {
    return this.#kept.size;
  }

  /** The transport listens already: the port is known. */
  start(): void {
    const { chain, keys, clock, listen, transport } = this.#o;
    if (endpointFrom(listen()) !== undefined) {
      const own = signAddress(chain.id, keys, { listen: listen(), at: clock.now() });
      this.#kept.set(transport.self, own);
      this.#send(this.#validators(), [own]);
    }
    this.#timer = clock.after(STATE_MS, () => this.start());
    this.#dial();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** Other keys may be bonded now. */
  refresh(): void {
    const before = this.#bonded;
    this.#bonded = this.#o.bonded();
    const fresh = [...this.#kept]
      .filter(([id]) => this.#bonded.has(id) && !before.has(id))
      .map(([, statement]) => statement);
    this.#send(this.#validators(), fresh);
    this.#dial();
  }

  #receive(peer: Peer, bytes: Uint8Array): void {
    const { transport } = this.#o;
    if (peer.role !== 'validator') return;
    const decoded = decodeAddresses(bytes.slice());
    if (!decoded.ok) return transport.disconnect(peer.id);
    const news = decoded.value.filter((statement) => this.#take(statement));
    if (news.length === 0) return;
    // Of keys that are not bonded nobody else needs to know.
    const others = this.#validators().filter(({ id }) => id !== peer.id);
    this.#send(
      others,
      news.filter(({ key }) => this.#bonded.has(toHex(key.bytes))),
    );
    this.#dial();
  }

  /** Whether a statement was news. What is old, too soon or from the future costs no signature. */
  #take(statement: AddressStatement): boolean {
    const { chain, clock, transport } = this.#o;
    const id = toHex(statement.key.bytes);
    const held = this.#kept.get(id);
    if (id === transport.self || statement.at > clock.now() + AHEAD_MS) return false;
    if (held !== undefined && statement.at < held.at + MOVE_MS) return false;
    if (endpointFrom(statement.listen) === undefined) return false;
    if (held === undefined && this.#kept.size >= KEPT_MAX && !this.#makeRoom(id)) return false;
    if (!verifyAddress(chain.id, statement, verifyNative)) return false;
    this.#kept.set(id, statement);
    return true;
  }

  /** For a bonded key one that is not gives way. */
  #makeRoom(id: PeerId): boolean {
    if (!this.#bonded.has(id)) return false;
    const loose = [...this.#kept.keys()].find(
      (other) => other !== this.#o.transport.self && !this.#bonded.has(other),
    );
    return loose !== undefined && this.#kept.delete(loose);
  }

  #dial(): void {
    const { transport, configured, dial } = this.#o;
    const isNeeded = (id: PeerId): boolean =>
      id !== transport.self && this.#bonded.has(id) && !configured.has(id);
    // Whoever has bonded nothing has no part in it: it is served by those it was configured with.
    const found = this.#bonded.has(transport.self) ? [...this.#kept].filter(([id]) => isNeeded(id)) : [];
    dial(
      found.flatMap(([id, { listen }]) => {
        const endpoint = endpointFrom(listen);
        return endpoint === undefined ? [] : [{ id, ...endpoint }];
      }),
    );
  }

  #validators(): Peer[] {
    return this.#o.transport.peers().filter(({ role }) => role === 'validator');
  }

  #send(peers: readonly Peer[], statements: readonly AddressStatement[]): void {
    const { addressesMax } = NETWORK_LIMITS;
    for (let from = 0; from < statements.length; from += addressesMax) {
      const bytes = encodeAddresses(statements.slice(from, from + addressesMax));
      for (const { id } of peers) this.#o.transport.send(id, CHANNELS.address.number, bytes);
    }
  }
}
