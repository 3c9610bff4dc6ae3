/** A small certified chain for tests: genesis with n validators, blocks, certificates, subnet checkpoints, payloads. */
import { EMPTY_MMR, mmrAppend, mmrRoot, type Mmr } from '../crypto/mmr.ts';
import { hashTagged, ZERO_HASH, type Hash } from '../crypto/hash.ts';
import { merkleRoot } from '../crypto/merkle.ts';
import type { Address } from '../ledger/address.ts';
import {
  HEADER_FLAGS,
  HEADER_VERSION,
  headerHash,
  transactionsRoot,
  voteSigningBytes,
  type Block,
  type Certificate,
  type Header,
} from '../ledger/block.ts';
import {
  checkpointSigningBytes,
  type CheckpointCertificate,
  type SubnetCheckpoint,
} from '../ledger/checkpoint.ts';
import { genesisHash, type Genesis, type GenesisSubnet } from '../ledger/genesis.ts';
import { amount, epoch, height, millis, SUPPLY, view } from '../ledger/ids.ts';
import {
  encodePayload,
  parsePayload,
  payloadSigningBytes,
  type ContentType,
  type Payload,
} from '../ledger/payload.ts';
import { subnetId } from '../ledger/bodies/subnet.ts';
import type { Body } from '../ledger/body.ts';
import { encodeTransaction, transactionId, transactionSigningBytes } from '../ledger/transaction.ts';
import { bitmapOf, sortValidators, validatorsHash, type ValidatorSet } from '../ledger/validators.ts';
import { compareBytes } from '../bytes/hex.ts';
import { keyPair, type KeyPair } from './keys.ts';

/** Members with their secrets, in the order of the set. */
export interface Group {
  readonly pairs: readonly KeyPair[];
  readonly set: ValidatorSet;
}

/** Keys are those of seeds `from` … `from + weights.length − 1`, sorted as a set is; weights follow the seeds. */
export function group(from: number, weights: readonly number[]): Group {
  const pairs = weights.map((weight, i) => ({ pair: keyPair(from + i), weight }));
  pairs.sort((a, b) => compareBytes(a.pair.key.bytes, b.pair.key.bytes));
  const set = sortValidators(pairs.map(({ pair, weight }) => ({ key: pair.key, weight })));
  return { pairs: pairs.map(({ pair }) => pair), set };
}

export interface World {
  readonly genesis: Genesis;
  /** Genesis hash. */
  readonly chain: Hash;
  readonly validators: Group;
  readonly members: Group;
  readonly subnet: Hash;
  /** Holds the whole supply. */
  readonly treasury: KeyPair;
}

export const GENESIS_TIME = 1_700_000_000_000;

export interface WorldOptions {
  readonly validatorWeights?: readonly number[];
  readonly memberWeights?: readonly number[];
  /** Balances beside the treasury's, which holds the rest of the supply. */
  readonly balances?: readonly { readonly address: Address; readonly balance: bigint }[];
  readonly feePerByte?: bigint;
  readonly name?: string;
}

/** Four validators (seeds 1000…), four subnet members (seeds 2000…), treasury seed 1. */
export function world(options: WorldOptions = {}): World {
  const validators = group(1000, options.validatorWeights ?? [1, 1, 1, 1]);
  const members = group(2000, options.memberWeights ?? [1, 1, 1, 1]);
  const treasury = keyPair(1);
  const others = options.balances ?? [];
  const rest = others.reduce((left, { balance }) => left - balance, SUPPLY as bigint);
  const accounts = [...others, { address: treasury.address, balance: rest }]
    .map(({ address, balance }) => ({ address, balance: amount(balance) }))
    .sort((a, b) => compareBytes(a.address, b.address));
  const subnet: GenesisSubnet = {
    id: subnetId(treasury.address, 'home'),
    name: 'home',
    members: members.set,
    powBits: 4,
  };
  const genesis: Genesis = {
    name: options.name ?? 'test',
    time: millis(GENESIS_TIME),
    validators: validators.set,
    accounts,
    subnets: [subnet],
    feePerByte: amount(options.feePerByte ?? 1n),
    validatorBond: amount(0n),
    bondPerWeight: amount(0n),
    reserve: amount(0n),
    rewardPerCheckpoint: amount(0n),
    depositPerByte: amount(0n),
    accountPrice: amount(0n),
    burnShare: 0,
  };
  return { genesis, chain: genesisHash(genesis), validators, members, subnet: subnet.id, treasury };
}

/** Commit votes of the given validators (default: all) for a header. */
export function certify(o: {
  readonly chain: Hash;
  readonly validators: Group;
  readonly header: Header;
  readonly signers?: readonly number[];
  readonly view?: number;
}): Certificate {
  const { header } = o;
  const hash = headerHash(header);
  const signers = o.signers ?? o.validators.pairs.map((_, i) => i);
  const vote = { chain: o.chain, epoch: header.epoch, view: view(o.view ?? 0), height: header.height, hash };
  const bytes = voteSigningBytes('commit', vote);
  return {
    epoch: vote.epoch,
    view: vote.view,
    height: vote.height,
    hash,
    signers: bitmapOf(signers, o.validators.pairs.length),
    signatures: signers.map((i) => (o.validators.pairs[i] as KeyPair).sign(bytes)),
  };
}

