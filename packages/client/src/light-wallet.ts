/**
 * The wallet's light client (spec CLIENT-14): it starts from a genesis document or a pinned checkpoint, and believes what quorums
 * signed, whichever gateways it asks. What it has proved it keeps, so that it can be shown, with its age, when nobody answers.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { ok, type Ok, type Result } from '@itc/core/bytes/result.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import type { Address } from '@itc/core/ledger/address.js';
import { headerHash } from '@itc/core/ledger/block.js';
import { height, type Height } from '@itc/core/ledger/ids.js';
import { encodeTrust, trustGenesis } from '@itc/core/light/trust.js';
import { accountKey, deviceKey, grantKey, parseStateKey, type StateKey } from '@itc/core/state/keys.js';
import { decodeRecord, type Account, type Device, type GrantRecord } from '@itc/core/state/records.js';
import type { CoSigned, CoSignedClient } from './co-signed-client.ts';
import { compareGateways, type Compared, type GatewayReport } from './light-compare.ts';
import { keptReading, readingOfKept, readingProved, type ProvedReading } from './light-reading.ts';
import {
  askLight,
  fault,
  lastOf,
  recordsShown,
  reportEvidence,
  type LightAnswer,
  type LightAsk,
  type LightFault,
  type LightRefusal,
  type LightWant,
} from './light-request.ts';
import { Asking, chainOf, PARTS_MAX, trustOf, type AskingOptions, type LightStart } from './light-start.ts';
import {
  CONFLICTS_MAX,
  convicted,
  decodeKept,
  encodeKept,
  proofLine,
  SEEN_MAX,
  type Kept,
  type LightConflict,
  type LightStore,
  type ProofLine,
  type Seen,
} from './light-store.ts';

export interface LightWalletOptions extends AskingOptions {
  /** URLs in the order in which they are asked; none is trusted. One to `GATEWAYS_MAX`. */
  readonly gateways: readonly string[];
  readonly store: LightStore;
  /** Fresh bytes of the platform, for nonces. */
  readonly random: (length: number) => Uint8Array;
  /** Milliseconds since 1970. Together with `trustingMs`: one third of the trusted weight vouches for a later set. */
  readonly now?: () => number;
  /** Shorter than bonds stay punishable (STATE-10.7). */
  readonly trustingMs?: number;
  /** Plain JavaScript when left out: slow enough to want a worker in a browser. */
  readonly verify?: SignatureVerifier;
  /**
   * Demands co-signatures: what is read is believed when this client has it proved under them, whatever Ed25519 says, and is as
   * old as the newest co-signed checkpoint. Nothing falls back to the plain proofs.
   */
  readonly coSigned?: CoSignedClient;
}

/** What was proved, and under which header. */
export interface Proved<T> extends ProofLine {
  readonly value: T;
  /** Asked; absent for what was remembered. */
  readonly gateway?: string;
}

/** `last`: what was proved before, when nothing could be proved now. */
export type Unproved<T> = LightFault & { readonly last?: Proved<T> };
export type Reading<T> = Ok<Proved<T>> | Unproved<T>;

export interface Synced extends ProofLine {
  readonly hops: number;
  /** A gateway said, over a nonce of ours, that it knows no newer header. */
  readonly isFresh: boolean;
  /** One for each gateway, in their order. */
  readonly gateways: readonly GatewayReport[];
}

export const GATEWAYS_MAX = 8;
/** As many as a node answers at once (LIGHT-10.1). */
export const WANTS_MAX = 16;
const NONCE_BYTES = 32;

export class LightWallet {
  readonly #o: LightWalletOptions;
  readonly #asking: Asking;
  #kept: Kept;

  private constructor(options: LightWalletOptions, kept: Kept) {
    this.#o = options;
    this.#asking = new Asking(options, verifySignature);
    this.#kept = kept;
  }

  /** Goes on from what the store holds where that is of the same chain and not older than the start. Asks no gateway. */
  static async open(start: LightStart, options: LightWalletOptions): Promise<Ok<LightWallet> | LightFault> {
    const count = options.gateways.length;
    if (count < 1 || count > GATEWAYS_MAX)
      throw new RangeError(`expected 1 to ${GATEWAYS_MAX} gateways, got ${count}`);
    const begun = trustOf(start, (genesis) => ok(encodeTrust(trustGenesis(genesis))));
    if (!begun.ok) return fault('other-chain', undefined, begun.message);
    const stored = await options.store.read();
    const kept = stored === undefined ? undefined : decodeKept(stored);
    const fresh: Kept = { trust: begun.value, head: undefined, seen: [], conflicts: [] };
    if (kept === undefined || !kept.ok) return ok(new LightWallet(options, fresh));
    if (!equalBytes(chainOf(kept.value.trust), chainOf(begun.value)))
      return fault(
        'other-chain',
        undefined,
        `what is kept here is of chain ${toHex(chainOf(kept.value.trust))}`,
      );
    const isAhead = lastOf(kept.value.trust).height >= lastOf(begun.value).height;
    return ok(
      new LightWallet(options, isAhead ? kept.value : { ...kept.value, trust: begun.value, head: undefined }),
    );
  }

