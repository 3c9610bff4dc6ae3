/**
 * Light clients beside a run of the main chain. They hold the genesis hash, or an older trust, and ask nodes that are right, nodes
 * that lag behind and servers that lie; through the production reader all of them.
 */
import { asAddress } from '@itc/core/ledger/address.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { epoch, height, millis } from '@itc/core/ledger/ids.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { LightReader, type LightEvent, type LightReaderOptions } from '@itc/core/light/light-reader.js';
import { encodeLightStream, type LightStream } from '@itc/core/light/stream.js';
import { encodeTrust } from '@itc/core/light/trust.js';
import type { CommittedBlock } from '@itc/core/pbft/effects.js';
import type { Message } from '@itc/core/pbft/messages.js';
import { accountKey, EPOCH_KEY, type StateKey } from '@itc/core/state/keys.js';
import { Violation } from '../checkers/checker.ts';
import { LightBeliefs } from '../checkers/light-beliefs.ts';
import { streamFlaw, type Clock } from '../checkers/light-rules.ts';
import { fakeKey, fakeSign, fakeVerify } from '../fake-crypto.ts';
import type { BlockTree } from '../pbft/sim-block.ts';
import { GENESIS_MS, readBlock } from '../pbft/sim-block.ts';
import type { SimLedger } from '../pbft/sim-ledger.ts';
import type { Random } from '../random.ts';
import type { Tally } from '../tally.ts';
import { asRead } from './as-read.ts';
import { Archive, type Gateway, type Request, type Want } from './archive.ts';
import { Knowledge } from './knowledge.ts';
import { Liar } from './liar.ts';
import { goOn } from './long-sleep.ts';
import { readTrust } from './trust.ts';

/** Of `LightReader`: a mutation puts another one in its place. */
export interface StreamReader {
  push(input: Uint8Array): LightEvent[];
  readonly isDone: boolean;
}
export type MakeReader = (options: LightReaderOptions) => StreamReader;

export const PRODUCTION: MakeReader = (options) => new LightReader(options);

interface Client {
  readonly name: string;
  trust: Uint8Array;
  /** Whether it knows what time it is. */
  readonly clock: boolean;
  readonly trustingMs: number;
  asked: number;
}

/** The verdict on one answer. */
interface Verdict {
  readonly isDone: boolean;
  readonly trust: Uint8Array | undefined;
  readonly proved: number;
  readonly refusal: string | undefined;
}

/** Gateways sign with keys of their own. */
const GATEWAYS = 200;
/** Lies after each honest answer. */
const LIES = 4;
const KEYS_ASKED = 3;

export class LightWatch {
  readonly truth: Archive;
  readonly knowledge: Knowledge;
  readonly #beliefs: LightBeliefs;
  readonly #liar: Liar;
  readonly #tree: BlockTree;
  readonly #random: Random;
  readonly #tally: Tally;
  readonly #make: MakeReader;
  readonly #genesisTrust: Uint8Array;
  readonly #clients: Client[] = [];
  readonly #archives: Map<number, Archive> = new Map();
  /** Keys whose records are asked for, and some of records that are not there. */
  #keys: readonly StateKey[] = [];

