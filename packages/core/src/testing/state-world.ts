/**
 * A small world for tests of the ledger: people with keys, a chain, and blocks at a word. Its signature scheme
 * is a fake that binds key and message and can be computed by anyone: tests run thousands of transactions.
 */
import { concatBytes, equalBytes } from '../bytes/hex.ts';
import { utf8Encode } from '../bytes/writer.ts';
import { EMPTY_MERKLE_ROOT, MerkleTree } from '../crypto/merkle.ts';
import { sha256, type Hash } from '../crypto/hash.ts';
import { ED25519, ML_DSA_44, type PublicKey, type SignatureVerifier } from '../crypto/signature.ts';
import { ML_DSA_SIGNATURE_BYTES } from '../crypto/ml-dsa.ts';
import { addressOf, asAddress, type Address } from '../ledger/address.ts';
import {
  checkpointSigningBytes,
  type CheckpointCertificate,
  type SubnetCheckpoint,
} from '../ledger/checkpoint.ts';
import type { CheckpointValue } from '../ledger/escrow.ts';
import { genesisHash, type Genesis } from '../ledger/genesis.ts';
import { amount, height, millis, SUPPLY, type Amount } from '../ledger/ids.ts';
import {
  batchId,
  batchLeaf,
  claimSigningBytes,
  endorsementSigningBytes,
  type Claim,
} from '../ledger/bodies/device.ts';
import type { Body } from '../ledger/body.ts';
import {
  encodeTransaction,
  transactionSigningBytes,
  type UnsignedTransaction,
} from '../ledger/transaction.ts';
import { bitmapOf, sortValidators, type ValidatorSet } from '../ledger/validators.ts';
import { LIMITS } from '../ledger/limits.ts';
import { applyBlock, type AppliedBlock } from '../state/apply.ts';
import type { BlockContext } from '../state/block-context.ts';
import type { LedgerEvent } from '../state/events.ts';
import { parseStateKey, RECORD_KINDS } from '../state/keys.ts';
import { LedgerState } from '../state/ledger-state.ts';
import { eventMovements, receiptMovements } from '../state/movements.ts';
import { idText } from '../state/record-map.ts';
import { decodeRecord } from '../state/records.ts';
import { verifyTransaction, type VerifiedTransaction } from '../state/verified-transaction.ts';

export interface Person {
  readonly name: string;
  readonly key: PublicKey;
  readonly address: Address;
}

export function person(name: string): Person {
  const key: PublicKey = { algorithm: ED25519, bytes: sha256(utf8Encode(`person ${name}`)) };
  return { name, key, address: addressOf(key) };
}

export function fakeSign(key: PublicKey, message: Uint8Array): Uint8Array {
  const half = sha256(concatBytes(key.bytes, message));
  const signature = concatBytes(half, sha256(half));
  if (key.algorithm !== ML_DSA_44) return signature;
  return concatBytes(signature, new Uint8Array(ML_DSA_SIGNATURE_BYTES - signature.length));
}

export const fakeVerify: SignatureVerifier = (key, message, signature) =>
  equalBytes(signature, fakeSign(key, message));

export const members: readonly Person[] = ['m0', 'm1', 'm2', 'm3'].map(person);

export const memberSet: ValidatorSet = sortValidators(members.map(({ key }) => ({ key, weight: 1 })));

/** In the order of `memberSet`, so that an index means the same. */
export const sortedMembers: readonly Person[] = memberSet.map(
  ({ key }) => members.find((member) => member.key === key) as Person,
);

export const subnetOfGenesis: Hash = sha256(utf8Encode('subnet of genesis'));

const ITC = 1_000_000_000n;

export interface Batch {
  readonly id: Hash;
  readonly root: Hash;
  readonly devices: readonly {
    readonly device: Person;
    readonly claimKey: Person;
    readonly index: number;
    readonly path: readonly Hash[];
  }[];
}

/** A batch of devices `<label>-0`… as its maker would build it. */
export function makeBatch(maker: Person, label: string, count: number): Batch {
  const people = Array.from({ length: count }, (_, i) => ({
    device: person(`${label}-${i}`),
    claimKey: person(`${label}-${i} claim`),
  }));
  const tree = new MerkleTree(people.map(({ device, claimKey }) => batchLeaf(device.key, claimKey.key)));
  return {
    id: batchId(maker.address, tree.root),
    root: tree.root,
    devices: people.map((pair, index) => ({ ...pair, index, path: tree.path(index) })),
  };
}

/** By the device, of a claim key. */
export function endorse(device: Person, claimKey: PublicKey): Uint8Array {
  return fakeSign(device.key, endorsementSigningBytes(device.key, claimKey));
}

