/** The ledger as a gateway sees it: the observer of the main chain in the same process. */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { idText } from '@itc/core/bytes/id-text.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { BodyKind } from '@itc/core/ledger/body.js';
import { epoch, height, millis, type Height, type Millis } from '@itc/core/ledger/ids.js';
import { encodeAccessProof, proveAccess } from '@itc/core/light/access-proof.js';
import { encodeLinkedHeader, type LinkedHeader } from '@itc/core/light/certified.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { accessKeys } from '@itc/core/light/stream-access.js';
import type { StateKey } from '@itc/core/state/keys.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import type { LightServer } from '@itc/node/runtime/light-server.js';
import type { CertifiedHeader } from '@itc/core/light/trust.js';
import { mayRead, termsRefusal } from '@itc/core/ledger/terms.js';
import { termsIn } from '@itc/core/state/access-chain.js';
import { accessOf, findAccess, inForce, pathOf, type FoundAccess } from '@itc/core/state/find-access.js';
import type { Chain } from '@itc/node/runtime/chain.js';
import { Hops } from '@itc/node/runtime/hops.js';
import type { DeviceRecord, LedgerPort, Wanted } from '../ports.ts';

/** Devices hear of a new head this often at most: a proof brings its own header along anyway. */
const HEAD_MS_MIN = 1_000;

/** What changes who may command a device. */
const URGENT: ReadonlySet<BodyKind> = new Set<BodyKind>([
  'grant',
  'revoke',
  'grant-group',
  'delegate',
  'revoke-access',
  'set-group',
  'accept-device',
  'mark-device',
  'rent',
  'rental-start',
  'rental-stop',
  'end-rental',
]);

export class ChainLedger implements LedgerPort {
  readonly chain: Hash;
  readonly gateway: Address;
  readonly #chain: Chain;
  readonly #now: () => number;
  readonly #hops: Hops;
  readonly #light: LightServer;
  #newest: CertifiedHeader | undefined;

  constructor(options: {
    readonly chain: Chain;
    readonly light: LightServer;
    readonly gateway: Address;
    readonly now: () => number;
  }) {
    this.chain = options.chain.id;
    this.gateway = options.gateway;
    this.#chain = options.chain;
    this.#now = options.now;
    this.#light = options.light;
    this.#hops = new Hops(options.chain);
    const { tip } = options.chain;
    const stored = tip === undefined ? undefined : options.chain.blockAt(tip.height);
    if (tip !== undefined && stored !== undefined)
      this.#newest = { header: tip, certificate: stored.certificate };
    options.chain.onCommitted(({ block, certificate }) => {
      this.#newest = { header: block.header, certificate };
    });
  }

  head(): { readonly height: Height; readonly time: Millis } {
    return { height: this.#chain.height, time: this.#chain.time };
  }

  device(address: Address): DeviceRecord | undefined {
    return this.#chain.state.device(address);
  }

  accessProof(device: Address, subject: Address, wanted?: Wanted): Uint8Array | undefined {
    const newest = this.#linked();
    const state = newest === undefined ? undefined : this.#chain.stateUnder(newest.header.height);
    if (newest === undefined || state === undefined) return undefined;
    const found = this.#find(state, { device, subject, ...(wanted && { wanted }) });
    const path = found === undefined ? {} : { path: pathOf(found) };
    const proof = proveAccess({ ...newest, tree: state.tree, device, subject, ...path });
    return proof === undefined ? undefined : encodeAccessProof(proof);
  }

  anchor(at: number): Hash | undefined {
    return at < 1 || at > this.#chain.height ? undefined : this.#chain.hashAt(at);
  }

  accessKeys(device: Address, subject: Address, wanted?: Wanted): readonly StateKey[] | undefined {
    const state = this.#stateShown();
    const owner = state?.device(device)?.owner;
    if (state === undefined || owner === undefined) return undefined;
    if (equalBytes(owner, subject)) return accessKeys({ device, owner, subject });
    const found = this.#find(state, { device, subject, ...(wanted && { wanted }) });
    const path = found === undefined ? { granters: [] } : pathOf(found);
    return accessKeys({ device, owner, subject, path });
  }

  stream(from: number, keys: readonly StateKey[]): Uint8Array | undefined {
    const answer = this.#light.answer({
      epoch: epoch(from),
      height: height(0),
      thirds: 2,
      wants: keys.map((key) => ({ kind: 'state', key })),
    });
    return answer.ok && answer.value.length <= LIMITS.proofBytesMax ? answer.value : undefined;
  }

  epoch(): number {
    return this.#newest?.header.epoch ?? 0;
  }

  deviceNews(device: Address): string {
    const state = this.#stateShown();
    const record = state?.device(device);
    const rental = state?.record('rental', idText(device));
    const running = rental && `${toHex(rental.id)} ${rental.running?.end ?? 'not begun'}`;
    return record === undefined ? '' : `${record.state} ${record.transfers} ${running ?? 'not rented'}`;
  }

  /** What can be shown lies some blocks behind the newest header. */
  #stateShown(): LedgerState | undefined {
    return this.#newest && this.#chain.stateUnder(this.#newest.header.height);
  }

  mayRead(device: Address, subject: Address, at: Millis): boolean {
    for (const found of accessOf(this.#chain.state.records, device, subject))
      if ([...termsIn(found)].every((terms) => mayRead(terms, at))) return true;
    return false;
  }

  trustUpdate(): Uint8Array | undefined {
    const newest = this.#linked();
    return newest === undefined ? undefined : encodeLinkedHeader(newest);
  }

  #find(
    state: LedgerState,
    o: { readonly device: Address; readonly subject: Address; readonly wanted?: Wanted },
  ): FoundAccess | undefined {
    const { device, subject, wanted } = o;
    const at = wanted?.at ?? this.#newest?.header.time ?? millis(0);
    return findAccess(state.records, {
      device,
      subject,
      allows: (terms) =>
        wanted === undefined ? inForce(terms, at) : termsRefusal(terms, wanted.action, at) === undefined,
    });
  }

  #linked(): LinkedHeader | undefined {
    const newest = this.#newest;
    return newest === undefined ? undefined : { ...newest, hops: this.#hops.latestTo(newest) };
  }

  onHead(listener: () => void): () => void {
    let toldAt = 0;
    return this.#chain.onCommitted(({ block }) => {
      const now = this.#now();
      // A block that changes records others need proofs of is told at once.
      const urgent = block.transactions.some(({ tx }) => URGENT.has(tx.body.kind));
      if (!urgent && now - toldAt < HEAD_MS_MIN) return;
      toldAt = now;
      listener();
    });
  }
}

/** Name of the maker of a batch, for people. */
export function batchOf(chain: Chain, batch: Hash): { maker?: string } {
  const record = chain.state.batch(batch);
  const maker = record === undefined ? undefined : chain.state.maker(record.maker);
  return maker === undefined ? {} : { maker: maker.name === '' ? toHex(batch).slice(0, 8) : maker.name };
}
