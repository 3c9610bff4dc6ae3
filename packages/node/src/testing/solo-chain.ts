/** A main chain without anybody to agree with, in memory: blocks at a word, certificates that nobody checks. */
import { toHex } from '@itc/core/bytes/hex.js';
import { ED25519, SIGNATURE_BYTES } from '@itc/core/crypto/signature.js';
import type { Certificate, Header } from '@itc/core/ledger/block.js';
import { compareBytes } from '@itc/core/bytes/hex.js';
import type { Genesis } from '@itc/core/ledger/genesis.js';
import { amount, height, millis, SUPPLY, UNITS_PER_ITC, view, type Height } from '@itc/core/ledger/ids.js';
import type { Body } from '@itc/core/ledger/body.js';
import {
  encodeTransaction,
  transactionSigningBytes,
  type UnsignedTransaction,
} from '@itc/core/ledger/transaction.js';
import { bitmapOf, sortValidators } from '@itc/core/ledger/validators.js';
import { verifyTransaction } from '@itc/core/state/verified-transaction.js';
import { KeyPair } from '../crypto/keypair.ts';
import { verifyNative } from '../crypto/native.ts';
import { SeededRandom } from '../random.ts';
import { Chain } from '../runtime/chain.ts';
import type { PreparedBlock } from '../runtime/prepared-block.ts';
import { BlockLog } from '../storage/block-log.ts';
import { MemoryDisk } from '../storage/memory-disk.ts';
import { MemoryTables } from '../storage/memory-tables.ts';

const BOND = 1_000n * UNITS_PER_ITC;
const PURSE = 10_000n * UNITS_PER_ITC;
const BLOCK_MS = 1_000;

export class SoloChain {
  readonly validators: readonly KeyPair[];
  readonly treasury: KeyPair;
  readonly genesis: Genesis;
  readonly disk: MemoryDisk = new MemoryDisk();
  readonly tables: MemoryTables = new MemoryTables();
  /** Another object after `reopen`. */
  chain!: Chain;
  readonly #nonces = new Map<string, number>();

  private constructor(count: number) {
    this.validators = Array.from({ length: count }, (_, i) => pair(i + 1));
    this.treasury = pair(200);
    const accounts = [
      { address: this.treasury.address, balance: amount(SUPPLY - (BOND + PURSE) * BigInt(count)) },
      ...this.validators.map(({ address }) => ({ address, balance: amount(PURSE) })),
    ];
    this.genesis = {
      name: 'solo',
      time: millis(1_700_000_000_000),
      validators: sortValidators(this.validators.map(({ publicKey }) => ({ key: publicKey, weight: 1 }))),
      accounts: accounts.sort((a, b) => compareBytes(a.address, b.address)),
      subnets: [],
      feePerByte: amount(1n),
      validatorBond: amount(BOND),
      bondPerWeight: amount(BOND),
      reserve: amount(0n),
      rewardPerCheckpoint: amount(0n),
      depositPerByte: amount(0n),
      accountPrice: amount(0n),
      burnShare: 0,
    };
  }

  static async open(count = 4): Promise<SoloChain> {
    const solo = new SoloChain(count);
    await solo.reopen();
    return solo;
  }

  /** As a process that was killed finds it: what is on the disk and in the tables, nothing else. */
  async reopen(): Promise<void> {
    const log = await BlockLog.open({ disk: this.disk, folder: '/blocks', random: new SeededRandom(1) });
    const { genesis, tables } = this;
    this.chain = await Chain.open({ genesis, log, tables, verify: verifyNative });
  }

  /** The account's next transaction, in lane 0. */
  sign(keys: KeyPair, body: Body): Uint8Array {
    const account = toHex(keys.address);
    const nonce = this.#nonces.get(account) ?? 0;
    this.#nonces.set(account, nonce + 1);
    const unsigned: UnsignedTransaction = {
      key: { algorithm: ED25519, bytes: keys.publicKey.bytes },
      lane: 0,
      nonce,
      fee: amount(100_000n),
      validUntil: height(1_000_000),
      body,
    };
    return encodeTransaction({
      ...unsigned,
      signature: keys.sign(transactionSigningBytes(this.chain.id, unsigned)),
    });
  }

  /** What would be the next block. */
  propose(transactions: readonly Uint8Array[] = []): PreparedBlock {
    const { chain } = this;
    const verified = transactions.map((encoded) => {
      const result = verifyTransaction(chain.id, encoded, verifyNative);
      if (!result.ok) throw new Error(result.message);
      return result.value;
    });
    const now = millis(this.genesis.time + BLOCK_MS * (chain.height + 1));
    const block = chain.propose(height(chain.height + 1), chain.tipHash, now, verified);
    if (block === undefined) throw new Error('the chain proposes nothing');
    return block;
  }

  async block(transactions: readonly Uint8Array[] = []): Promise<Header> {
    const block = this.propose(transactions);
    await this.chain.commit([{ block, certificate: this.certificate(block) }]);
    return block.header;
  }

  /** Empty blocks up to a height. */
  async to(last: Height | number): Promise<void> {
    while (this.chain.height < last) await this.block();
  }

  /** Of the form of the epoch; its signatures are not. */
  certificate({ header, candidate }: PreparedBlock): Certificate {
    const { validators } = this.chain.contextAt(header.height);
    return {
      epoch: header.epoch,
      view: view(0),
      height: header.height,
      hash: candidate.hash,
      signers: bitmapOf(validators.keys(), validators.length),
      signatures: validators.map(() => new Uint8Array(SIGNATURE_BYTES)),
    };
  }
}

function pair(seed: number): KeyPair {
  return KeyPair.fromSeed(new Uint8Array(32).fill(seed));
}