  constructor(o: {
    readonly ledger: SimLedger;
    readonly chain: Hash;
    readonly tree: BlockTree;
    readonly villains: ReadonlySet<number>;
    readonly random: Random;
    readonly tally: Tally;
    readonly make: MakeReader | undefined;
  }) {
    const { ledger, chain, tree, villains, random } = o;
    const validators = ledger.validatorsOf(0) ?? [];
    this.truth = new Archive(chain, validators);
    this.knowledge = new Knowledge({ truth: this.truth, tree, villains });
    this.#beliefs = new LightBeliefs(this.truth);
    this.#random = random;
    this.#tree = tree;
    this.#liar = new Liar(this.knowledge, random.fork());
    this.#tally = o.tally;
    this.#make = o.make ?? PRODUCTION;
    this.#genesisTrust = encodeTrust({
      chain,
      epoch: epoch(0),
      validators,
      last: { height: height(0), time: millis(GENESIS_MS), hash: chain, stateRoot: ZERO as Hash },
      ended: false,
      certificate: undefined,
    });
    this.#join('always there', false);
    this.#join('with a clock', true);
    this.#join('sleeper', false);
    this.#join('sleeper with a clock', true);
  }

  #join(name: string, clock: boolean, trust: Uint8Array = this.#genesisTrust): Client {
    const client = { name, clock, trust, trustingMs: this.#random.pick([1_000, 10_000, 100_000]), asked: 0 };
    this.#clients.push(client);
    return client;
  }

  hears(message: Message): void {
    this.knowledge.hears(message);
  }

  /** The first node has delivered it, and the ledger that goes with the truth has executed it. */
  committed(committed: CommittedBlock, ledger: SimLedger): void {
    keep(this.truth, committed, ledger);
    this.#beliefs.grown();
    const { state } = ledger;
    this.#keys = [];
    if (this.#random.chance(0.2)) this.#pin();
    if (state.size > 0) this.#keys = [...pickSome(state.entries(), this.#random), ...ABSENT];
  }

  /** A client that somebody has told of a header he believes: a checkpoint in an application, or a restored backup. */
  #pin(): void {
    const { truth } = this;
    const kept = truth.newest;
    if (kept === undefined || this.#clients.length > CLIENTS_MAX) return;
    const { header, hash, validators } = kept;
    const { time, stateRoot } = header;
    const trust = encodeTrust({
      chain: truth.chain,
      epoch: header.epoch,
      validators,
      last: { height: header.height, time, hash, stateRoot },
      ended: header.flags === 1,
      certificate: undefined,
    });
    this.#join(`pinned at height ${header.height}`, this.#random.chance(0.5), trust);
  }

  /**
   * Some client asks: first servers that lie, then a node.
   *
   * @returns milliseconds until the next one does
   */
  turn(now: number, nodes: ReadonlyMap<number, SimNode>): number {
    const pause = this.#random.between(50, 500);
    if (this.truth.height === 0) return pause;
    const client = this.#random.chance(0.2) ? this.#stranger() : this.#random.pick(this.#awake());
    const served = this.#random.pick([...nodes.keys(), -1]);
    const archive = served < 0 ? this.truth : this.#archiveOf(served, nodes.get(served) as SimNode);
    this.#asks(client, now, archive, served < 0 ? GATEWAYS : GATEWAYS + 1 + served);
    return pause;
  }

  /** Somebody who has never asked before. */
  #stranger(): Client {
    return {
      name: 'stranger',
      trust: this.#genesisTrust,
      clock: this.#random.chance(0.5),
      trustingMs: 10_000,
      asked: 0,
    };
  }

  /** At the end everybody asks; then the chain goes on through many epochs, and everybody asks once more. */
  wakeUp(now: number): void {
    const { truth, knowledge } = this;
    for (const client of this.#awake()) this.#asks(client, now, truth, GATEWAYS);
    if (truth.height === 0) return;
    // What is decided and delivered nowhere is not among what the chain goes on from.
    const everyone = this.#clients.filter(({ trust }) => readTrust(trust).height <= truth.height);
    const random = this.#random;
    goOn({
      truth,
      tree: this.#tree,
      villains: knowledge.villains,
      random,
      epochs: random.pick([2, 5, 10, 40]),
    });
    this.#tally.add('light: epochs at the end', truth.epoch);
    const later = truth.newest?.header.time ?? now;
    for (const client of [...everyone, this.#stranger()]) this.#asks(client, later, truth, GATEWAYS);
  }

  #awake(): Client[] {
    return this.#clients.filter(({ name }) => !name.startsWith('sleeper'));
  }

  #asks(client: Client, now: number, archive: Archive, gatewayKey: number): void {
    const before = readTrust(client.trust);
    const clock: Clock = { now: client.clock ? Math.round(now) : 0, trustingMs: client.trustingMs };
    client.asked += 1;
    const nonce = fakeSign(
      fakeKey(GATEWAYS - 1),
      Uint8Array.of(client.asked & 255, client.asked >> 8, this.#random.below(256)),
    ).slice(0, 32);
    const gateway = gatewayOf(gatewayKey);
    const isRecent = clock.now !== 0 && clock.now < before.time + clock.trustingMs;
    const wants = this.#wants(archive.height);
    // The client hopes for the shorter way first, where it may take it.
    for (const thirds of isRecent ? ([1, 2] as const) : ([2] as const)) {
      const request: Request = { epoch: before.epoch, thirds, wants, nonce, now };
      const honest = archive.answer(request, gateway);
      if (honest === undefined) return;
      this.#beliefs.stated(gateway.key.bytes, nonce);
      const isLast = thirds === 2 || streamFlaw(before, honest, clock) === undefined;
      if (!isLast) continue;
      this.#lies(client, honest, { clock, nonce });
      this.#honest(client, honest, { clock, nonce });
      return;
    }
  }

  #honest(client: Client, stream: LightStream, o: Asked): void {
    const before = readTrust(client.trust);
    const bytes = encodeLightStream(stream);
    const where = `${client.name}, honest answer at height ${stream.header.height}`;
    const verdict = this.#read(client, bytes, where, o);
    this.knowledge.remembers(bytes, this.#random);
    const isBehind = stream.header.height < before.height;
    if (isBehind) {
      if (verdict.trust !== undefined) throw new Violation('light', `${where}: an older header is believed`);
      this.#tally.add('light: stale answer refused');
      return;
    }
    this.#compare(client, stream, verdict, where, o);
    if (!verdict.isDone || verdict.trust === undefined || verdict.proved !== stream.items.length)
      throw new Violation(
        'light liveness',
        `${where}, from epoch ${before.epoch}, height ${before.height}: ${verdict.refusal ?? 'not all was proved'}`,
      );
    client.trust = verdict.trust;
    this.#tally.add('light: honest answer believed');
    this.#tally.add('light: hops taken', stream.hops.length);
    this.#tally.add('light: items proved', verdict.proved);
  }

  #lies(client: Client, honest: LightStream, o: Asked): void {
    for (let i = 0; i < LIES; i += 1) {
      const lie = this.#liar.lie(honest, readTrust(client.trust).epoch);
      if (lie === undefined) continue;
      const where = `${client.name}, a lie (${lie.name}) at height ${honest.header.height}`;
      const verdict = this.#read(client, lie.bytes, where, o);
      if (lie.stream !== undefined) this.#compare(client, lie.stream, verdict, where, o);
      this.#tally.add(`light lie: ${lie.name}`);
      if (verdict.isDone) this.#tally.add(`light lie without effect: ${lie.name}`);
    }
  }

  /** Believed or not: as the rules have it, worked out apart from the reader. */
  #compare(client: Client, stream: LightStream, verdict: Verdict, where: string, { clock }: Asked): void {
    const trust = readTrust(client.trust);
    const read = asRead(trust, stream);
    if (read === undefined) return;
    const flaw = streamFlaw(trust, read, clock);
    if (flaw !== undefined && verdict.trust !== undefined)
      throw new Violation('light rules', `${where}: believed, though ${flaw}`);
    if (flaw === undefined && verdict.trust === undefined)
      throw new Violation('light rules', `${where}: refused (${verdict.refusal}), though nothing is wrong`);
  }

  /** In pieces of any size. All that is accepted on the way is checked, whatever becomes of the rest. */
  #read(client: Client, bytes: Uint8Array, where: string, { clock, nonce }: Asked): Verdict {
    const { trust } = client;
    const options = { trust, verify: VERIFY, now: millis(clock.now), trustingMs: clock.trustingMs, nonce };
    const reader = this.#make(options);
    const before = readTrust(trust);
    const isHonestGateway = (key: Uint8Array): boolean => (key[0] as number) >= GATEWAYS;
    let proved = 0;
    let refusal: string | undefined;
    let believed: Uint8Array | undefined;
    for (let at = 0; at < bytes.length && refusal === undefined;) {
      const length = this.#random.pick([1, 33, 250, bytes.length]);
      for (const event of reader.push(bytes.subarray(at, at + length))) {
        this.#beliefs.accepted(where, before, event, { nonce, isHonestGateway });
        if (event.kind === 'refused') refusal = event.check;
        else if (event.kind === 'believed') believed = event.trust;
        else if (event.kind !== 'done') proved += 1;
      }
      at += length;
    }
    if (refusal !== undefined && believed !== undefined) this.#tally.add('light: refused behind its header');
    return { isDone: reader.isDone, trust: believed, proved, refusal };
  }

  #wants(top: number): Want[] {
    const random = this.#random;
    const wants: Want[] = random
      .shuffle(this.#keys)
      .slice(0, KEYS_ASKED)
      .map((key) => ({ kind: 'state', key }));
    if (top > 1) wants.push({ kind: 'header', height: random.between(1, top - 1) });
    for (let attempt = 0; attempt < 3 && top > 1; attempt += 1) {
      const of = random.between(1, top - 1);
      const count = this.truth.at(of)?.ids.length ?? 0;
      if (count === 0) continue;
      wants.push({ kind: 'transaction', height: of, index: random.below(count) });
      break;
    }
    return wants;
  }

  /** As far as the node has executed; begun anew where its disk has lost blocks. */
  #archiveOf(number: number, { committed, ledger }: SimNode): Archive {
    let archive = this.#archives.get(number);
    const tip = archive?.newest;
    const isSame = tip === undefined || committed[tip.header.height - 1]?.block.hash === tip.hash;
    if (archive === undefined || !isSame) {
      archive = new Archive(this.truth.chain, this.truth.setOf(0) ?? []);
      this.#archives.set(number, archive);
    }
    const top = Math.min(committed.length, ledger.height);
    for (let at = archive.height; at < top; at += 1) keep(archive, committed[at] as CommittedBlock, ledger);
    return archive;
  }
}