export interface CertifiedBlock {
  readonly block: Block;
  readonly certificate: Certificate;
}

/** Appends certified blocks one second apart; roots other than `stateRoot` are true. */
export class ChainBuilder {
  readonly world: World;
  readonly blocks: CertifiedBlock[] = [];
  #parent: Hash;
  #history: Mmr = EMPTY_MMR;

  constructor(of: World) {
    this.world = of;
    this.#parent = of.chain;
  }

  append(
    transactions: readonly Uint8Array[] = [],
    o: {
      readonly stateRoot?: Hash;
      readonly signers?: readonly number[];
      readonly view?: number;
      readonly validators?: Group;
      /** Makes it the last block of its epoch. */
      readonly nextValidators?: Group;
      readonly flags?: number;
      readonly epoch?: number;
    } = {},
  ): CertifiedBlock {
    const at = this.blocks.length + 1;
    const validators = o.validators ?? this.world.validators;
    const header: Header = {
      version: HEADER_VERSION,
      flags: o.flags ?? (o.nextValidators === undefined ? 0 : HEADER_FLAGS.closes),
      epoch: epoch(o.epoch ?? 0),
      height: height(at),
      time: millis(GENESIS_TIME + 1000 * at),
      parentHash: this.#parent,
      txRoot: transactionsRoot(transactions.map(transactionId)),
      stateRoot: o.stateRoot ?? ZERO_HASH,
      historyRoot: mmrRoot(this.#history),
      validatorsHash: validatorsHash(validators.set),
      nextValidatorsHash: validatorsHash((o.nextValidators ?? validators).set),
    };
    const certificate = certify({
      chain: this.world.chain,
      validators,
      header,
      ...(o.signers && { signers: o.signers }),
      ...(o.view !== undefined && { view: o.view }),
    });
    this.#parent = headerHash(header);
    this.#history = mmrAppend(this.#history, this.#parent);
    const certified = { block: { header, transactions }, certificate };
    this.blocks.push(certified);
    return certified;
  }
}

export function signedTransaction(
  chain: Hash,
  from: KeyPair,
  body: Body,
  o: {
    readonly lane?: number;
    readonly nonce?: number;
    readonly fee?: bigint;
    readonly validUntil?: number;
  } = {},
): Uint8Array {
  const unsigned = {
    key: from.key,
    lane: o.lane ?? 0,
    nonce: o.nonce ?? 0,
    fee: amount(o.fee ?? 0n),
    validUntil: height(o.validUntil ?? 1_000_000),
    body,
  };
  return encodeTransaction({ ...unsigned, signature: from.sign(transactionSigningBytes(chain, unsigned)) });
}

/** A checkpoint over the given payload ids, signed by the given members (default: all). */
export function signedCheckpoint(
  of: World,
  payloadIds: readonly Hash[],
  o: {
    readonly sequence?: number;
    readonly previous?: Hash;
    readonly subnet?: Hash;
    readonly members?: Group;
    readonly signers?: readonly number[];
  } = {},
): CheckpointCertificate {
  const members = o.members ?? of.members;
  const sequence = o.sequence ?? 1;
  const subnet = o.subnet ?? of.subnet;
  const checkpoint: SubnetCheckpoint = {
    subnet,
    sequence,
    previous: o.previous ?? subnet,
    time: millis(GENESIS_TIME + 500),
    anchors: [hashTagged('envelope', Uint8Array.of(sequence))],
    inclusionRoot: merkleRoot([hashTagged('envelope', Uint8Array.of(sequence))]),
    appliedRoot: merkleRoot(payloadIds),
    stateRoot: ZERO_HASH,
    envelopeCount: 1,
    payloadCount: payloadIds.length,
    powBits: 4,
  };
  const signers = o.signers ?? members.pairs.map((_, i) => i);
  const bytes = checkpointSigningBytes(of.chain, checkpoint);
  return {
    checkpoint,
    signers: bitmapOf(signers, members.pairs.length),
    signatures: signers.map((i) => (members.pairs[i] as KeyPair).sign(bytes)),
  };
}

/** Without `device` the signer speaks for itself. */
export function signedPayload(
  chain: Hash,
  signer: KeyPair,
  o: {
    readonly sequence?: number;
    readonly contentType?: ContentType;
    readonly content?: Uint8Array;
    readonly device?: Address;
  } = {},
): Payload {
  const unsigned = {
    signer: signer.key,
    device: o.device ?? signer.address,
    sequence: o.sequence ?? 1,
    contentType: o.contentType ?? ('senml+cbor' as const),
    content: o.content ?? Uint8Array.of(0x80),
  };
  const parsed = parsePayload(
    chain,
    encodePayload(unsigned, signer.sign(payloadSigningBytes(chain, unsigned))),
  );
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.value;
}
