/**
 * The entry of a subnet in the bench: devices whose payloads are signed before they are needed, and the gateway they hand
 * them to. It does with each what a gateway does before it answers for it: form, the device's signature, then the member's
 * queue.
 */
import { setImmediate as yieldToOthers } from 'node:timers/promises';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import {
  encodePayload,
  identifyPayloads,
  parsePayload,
  payloadSigningBytes,
  type Payload,
} from '@itc/core/ledger/payload.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import type { NodeProcess } from '@itc/node/runtime/process.js';
import type { Subnet } from '@itc/node/runtime/subnet.js';
import { reading } from './dag-verify.ts';
import type { Completion } from './load.ts';
import { keysOf } from './network.ts';

/** Payloads checked at a time, and how many such batches. */
const BATCH = 128;
const BATCHES_MAX = 4;
/** Signed without letting the process do anything else. */
const SIGNED_AT_ONCE = 200;
const STOCK_BYTES = 1 << 20;

/**
 * Payloads signed beforehand, a hundred thousand and more, side by side: in an array each, the collector of the process that is
 * measured would have all of them to look through, and they are outside of it in fact.
 */
class Stock {
  #pieces: Uint8Array[] = [];
  #used = 0;
  /** Of each its piece, and where it begins and ends there. */
  #places: number[] = [];
  #taken = 0;

  get length(): number {
    return this.#places.length / 3 - this.#taken;
  }