  /** Genesis hash. */
  get chain(): Hash {
    return chainOf(this.#kept.trust);
  }

  /** 149 bytes: a checkpoint to pin elsewhere. */
  get trust(): Uint8Array {
    return this.#kept.trust.slice();
  }

  get height(): Height {
    return this.#o.coSigned?.height ?? height(lastOf(this.#kept.trust).height);
  }

  /** Headers that contradicted each other; `convicted` tells who signed both. */
  get conflicts(): readonly LightConflict[] {
    return this.#kept.conflicts;
  }

  /**
   * To the newest header any gateway shows, with one request to each. Gateways that are behind, silent or lying are named. Those
   * that show another chain of headers are a conflict: the trust stays where it is. `also`: gateways that are asked this time, for
   * comparison, besides those of the wallet.
   */
  sync(also: readonly string[] = []): Promise<Ok<Synced> | LightFault> {
    const gateways = [...this.#o.gateways, ...also];
    if (gateways.length > GATEWAYS_MAX)
      throw new RangeError(`expected at most ${GATEWAYS_MAX} gateways, got ${gateways.length}`);
    return this.#asking.inTurn(async () => {
      const coSigned = await this.#o.coSigned?.sync();
      if (coSigned !== undefined) return coSigned.ok ? ok(coSyncedOf(coSigned.value)) : coSigned;
      const compared = await this.#compared(gateways);
      if (compared.conflict !== undefined) {
        await this.#keepConflict(compared.conflict);
        return fault(
          'conflict',
          compared.gateway,
          'gateways show certified headers that contradict each other',
        );
      }
      const { best, reports } = compared;
      if (best === undefined) return compared.fault;
      await this.#advance(best, []);
      const { hops, isFresh } = best;
      return ok({ ...proofLine(best.head), hops, isFresh, gateways: reports });
    });
  }

