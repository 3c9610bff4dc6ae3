/**
 * What one more validator costs, past what this machine can run: production replicas with real signatures in one
 * process, every message encoded, decoded and verified as on the wire, no disks, no sockets. Simulated, and to be
 * labelled so.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import { sha256, ZERO_HASH, type Hash } from '@itc/core/crypto/hash.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import {
  encodeBlock,
  HEADER_VERSION,
  headerHash,
  transactionsRoot,
  type Header,
} from '@itc/core/ledger/block.js';
import { epoch, height, millis, type Height } from '@itc/core/ledger/ids.js';
import { sortValidators, validatorsHash } from '@itc/core/ledger/validators.js';
import type { Effects, Input } from '@itc/core/pbft/effects.js';
import { decodeMessage, encodeMessage } from '@itc/core/pbft/message-codec.js';
import type { Candidate } from '@itc/core/pbft/messages.js';
import { Replica } from '@itc/core/pbft/replica.js';
import { verifyMessage, type VerifyContext } from '@itc/core/pbft/verify.js';
import { verifyNative } from '@itc/node/crypto/native.js';
import { parseCandidate } from '@itc/node/runtime/candidates.js';
import { keysOf } from './network.ts';
import { seededRandom } from './result.ts';

export interface ConsensusCost {
  /** Microseconds of processor time of all replicas together, one sample per stretch of blocks. */
  readonly perBlockUs: readonly number[];
  /** Messages between replicas, and their bytes, bodies of blocks left out. */
  readonly messages: number;
  readonly bytes: number;
}

const STRETCH = 8;
/** Rounds of ticks in which a stretch must be decided. */
const TICKS_MAX = 1_000;

/** Blocks are empty: what their transactions cost is measured elsewhere and grows with n alone. */
export function consensusCost(
  n: number,
  o: { readonly seed: number; readonly stretches: number },
): ConsensusCost {
  const network = new Replicas(n, o.seed);
  network.run(STRETCH);
  const perBlockUs: number[] = [];
  const before = { messages: network.messages, bytes: network.bytes };
  for (let stretch = 0; stretch < o.stretches; stretch += 1) {
    const start = process.cpuUsage();
    network.run(STRETCH);
    const { user, system } = process.cpuUsage(start);
    perBlockUs.push((user + system) / STRETCH);
  }
  const blocks = STRETCH * o.stretches;
  return {
    perBlockUs,
    messages: (network.messages - before.messages) / blocks,
    bytes: (network.bytes - before.bytes) / blocks,
  };
}

class Replicas {
  readonly #replicas: readonly Replica[];
  readonly #context: VerifyContext;
  readonly #chain: Hash;
  readonly #queue: { readonly to: number; readonly from: number; readonly bytes: Uint8Array }[] = [];
  readonly #setHash: Hash;
  #delivered = 0;
  #now = 1_000;
  messages = 0;
  bytes = 0;

  constructor(n: number, seed: number) {
    const keys = Array.from({ length: n }, (_, i) => keysOf(seed, `replica ${i}`));
    const validators = sortValidators(keys.map(({ publicKey }) => ({ key: publicKey, weight: 1 })));
    const random = seededRandom(seed);
    this.#chain = sha256(utf8Encode('growth'));
    this.#setHash = validatorsHash(validators);
    this.#context = { chain: this.#chain, epoch: epoch(0), validators, verify: verifyNative };
    this.#replicas = validators.map(({ key }, self) => {
      const pair = keys.find(({ publicKey }) => toHex(publicKey.bytes) === toHex(key.bytes));
      if (pair === undefined) throw new Error('a validator without a key');
      return new Replica({
        chain: this.#chain,
        epoch: epoch(0),
        validators,
        self,
        application: { check: () => 'valid' },
        sign: pair.sign,
        random,
        restore: [],
      });
    });
  }

  /** Until the first replica has delivered that many more blocks. */
  run(blocks: number): void {
    const target = this.#delivered + blocks;
    let ticks = 0;
    while (this.#delivered < target) {
      const message = this.#queue.shift();
      if (message !== undefined) {
        this.#hear(message);
        continue;
      }
      ticks += 1;
      if (ticks > TICKS_MAX) throw new Error('the replicas do not agree');
      this.#now += 100;
      for (const index of this.#replicas.keys()) {
        this.#step(index, { kind: 'pending', count: 1, overdue: [] });
        this.#step(index, { kind: 'tick', now: millis(this.#now) });
      }
    }
  }

  #hear({
    to,
    from,
    bytes,
  }: {
    readonly to: number;
    readonly from: number;
    readonly bytes: Uint8Array;
  }): void {
    const decoded = decodeMessage(bytes, parseCandidate);
    if (!decoded.ok) throw new Error(decoded.message);
    const verified = verifyMessage(this.#context, decoded.value);
    if (!verified.ok) throw new Error(verified.message);
    this.#step(to, { kind: 'message', from, message: verified.value });
  }

  #step(index: number, input: Input): void {
    const effects = (this.#replicas[index] as Replica).step(input);
    this.#carryOut(index, effects);
  }

  #carryOut(index: number, effects: Effects): void {
    for (const { to, message } of effects.send) {
      const bytes = encodeMessage(message);
      for (const other of this.#replicas.keys()) {
        if (to === 'all' ? other === index : other !== to) continue;
        this.messages += 1;
        this.bytes += bytes.length;
        this.#queue.push({ to: other, from: index, bytes });
      }
    }
    for (const { block } of effects.deliver) {
      if (index === 0) this.#delivered = block.height;
      this.#step(index, { kind: 'executed', height: block.height, hash: block.hash, stateRoot: ZERO_HASH });
    }
    for (const want of effects.want) {
      if (want.kind === 'proposal')
        this.#step(index, { kind: 'proposal', block: this.#block(want.height, want.parentHash) });
    }
  }

  #block(at: Height, parentHash: Hash): Candidate {
    const header: Header = {
      version: HEADER_VERSION,
      flags: 0,
      epoch: epoch(0),
      height: height(at),
      time: millis(this.#now + at),
      parentHash,
      txRoot: transactionsRoot([]),
      stateRoot: ZERO_HASH,
      historyRoot: ZERO_HASH,
      validatorsHash: this.#setHash,
      nextValidatorsHash: this.#setHash,
    };
    const bytes = encodeBlock({ header, transactions: [] });
    return { height: header.height, parentHash, hash: headerHash(header), bytes, closes: false, count: 0 };
  }
}