  push(bytes: Uint8Array): void {
    let piece = this.#pieces.at(-1);
    if (piece === undefined || this.#used + bytes.length > piece.length) {
      piece = new Uint8Array(STOCK_BYTES);
      this.#pieces.push(piece);
      this.#used = 0;
    }
    piece.set(bytes, this.#used);
    this.#places.push(this.#pieces.length - 1, this.#used, this.#used + bytes.length);
    this.#used += bytes.length;
  }

  /** The oldest, as it would come off a socket. */
  shift(): Uint8Array | undefined {
    if (this.length === 0) return undefined;
    const place = 3 * this.#taken;
    const piece = this.#pieces[this.#places[place] as number] as Uint8Array;
    this.#taken += 1;
    return piece.slice(this.#places[place + 1], this.#places[place + 2]);
  }

  /** Forgets what was taken. */
  clear(): void {
    if (this.length > 0) return;
    this.#pieces = [];
    this.#places = [];
    this.#taken = 0;
  }
}

/** COSE_Sign1 of many devices in turn, one reading each, numbered without gaps. */
export class Devices {
  readonly #chain: Hash;
  readonly #keys: readonly KeyPair[];
  readonly #sequences: number[];
  #turn = 0;
  readonly #ready = new Stock();

  constructor(o: {
    readonly chain: Hash;
    readonly seed: number;
    readonly count: number;
    readonly name?: string;
  }) {
    const { name = 'device' } = o;
    this.#chain = o.chain;
    this.#keys = Array.from({ length: o.count }, (_, i) => keysOf(o.seed, `${name} ${i}`));
    this.#sequences = this.#keys.map(() => 0);
  }

  /** Has that many ready. */
  async prepare(count: number): Promise<void> {
    this.#ready.clear();
    while (this.#ready.length < count) {
      for (let i = 0; i < SIGNED_AT_ONCE; i += 1) this.#ready.push(this.#make());
      await yieldToOthers();
    }
  }

  next(): Uint8Array {
    return this.#ready.shift() ?? this.#make();
  }

  /** The next `count` of one device. */
  spool(device: number, count: number): Uint8Array[] {
    return Array.from({ length: count }, () => this.#sign(device));
  }

  #make(): Uint8Array {
    const device = this.#turn;
    this.#turn = (device + 1) % this.#keys.length;
    return this.#sign(device);
  }

  #sign(device: number): Uint8Array {
    const keys = this.#keys[device] as KeyPair;
    const sequence = (this.#sequences[device] as number) + 1;
    this.#sequences[device] = sequence;
    const unsigned = {
      signer: keys.publicKey,
      device: keys.address,
      sequence,
      contentType: 'senml+json' as const,
      content: utf8Encode(`[${reading(sequence)}]`),
    };
    return encodePayload(unsigned, keys.sign(payloadSigningBytes(this.#chain, unsigned)));
  }
}

interface Arrival {
  readonly bytes: Uint8Array;
  readonly started: number;
  /** Called when the member has it: the device may forget it, and send the next. */
  readonly taken: (() => void) | undefined;
}

export class EntryGateway {
  readonly #node: NodeProcess;
  readonly #subnet: Subnet;
  readonly #arrivals: Arrival[] = [];
  #first = 0;
  #checking = 0;
  /** By the id itself: the member tells of a payload with the object it was given. */
  readonly #started = new Map<Hash, number>();
  #completions: Completion[] = [];
  #finals = 0;
  readonly #watchers: (() => void)[] = [];

  constructor(node: NodeProcess) {
    const { subnet } = node;
    if (subnet === undefined) throw new Error('the member here has no subnet');
    this.#node = node;
    this.#subnet = subnet;
    subnet.listen({
      progress: ({ stage, payloads }) => {
        if (stage !== 'final') return;
        const done = performance.now();
        for (const id of payloads) {
          const started = this.#started.get(id);
          if (started === undefined) continue;
          this.#started.delete(id);
          this.#completions.push({ started, done });
          this.#finals += 1;
        }
        for (const watcher of this.#watchers) watcher();
      },
    });
  }

  /** Handed in and not final. */
  get inFlight(): number {
    return this.#started.size + this.#arrivals.length - this.#first + this.#checking;
  }

  /** Payloads final since it began. */
  get finals(): number {
    return this.#finals;
  }

  /** Called after each checkpoint. */
  watch(watcher: () => void): void {
    this.#watchers.push(watcher);
  }

  /** What became final since the last call. */
  takeCompletions(): readonly Completion[] {
    const completions = this.#completions;
    this.#completions = [];
    return completions;
  }

  /** Throws when the member has stopped, with its reason. */
  check(): void {
    if (this.#subnet.failure !== undefined)
      throw new Error('the member here has stopped', { cause: this.#subnet.failure });
  }

  /** Returns the moment, as its completion names it. */
  handIn(bytes: Uint8Array, taken?: () => void): number {
    const started = performance.now();
    this.#arrivals.push({ bytes, started, taken });
    if (this.#checking === 0) queueMicrotask(() => this.#run());
    return started;
  }

  #run(): void {
    while (this.#first < this.#arrivals.length && this.#checking < BATCH * BATCHES_MAX) {
      const batch = this.#arrivals.slice(this.#first, this.#first + BATCH);
      this.#first += batch.length;
      this.#checking += batch.length;
      void this.#verify(batch);
    }
    if (this.#first < 4_096 && this.#first < this.#arrivals.length) return;
    this.#arrivals.splice(0, this.#first);
    this.#first = 0;
  }

  async #verify(batch: readonly Arrival[]): Promise<void> {
    const payloads = batch.map(({ bytes }): Payload => {
      const parsed = parsePayload(this.#node.chain.id, bytes, true);
      if (!parsed.ok) throw new Error(parsed.message);
      return parsed.value;
    });
    identifyPayloads(payloads);
    const verdicts = await this.#node.pool.verifyBatch(
      payloads.map(({ signer, signedBytes, signature }) => ({
        key: signer.bytes,
        message: signedBytes,
        signature,
      })),
    );
    this.#checking -= batch.length;
    for (const [i, payload] of payloads.entries()) {
      const { started, taken } = batch[i] as Arrival;
      if (verdicts[i] !== true) throw new Error('a device of the bench has signed badly');
      const offered = this.#subnet.offer(payload);
      if (!offered.ok) throw new Error(`the member takes no more: ${offered.message}`);
      this.#started.set(payload.id, started);
      taken?.();
    }
    this.#run();
  }
}