  /** After months away one answer may lead a part of the way only: it says nothing of freshness, and the next one goes on from there. */
  async #compared(gateways: readonly string[]): Promise<Compared> {
    for (let parts = 1; ; parts += 1) {
      const nonce = this.#o.random(NONCE_BYTES);
      const compared = await compareGateways({
        gateways,
        ask: (gateway, wants) => this.#ask(gateway, wants, wants.length === 0 ? nonce : undefined),
        believed: this.#kept.head,
      });
      const { best } = compared;
      if (best === undefined || best.hops === 0 || best.isFresh || parts === PARTS_MAX) return compared;
      await this.#advance(best, []);
    }
  }

  /**
   * Tells gateways who has signed headers that contradict each other. None is believed to pass it on, so all are told; where it has to be
   * certain, the evidence is sent as a transaction. The gateways that took it.
   */
  async report(also: readonly string[] = []): Promise<readonly string[]> {
    const evidence = this.conflicts.flatMap(convicted);
    const taken = new Set<string>();
    for (const gateway of [...this.#o.gateways, ...also])
      for (const one of evidence)
        if (
          await reportEvidence({
            gateway,
            evidence: one,
            fetch: this.#asking.fetch,
            signal: this.#asking.deadline(),
          })
        )
          taken.add(gateway);
    return [...taken];
  }

  account(address: Address): Promise<Reading<Account | undefined>> {
    return this.#record(accountKey(address), (bytes) => decodeRecord('account', bytes));
  }

  device(address: Address): Promise<Reading<Device | undefined>> {
    return this.#record(deviceKey(address), (bytes) => decodeRecord('device', bytes));
  }

  /** The grant of a device or group to a subject, or that there is none. */
  grant(scope: Uint8Array, subject: Address): Promise<Reading<GrantRecord | undefined>> {
    return this.#record(grantKey(scope, subject), (bytes) => decodeRecord('grant', bytes));
  }

  /** Up to `WANTS_MAX` records of one moment, in the order asked for; undefined where the key provably holds nothing. */
  records(keys: readonly StateKey[]): Promise<Reading<readonly (Uint8Array | undefined)[]>> {
    if (keys.length < 1 || keys.length > WANTS_MAX)
      throw new RangeError(`expected 1 to ${WANTS_MAX} keys, got ${keys.length}`);
    const { coSigned } = this.#o;
    if (coSigned !== undefined) return coSigned.records(keys);
    return this.#asking.inTurn(async () => {
      const asked = await this.#read(keys.map((key) => ({ kind: 'state', key })));
      if (!asked.ok) return { ...asked, ...lastOfAll(this.#kept.seen, keys) };
      const shown = recordsShown(asked.value, keys);
      if (!shown.ok) return shown;
      const { gateway, head } = asked.value;
      const { value } = shown;
      const proof = proofLine(head);
      await this.#advance(
        asked.value,
        keys.map((name, i) => ({ name, value: value[i], proof })),
      );
      return ok({ value, gateway, ...proof });
    });
  }

  /** That a transaction is in a block; the height and time are that block's. */
  transaction(id: Hash): Promise<Reading<Hash>> {
    return this.#event('transaction', id);
  }

  /** That the gateway's subnet applied a payload, for good; the newer way, without the payload itself. */
  applied(id: Hash): Promise<Reading<Hash>> {
    return this.#event('payload', id);
  }

  /**
   * A payload with its readings: signed by its device (or attested by a gateway), applied by two thirds of its subnet's stake,
   * ordered by a block which the history of the newest believed header holds.
   */
  payload(id: Hash): Promise<Reading<ProvedReading>> {
    const { coSigned } = this.#o;
    if (coSigned !== undefined) return coSigned.payload(id);
    return this.#asking.inTurn(async () => {
      const name = nameOf('payload', id);
      let last: LightFault = fault('unreachable', undefined, 'no gateway was asked');
      for (const gateway of this.#o.gateways) {
        const found = await readingProved({
          gateway,
          chain: this.chain,
          id,
          verify: this.#asking.verify,
          fetch: this.#asking.fetch,
          signal: this.#asking.deadline(),
          ask: (wants) => this.#ask(gateway, wants),
        });
        if (found.ok) {
          const { value, under, anchor } = found.value;
          await this.#advance(anchor, [{ name, value: keptReading(value), proof: under }]);
          return ok({ value, gateway, ...under });
        }
        if (found.code === 'conflict') return await this.#contradicted(found);
        last = found;
      }
      const seen = this.#seen(name);
      const value = seen?.value === undefined ? undefined : readingOfKept(this.chain, seen.value);
      return seen === undefined || value === undefined ? last : { ...last, last: { value, ...seen.proof } };
    });
  }

  async #record<T>(key: StateKey, read: (bytes: Uint8Array) => Result<T>): Promise<Reading<T | undefined>> {
    const records = await this.records([key]);
    const decoded = (proved: Proved<readonly (Uint8Array | undefined)[]>): Proved<T | undefined> => {
      const [bytes] = proved.value;
      const record = bytes === undefined ? undefined : read(bytes);
      // The ledger's own bytes, by quorum: of a later version than this program, or a bug of ours.
      if (record !== undefined && !record.ok)
        throw new TypeError(`a ${parseStateKey(key)?.kind} of the ledger cannot be read: ${record.message}`);
      return { ...proved, value: record?.value };
    };
    if (records.ok) return ok(decoded(records.value));
    const { last, ...rest } = records;
    return last === undefined ? rest : { ...rest, last: decoded(last) };
  }

  #event(want: 'transaction' | 'payload', id: Hash): Promise<Reading<Hash>> {
    const { coSigned } = this.#o;
    if (coSigned !== undefined) return coSignedEvent(coSigned, want, id);
    const kind = want === 'payload' ? 'applied' : want;
    const name = nameOf(kind, id);
    return this.#asking.inTurn(async () => {
      const asked = await this.#read([{ kind: want, id }]);
      if (!asked.ok) {
        const seen = this.#seen(name);
        return seen === undefined ? asked : { ...asked, last: { value: id, ...seen.proof } };
      }
      const { gateway, head, events, earlier } = asked.value;
      const shown = events.some(
        (event) =>
          (event.kind === 'transaction' || event.kind === 'applied') &&
          event.kind === kind &&
          equalBytes(event.id, id),
      );
      if (!shown) return fault('missing', gateway, `the answer does not show ${toHex(id)}`);
      const proof = proofLine(head, earlier);
      await this.#advance(asked.value, [{ name, value: undefined, proof }]);
      return ok({ value: id, gateway, ...proof });
    });
  }

  /** The first gateway that proves it. A conflict is not passed over: it is kept, and ends the search. */
  async #read(wants: readonly LightWant[]): Promise<Ok<LightAnswer> | LightFault> {
    let last: LightFault = fault('unreachable', undefined, 'no gateway was asked');
    for (const gateway of this.#o.gateways) {
      let answer = await this.#ask(gateway, wants);
      // A part of the way, and nothing of what was asked for yet.
      for (let parts = 1; answer.ok && isPart(answer.value) && parts < PARTS_MAX; parts += 1) {
        await this.#advance(answer.value, []);
        answer = await this.#ask(gateway, wants);
      }
      if (answer.ok) return answer;
      if (answer.code === 'conflict') return await this.#contradicted(answer);
      last = answer;
    }
    return last;
  }

  #ask(
    gateway: string,
    wants: readonly LightWant[],
    nonce?: Uint8Array,
  ): Promise<Ok<LightAnswer> | LightRefusal> {
    const { now, trustingMs } = this.#o;
    const ask: LightAsk = {
      gateway,
      trust: this.#kept.trust,
      wants,
      verify: this.#asking.verify,
      fetch: this.#asking.fetch,
      signal: this.#asking.deadline(),
      ...(nonce && { nonce }),
      ...(now && trustingMs !== undefined && { now: now(), trustingMs }),
    };
    return askLight(ask);
  }

  #seen(wanted: Uint8Array): Seen | undefined {
    return this.#kept.seen.find(({ name }) => equalBytes(name, wanted));
  }

  async #contradicted(refusal: LightRefusal): Promise<LightFault> {
    const { head: second, ...rest } = refusal;
    if (second !== undefined) {
      const first = this.#kept.head;
      const isSame = first?.header.height === second.header.height;
      await this.#keepConflict({
        height: second.header.height,
        first: isSame ? first : undefined,
        second,
        earlier: undefined,
      });
    }
    return rest;
  }

  async #keepConflict(conflict: LightConflict): Promise<void> {
    const { conflicts } = this.#kept;
    const isKnown = conflicts.some(
      ({ second }) =>
        second.header.height === conflict.second.header.height &&
        equalBytes(headerHash(second.header), headerHash(conflict.second.header)),
    );
    if (isKnown || conflicts.length >= CONFLICTS_MAX) return;
    await this.#keep({ ...this.#kept, conflicts: [...conflicts, conflict] });
  }

  /** Trust moves first, in the same write as what was proved under it. */
  async #advance({ trust, head }: LightAnswer, seen: readonly Seen[]): Promise<void> {
    const old = this.#kept.seen.filter(({ name }) => !seen.some((one) => equalBytes(one.name, name)));
    await this.#keep({ ...this.#kept, trust, head, seen: [...old, ...seen].slice(-SEEN_MAX) });
  }

  async #keep(kept: Kept): Promise<void> {
    this.#kept = kept;
    await this.#o.store.write(encodeKept(kept));
  }
}