export interface SendOptions {
  readonly lane?: number;
  readonly nonce?: number;
  readonly fee?: bigint;
  readonly validUntil?: number;
  /** Pays the fee, and perhaps more. */
  readonly sponsor?: Hash;
}

export interface WorldOptions {
  readonly validators?: ValidatorSet;
  readonly balance?: bigint;
  readonly validatorBond?: bigint;
  readonly bondPerWeight?: bigint;
  readonly reserve?: bigint;
  readonly rewardPerCheckpoint?: bigint;
  readonly depositPerByte?: bigint;
  readonly accountPrice?: bigint;
  readonly burnShare?: number;
}

export class World {
  readonly genesis: Genesis;
  readonly chain: Hash;
  state: LedgerState;
  height = 0;
  /** Milliseconds by which blocks are later than one per second makes them. */
  later = 0;
  readonly people: readonly Person[];

  /** Everybody named has 1 000 ITC unless told otherwise; the treasury holds the rest of the supply. */
  constructor(names: readonly string[], feePerByte = 10n, options: WorldOptions = {}) {
    this.people = names.map(person);
    const { validators = memberSet, balance = 1000n * ITC } = options;
    const { validatorBond = 0n, bondPerWeight = 0n, reserve = 0n, rewardPerCheckpoint = 0n } = options;
    const { depositPerByte = 0n, accountPrice = 0n, burnShare = 0 } = options;
    const accounts = this.people.map(({ address }) => ({ address, balance: amount(balance) }));
    const bonded = validatorBond * BigInt(validators.length);
    const rest = SUPPLY - BigInt(accounts.length) * balance - bonded - reserve;
    this.genesis = {
      name: 'test',
      time: millis(1_000_000),
      validators,
      accounts: [...accounts, { address: person('treasury').address, balance: amount(rest) }],
      subnets: [{ id: subnetOfGenesis, name: 'home', members: memberSet, powBits: 4 }],
      feePerByte: amount(feePerByte),
      validatorBond: amount(validatorBond),
      bondPerWeight: amount(bondPerWeight),
      reserve: amount(reserve),
      rewardPerCheckpoint: amount(rewardPerCheckpoint),
      depositPerByte: amount(depositPerByte),
      accountPrice: amount(accountPrice),
      burnShare,
    };
    this.chain = genesisHash(this.genesis);
    this.state = LedgerState.fromGenesis(this.genesis);
  }

  /** Of the next block. */
  get context(): BlockContext {
    return {
      chain: this.chain,
      height: height(this.height + 1),
      time: millis(1_000_000 + 1000 * (this.height + 1) + this.later),
      verify: fakeVerify,
    };
  }

  /** The lane's next nonce and exactly the price of the bytes, unless told otherwise. */
  transaction(sender: Person, body: Body, options: SendOptions = {}): VerifiedTransaction {
    const lane = options.lane ?? 0;
    const nonce = options.nonce ?? this.state.account(sender.address)?.nonces[lane] ?? 0;
    const unsigned = (fee: bigint): UnsignedTransaction => ({
      key: sender.key,
      lane,
      nonce,
      fee: amount(fee),
      validUntil: height(options.validUntil ?? this.height + 100),
      ...(options.sponsor && { sponsor: options.sponsor }),
      body,
    });
    const fee = options.fee ?? this.state.parameters.feePerByte * BigInt(this.sign(unsigned(0n)).length);
    const verified = verifyTransaction(this.chain, this.sign(unsigned(fee)), fakeVerify);
    if (!verified.ok) throw new Error(`${verified.code}: ${verified.message}`);
    return verified.value;
  }

  sign(tx: UnsignedTransaction): Uint8Array {
    return encodeTransaction({ ...tx, signature: fakeSign(tx.key, transactionSigningBytes(this.chain, tx)) });
  }

  /** Applies one block and moves on. */
  block(...transactions: VerifiedTransaction[]): AppliedBlock {
    const applied = applyBlock(this.state, this.context, transactions);
    checkTold(this.state, applied);
    checkDeposits(applied);
    this.state = applied.state;
    this.height += 1;
    return applied;
  }

  /** One transaction in a block of its own; `ok` or the code of its receipt. */
  send(sender: Person, body: Body, options: SendOptions = {}): string {
    const [receipt] = this.block(this.transaction(sender, body, options)).receipts;
    if (receipt === undefined) throw new Error('a block of one has one receipt');
    return receipt.outcome.ok ? 'ok' : receipt.outcome.code;
  }

  /** Empty blocks at the heights where something happens by itself, up to and including `to`; what came of them. */
  advance(to: number): LedgerEvent[] {
    const events: LedgerEvent[] = [];
    while (this.height < to) {
      const period = LIMITS.checkpointInterval;
      const election =
        Math.ceil((this.height + 1 + LIMITS.pipelineDepth) / period) * period - LIMITS.pipelineDepth;
      const checkpoint = Math.ceil((this.height + 1) / period) * period;
      this.height = Math.min(to, election, checkpoint) - 1;
      events.push(...this.block().events);
    }
    return events;
  }

