/** A chain of one process, grown as fast as it executes: cheap signatures, no network, blocks certified at once. For tests and benches. */
import { compareBytes, toHex } from '@itc/core/bytes/hex.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { sha256, type Hash } from '@itc/core/crypto/hash.js';
import { asAddress } from '@itc/core/ledger/address.js';
import { voteSigningBytes, type Certificate } from '@itc/core/ledger/block.js';
import { genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { amount, height, millis, SUPPLY, view, type Height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { stableSigningBytes, type StableCertificate } from '@itc/core/ledger/stable-certificate.js';
import type { Body } from '@itc/core/ledger/body.js';
import { encodeTransaction, transactionSigningBytes } from '@itc/core/ledger/transaction.js';
import { bitmapOf, quorumOf, sortValidators, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { VerifyContext } from '@itc/core/pbft/verify.js';
import { verifyTransaction } from '@itc/core/state/verified-transaction.js';
import { fakeSign, fakeVerify, person, type Person } from '@itc/core/testing/state-world.js';
import type { Disk, Random, Tables } from '../ports.ts';
import { Chain } from '../runtime/chain.ts';
import type { PreparedBlock } from '../runtime/prepared-block.ts';
import { BlockLog } from '../storage/block-log.ts';

export interface GrownChainOptions {
  readonly disk: Disk;
  readonly folder: string;
  readonly tables: Tables;
  readonly random: Random;
  readonly segmentBytes?: number;
}

const BOND = 1_000n;
const TIME = 1_700_000_000_000;

export const treasury: Person = person('treasury');
/** The first four are the validators of genesis. */
export const people: readonly Person[] = Array.from({ length: 8 }, (_, i) => person(`validator ${i}`));

export const genesis: Genesis = {
  name: 'grown',
  time: millis(TIME),
  validators: sortValidators(people.slice(0, 4).map(({ key }) => ({ key, weight: 1 }))),
  accounts: [{ address: treasury.address, balance: amount(SUPPLY - 5n * BOND - 4_000n) }]
    .concat(people.slice(0, 4).map(({ address }) => ({ address, balance: amount(1_000n) })))
    .concat([{ address: (people[4] as Person).address, balance: amount(BOND) }])
    .sort((a, b) => compareBytes(a.address, b.address)),
  subnets: [],
  feePerByte: amount(0n),
  validatorBond: amount(BOND),
  bondPerWeight: amount(BOND),
  reserve: amount(0n),
  rewardPerCheckpoint: amount(0n),
  depositPerByte: amount(0n),
  accountPrice: amount(0n),
  burnShare: 0,
};

export const chainId: Hash = genesisHash(genesis);

export class GrownChain {
  readonly chain: Chain;
  readonly log: BlockLog;
  readonly tables: Tables;
  readonly #nonces = new Map<Person, number>();
  #receivers = 0;

  private constructor(chain: Chain, log: BlockLog, tables: Tables) {
    this.chain = chain;
    this.log = log;
    this.tables = tables;
  }

  static async open(o: GrownChainOptions): Promise<GrownChain> {
    const log = await BlockLog.open(o);
    const chain = await Chain.open({ genesis, log, tables: o.tables, verify: fakeVerify });
    return new GrownChain(chain, log, o.tables);
  }

  async close(): Promise<void> {
    await this.log.close();
  }

  /** Certified blocks; the first holds the transactions. */
  async grow(blocks: number, transactions: readonly Uint8Array[] = []): Promise<void> {
    const last = this.chain.height + blocks;
    let waiting = transactions;
    while (this.chain.height < last) {
      const batch: PreparedBlock[] = [];
      let parent = this.chain.tipHash;
      for (let at = this.chain.height + 1; at <= last && batch.length < LIMITS.pipelineDepth; at += 1) {
        const block = this.#propose(height(at), parent, waiting);
        waiting = [];
        batch.push(block);
        parent = block.candidate.hash;
        // Who certifies the next one is known when this one is executed.
        if (block.candidate.closes) break;
      }
      await this.chain.commit(batch.map((block) => ({ block, certificate: this.#certify(block) })));
    }
  }

  #propose(at: Height, parent: Hash, transactions: readonly Uint8Array[]): PreparedBlock {
    const verified = transactions.map((encoded) => {
      const result = verifyTransaction(chainId, encoded, fakeVerify);
      if (!result.ok) throw new Error(result.message);
      return result.value;
    });
    const now = millis(TIME + 1_000 * at);
    const block = this.chain.propose(at, parent, now, verified);
    if (block === undefined || this.chain.check(block, true, now) !== 'valid')
      throw new Error(`block ${at} cannot be proposed`);
    return block;
  }

  #certify({ candidate }: PreparedBlock): Certificate {
    const { epoch, validators } = this.chain.contextAt(candidate.height);
    const vote = { epoch, view: view(0), height: candidate.height, hash: candidate.hash };
    return { ...vote, ...signed(validators, voteSigningBytes('commit', { chain: chainId, ...vote })) };
  }

  transaction(from: Person, body: Body): Uint8Array {
    const nonce = this.#nonces.get(from) ?? 0;
    this.#nonces.set(from, nonce + 1);
    const unsigned = {
      key: from.key,
      lane: 0,
      nonce,
      fee: amount(0n),
      validUntil: height(1_000_000_000),
      body,
    };
    const signature = fakeSign(from.key, transactionSigningBytes(chainId, unsigned));
    return encodeTransaction({ ...unsigned, signature });
  }

  /** Payments to accounts that did not exist: each is one more record. */
  payments(count: number): Uint8Array[] {
    return Array.from({ length: count }, () => {
      this.#receivers += 1;
      const to = asAddress(sha256(new Writer(8).u53(this.#receivers).finish()));
      return this.transaction(treasury, { kind: 'transfer', to, amount: amount(1n) });
    });
  }

  /** Of a checkpoint height that is executed and kept; by the epoch of that block unless another one signs. */
  stable(
    at: number,
    by: Pick<VerifyContext, 'epoch' | 'validators'> = this.chain.contextAt(height(at)),
  ): StableCertificate {
    const { epoch, validators } = by;
    const hash = this.chain.hashAt(at) as Hash;
    const unsigned = { epoch, height: height(at), hash, stateRoot: this.chain.stateAt(at).root };
    return { ...unsigned, ...signed(validators, stableSigningBytes(chainId, unsigned)) };
  }
}

/** By just a quorum, the first in the set. */
function signed(
  validators: ValidatorSet,
  bytes: Uint8Array,
): { readonly signers: Uint8Array; readonly signatures: readonly Uint8Array[] } {
  const { strong } = quorumOf(validators.map(({ weight }) => weight));
  const indices: number[] = [];
  let weight = 0;
  for (const [index, validator] of validators.entries()) {
    if (weight >= strong) break;
    indices.push(index);
    weight += validator.weight;
  }
  const signatures = indices.map((index) => {
    const key = validators[index]?.key;
    if (key === undefined) throw new RangeError(toHex(bytes));
    return fakeSign(key, bytes);
  });
  return { signers: bitmapOf(indices, validators.length), signatures };
}