/** No gateway can say that there is no newer checkpoint: its word would be one of Ed25519. */
function coSyncedOf({ value, height: at, time, signers, weight, total }: CoSigned<number>): Synced {
  return { height: at, time, signers, weight, total, hops: value, isFresh: false, gateways: [] };
}

async function coSignedEvent(
  coSigned: CoSignedClient,
  want: 'transaction' | 'payload',
  id: Hash,
): Promise<Reading<Hash>> {
  if (want === 'transaction') return coSigned.transaction(id);
  const proved = await coSigned.payload(id);
  return proved.ok ? ok({ ...proved.value, value: id }) : proved;
}

/** Under which name a value that is no record is remembered; record kinds stay below. */
function nameOf(kind: 'transaction' | 'applied' | 'payload', id: Hash): Uint8Array {
  const name = new Uint8Array(1 + HASH_BYTES);
  name[0] = { transaction: 0xf0, applied: 0xf1, payload: 0xf2 }[kind];
  name.set(id, 1);
  return name;
}

/** Only when all are remembered, under the oldest of their proofs. */
function lastOfAll(
  seen: readonly Seen[],
  keys: readonly StateKey[],
): { readonly last?: Proved<readonly (Uint8Array | undefined)[]> } {
  const found = keys.flatMap((key) => seen.filter(({ name }) => equalBytes(name, key)));
  const [first] = found;
  if (first === undefined || found.length !== keys.length) return {};
  const oldest = found.reduce((a, b) => (b.proof.height < a.proof.height ? b : a), first);
  return { last: { value: found.map(({ value }) => value), ...oldest.proof } };
}

function isPart({ hops, events }: LightAnswer): boolean {
  return hops > 0 && events.every(({ kind }) => kind === 'believed' || kind === 'done');
}