  balance(who: Person): Amount {
    return this.state.account(who.address)?.balance ?? amount(0n);
  }

  registerBatch(maker: Person, batch: Batch, depositPerDevice: bigint): Body {
    return {
      kind: 'register-batch',
      batch: {
        root: batch.root,
        count: batch.devices.length,
        model: sha256(utf8Encode(maker.name)),
        depositPerDevice: amount(depositPerDevice),
      },
    };
  }

  /** The claim of one device of a batch, made out to an owner. */
  claim(batch: Batch, index: number, owner: Person): Claim {
    const entry = batch.devices[index];
    if (entry === undefined) throw new Error(`no device ${index}`);
    const proof = fakeSign(
      entry.claimKey.key,
      claimSigningBytes(this.chain, entry.device.key, owner.address),
    );
    return {
      batch: batch.id,
      device: entry.device.key,
      claimKey: entry.claimKey.key,
      index,
      path: entry.path,
      endorsement: endorse(entry.device, entry.claimKey.key),
      proof,
    };
  }

  /** The next checkpoint of a subnet, as honest members would make it. */
  nextCheckpoint(subnet: Hash, changes: Partial<SubnetCheckpoint> = {}): SubnetCheckpoint {
    const record = this.state.subnet(subnet);
    const credited = this.state.escrow(subnet)?.credited ?? 0;
    return {
      subnet,
      sequence: (record?.lastSequence ?? 0) + 1,
      previous: record?.lastHash ?? subnet,
      time: millis((record?.lastTime ?? 0) + 500),
      anchors: [sha256(utf8Encode(`anchor ${record?.lastSequence ?? 0}`))],
      inclusionRoot: sha256(utf8Encode('inclusion')),
      appliedRoot: sha256(utf8Encode('applied')),
      stateRoot: sha256(utf8Encode('state')),
      envelopeCount: 3,
      payloadCount: 7,
      powBits: 5,
      ...(credited === 0 ? {} : { value: noWithdrawals(credited) }),
      ...changes,
    };
  }

  /** By members of the given indices of `memberSet`. */
  certify(checkpoint: SubnetCheckpoint, signers: readonly number[] = [0, 1, 2]): CheckpointCertificate {
    const message = checkpointSigningBytes(this.chain, checkpoint);
    return {
      checkpoint,
      signers: bitmapOf(signers, sortedMembers.length),
      signatures: signers.map((index) => fakeSign((sortedMembers[index] as Person).key, message)),
    };
  }
}

/** Where deposits cost something, every record has paid one (STATE-18.4): asked of every block of every test. */
function checkDeposits({ state, changes }: AppliedBlock): void {
  if (state.parameters.depositPerByte === 0n) return;
  for (const { key, value } of changes) {
    const parsed = parseStateKey(key);
    const record = parsed && value && decodeRecord(parsed.kind, value);
    if (parsed === undefined || record?.ok !== true || !('deposit' in record.value)) continue;
    const isGenesis = parsed.kind === 'subnet' && equalBytes(parsed.id, subnetOfGenesis);
    const isRetired = 'state' in record.value && record.value.state === 'retired';
    if (record.value.deposit.amount === 0n && !isGenesis && !isRetired)
      throw new Error(`a ${parsed.kind} without a deposit`);
  }
}

/** Every change of a balance is told by receipts and events (STATE-18.8): asked of every block of every test. */
function checkTold(before: LedgerState, { state, changes, receipts, events }: AppliedBlock): void {
  const told = new Map<string, bigint>();
  for (const { account, change } of [
    ...receipts.flatMap(receiptMovements),
    ...events.flatMap(eventMovements),
  ])
    told.set(idText(account), (told.get(idText(account)) ?? 0n) + change);
  for (const { key } of changes) {
    if (key[0] !== RECORD_KINDS.account) continue;
    const address = asAddress(key.slice(1));
    const change = (state.account(address)?.balance ?? 0n) - (before.account(address)?.balance ?? 0n);
    const said = told.get(idText(address)) ?? 0n;
    if (said !== change) throw new Error(`a balance changed by ${change}, receipts and events say ${said}`);
  }
}

/** What a checkpoint says that credits deposits up to a number and lets nothing out. */
export function noWithdrawals(deposits: number): CheckpointValue {
  return { deposits, withdrawalRoot: EMPTY_MERKLE_ROOT, withdrawalCount: 0, withdrawn: amount(0n) };
}

export function transfer(to: Person, value: bigint): Body {
  return { kind: 'transfer', to: to.address, amount: amount(value) };
}