interface Asked {
  readonly clock: Clock;
  readonly nonce: Uint8Array;
}

/** What a node has on its disk, and what it makes of it. */
export interface SimNode {
  readonly committed: readonly CommittedBlock[];
  readonly ledger: SimLedger;
}

const CLIENTS_MAX = 8;
const ZERO = new Uint8Array(32);
const ABSENT: readonly StateKey[] = [0, 1, 2].map((n) => accountKey(asAddress(new Uint8Array(32).fill(n))));
const VERIFY: SignatureVerifier = fakeVerify;

function gatewayOf(number: number): Gateway {
  const key = fakeKey(number);
  return { key, sign: (message) => fakeSign(key, message) };
}

function keep(archive: Archive, { block, certificate }: CommittedBlock, ledger: SimLedger): void {
  const { header, ids } = readBlock(block.bytes);
  const state = ledger.stateUnder(header.height);
  if (state === undefined) throw new Error('a state that is not kept');
  archive.add({ header, hash: block.hash, certificate, ids, state }, ledger.validatorsOf(header.epoch + 1));
}

/** Keys of a few records, and always that of the epoch. */
function pickSome(
  entries: Iterable<{ readonly key: Uint8Array; readonly value: Uint8Array }>,
  random: Random,
): StateKey[] {
  const keys: StateKey[] = [EPOCH_KEY];
  for (const { key, value } of entries)
    if (value.length < 1000 && random.chance(0.1)) keys.push(key as StateKey);
  return keys;
}
