/**
 * One document that proves a reading to anyone who knows the genesis hash (spec LIGHT-2, LIGHT-3): payload →
 * applied root of its subnet's checkpoint → transaction in a block → header → certificate → genesis.
 */
import { equalBytes } from '../bytes/hex.ts';
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import { MerkleTree, merkleLeaf, merkleRootFromPath, verifyMerklePath } from '../crypto/merkle.ts';
import { readStateProof, verifyStateProof, writeStateProof, type StateProof } from '../crypto/state-tree.ts';
import type { PublicKey, SignatureVerifier } from '../crypto/signature.ts';
import type { Address } from '../ledger/address.ts';
import { transactionsRootOf, type Block, type Certificate, type Header } from '../ledger/block.ts';
import {
  checkpointSigningBytes,
  type CheckpointCertificate,
  type SubnetCheckpoint,
} from '../ledger/checkpoint.ts';
import { decodeGenesis, genesisHash, type Genesis } from '../ledger/genesis.ts';
import type { Epoch, Height, Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { isAttested, parsePayload, type Payload } from '../ledger/payload.ts';
import { readHash } from '../ledger/fields.ts';
import { decodeTransaction, transactionId } from '../ledger/transaction.ts';
import { membersAt } from '../ledger/member-turns.ts';
import type { ValidatorSet } from '../ledger/validators.ts';
import { stateKeyHash, subnetKey } from '../state/keys.ts';
import { decodeRecord } from '../state/records.ts';
import { verifySignedWeight, type SignedWeight } from './certificate.ts';
import { type EpochHop, type HopCheck } from './epoch-hop.ts';
import { trustGenesis, type TrustCheck } from './trust.ts';
import { verifyCertified, readLinkedHeader, writeLinkedHeader } from './certified.ts';

export interface ReadingProof {
  /** Encoded genesis: brings the validator set of epoch 0. */
  readonly genesis: Uint8Array;
  /** From there to the set that certified the header; none in epoch 0. */
  readonly hops: readonly EpochHop[];
  /** Of the block that holds the checkpoint transaction. */
  readonly header: Header;
  readonly certificate: Certificate;
  /** Encoded checkpoint transaction. */
  readonly transaction: Uint8Array;
  readonly transactionIndex: number;
  readonly transactionCount: number;
  readonly transactionPath: readonly Hash[];
  /** Record of the subnet under the header's state root; absent for a subnet that genesis lists. */
  readonly subnet: { readonly record: Uint8Array; readonly proof: StateProof } | undefined;
  /** The COSE_Sign1. */
  readonly payload: Uint8Array;
  /** Position among the payload ids under the checkpoint's applied root. */
  readonly payloadIndex: number;
  readonly payloadPath: readonly Hash[];
}

/** The step that failed, in the order of checking. */
export type ReadingCheck =
  | 'format'
  | 'genesis'
  | `hop-${HopCheck}`
  | TrustCheck
  | 'transaction'
  | 'checkpoint'
  | 'subnet'
  | 'checkpoint-signers'
  | 'checkpoint-weight'
  | 'checkpoint-signature'
  | 'payload'
  | 'payload-path'
  | 'payload-signature';

export type ReadingVerdict =
  | {
      readonly valid: true;
      /** Where the reading is from. */
      readonly device: Address;
      readonly signer: PublicKey;
      /** A gateway signed for the device. */
      readonly attested: boolean;
      readonly payload: Payload;
      readonly checkpoint: SubnetCheckpoint;
      /** Block that made it final, and that block's time. */
      readonly height: Height;
      readonly time: Millis;
      readonly epoch: Epoch;
      /** Who certified the block, by their place in the set of that epoch. */
      readonly signers: SignedWeight['signers'];
      readonly weight: number;
      readonly total: number;
    }
  | { readonly valid: false; readonly check: ReadingCheck; readonly reason: string };

type Step<T> = Result<T, ReadingCheck>;

/**
 * Valid only if the quorums of the chain named by `genesisHash` prove it. What it proves: the signer signed
 * this payload; two thirds of the subnet's stake applied it; the validators' quorum ordered that at `height`.
 */
export function verifyReading(o: {
  readonly genesisHash: Hash;
  readonly proof: ReadingProof;
  readonly verify: SignatureVerifier;
}): ReadingVerdict {
  const { proof, verify } = o;
  const chain = o.genesisHash;
  const genesis = checkGenesis(chain, proof.genesis);
  if (!genesis.ok) return invalid(genesis);
  const { header } = proof;
  const certified = verifyCertified(trustGenesis(genesis.value), proof, verify);
  if (!certified.ok) return invalid(certified);
  const checkpoint = checkTransaction(proof);
  if (!checkpoint.ok) return invalid(checkpoint);
  const quorum = checkSubnetQuorum({
    chain,
    genesis: genesis.value,
    proof,
    certificate: checkpoint.value,
    verify,
  });
  if (!quorum.ok) return invalid(quorum);
  const payload = checkPayload(chain, proof, checkpoint.value.checkpoint, verify);
  if (!payload.ok) return invalid(payload);
  return {
    valid: true,
    device: payload.value.device,
    signer: payload.value.signer,
    attested: isAttested(payload.value),
    payload: payload.value,
    checkpoint: checkpoint.value.checkpoint,
    height: header.height,
    time: header.time,
    epoch: header.epoch,
    signers: certified.value.signed.signers,
    weight: certified.value.signed.weight,
    total: certified.value.signed.total,
  };
}

/** The same from the encoded document. */
export function verifyReadingBytes(o: {
  readonly genesisHash: Hash;
  readonly bytes: Uint8Array;
  readonly verify: SignatureVerifier;
}): ReadingVerdict {
  const proof = decodeReadingProof(o.bytes);
  if (!proof.ok) return { valid: false, check: 'format', reason: proof.message };
  return verifyReading({ genesisHash: o.genesisHash, proof: proof.value, verify: o.verify });
}

function invalid(step: { readonly code: ReadingCheck; readonly message: string }): ReadingVerdict {
  return { valid: false, check: step.code, reason: step.message };
}

function checkGenesis(chain: Hash, bytes: Uint8Array): Step<Genesis> {
  const genesis = decodeGenesis(bytes);
  if (!genesis.ok) return refused('genesis', genesis.message);
  // The decoder is strict, so hashing the value is hashing the bytes.
  if (!equalBytes(genesisHash(genesis.value), chain))
    return refused('genesis', 'the genesis has another hash');
  return genesis;
}

function checkTransaction(proof: ReadingProof): Step<CheckpointCertificate> {
  const { transactionIndex: index, transactionCount: count, transactionPath: path } = proof;
  const root = merkleRootFromPath({
    leafHash: merkleLeaf(transactionId(proof.transaction)),
    index,
    count,
    path,
  });
  if (root === undefined || !equalBytes(transactionsRootOf(count, root), proof.header.txRoot)) {
    return refused('transaction', 'the path of the transaction does not lead to the root in the header');
  }
  const transaction = decodeTransaction(proof.transaction);
  if (!transaction.ok) return refused('checkpoint', transaction.message);
  const { body } = transaction.value;
  if (body.kind !== 'checkpoint')
    return refused('checkpoint', `the transaction is a ${body.kind}, not a checkpoint`);
  return ok(body.certificate);
}

function checkSubnetQuorum(o: {
  readonly chain: Hash;
  readonly genesis: Genesis;
  readonly proof: ReadingProof;
  readonly certificate: CheckpointCertificate;
  readonly verify: SignatureVerifier;
}): Step<SignedWeight> {
  const { checkpoint, signers, signatures } = o.certificate;
  const members = membersOf(o.genesis, o.proof, checkpoint);
  if (!members.ok) return members;
  const message = checkpointSigningBytes(o.chain, checkpoint);
  const signed = verifySignedWeight({
    members: members.value,
    signers,
    signatures,
    message,
    verify: o.verify,
  });
  return signed.ok ? signed : refused(`checkpoint-${signed.code}`, signed.message);
}

/** From genesis, or from the subnet's record in the state that the certified header commits to. */
function membersOf(
  genesis: Genesis,
  proof: ReadingProof,
  { subnet, sequence }: Pick<SubnetCheckpoint, 'subnet' | 'sequence'>,
): Step<ValidatorSet> {
  const listed = genesis.subnets.find(({ id }) => equalBytes(id, subnet));
  if (listed !== undefined) {
    // One form only: a record that nobody looks at could be anything.
    if (proof.subnet !== undefined)
      return refused('subnet', 'genesis lists the subnet, so no record belongs here');
    return ok(listed.members);
  }
  if (proof.subnet === undefined) return refused('subnet', 'the members of the subnet are not shown');
  const key = stateKeyHash(subnetKey(subnet));
  if (!verifyStateProof(proof.header.stateRoot, key, proof.subnet.record, proof.subnet.proof)) {
    return refused('subnet', 'the record of the subnet is not in the certified state');
  }
  const record = decodeRecord('subnet', proof.subnet.record);
  if (!record.ok) return refused('subnet', record.message);
  // The state is a few blocks old, and a block holds one checkpoint: further ahead the members may be others.
  const ahead = sequence - record.value.lastSequence;
  if (ahead < 1 || ahead > LIMITS.memberLeadCheckpoints)
    return refused('subnet', `the record is of another time: checkpoint ${record.value.lastSequence}`);
  return ok(membersAt(record.value, sequence));
}

function checkPayload(
  chain: Hash,
  proof: ReadingProof,
  checkpoint: SubnetCheckpoint,
  verify: SignatureVerifier,
): Step<Payload> {
  const parsed = parsePayload(chain, proof.payload);
  if (!parsed.ok) return refused('payload', parsed.message);
  const payload = parsed.value;
  const applied = {
    root: checkpoint.appliedRoot,
    leaf: payload.id,
    index: proof.payloadIndex,
    count: checkpoint.payloadCount,
    path: proof.payloadPath,
  };
  if (!verifyMerklePath(applied))
    return refused('payload-path', 'the path does not lead to the applied root');
  if (!verify(payload.signer, payload.signedBytes, payload.signature)) {
    return refused('payload-signature', 'the signature of the payload does not verify');
  }
  return ok(payload);
}

/**
 * The prover's side. `payloadIds` are all applied ids of the checkpoint in canonical order. Throws when the parts do not
 * belong together: they come from our own store.
 */
export function proveReading(o: {
  readonly genesis: Uint8Array;
  /** See `fewestHops`; none when the block is of epoch 0. */
  readonly hops?: readonly EpochHop[];
  readonly block: Block;
  readonly certificate: Certificate;
  readonly transactionIndex: number;
  readonly payloadIds: readonly Hash[];
  readonly payloadIndex: number;
  readonly payload: Uint8Array;
  /** For a subnet that genesis does not list. */
  readonly subnet?: { readonly record: Uint8Array; readonly proof: StateProof };
}): ReadingProof {
  const { header, transactions } = o.block;
  const transaction = transactions[o.transactionIndex];
  if (transaction === undefined) throw new RangeError(`the block has no transaction ${o.transactionIndex}`);
  return {
    genesis: o.genesis,
    hops: o.hops ?? [],
    header,
    certificate: o.certificate,
    transaction,
    transactionIndex: o.transactionIndex,
    transactionCount: transactions.length,
    transactionPath: new MerkleTree(transactions.map(transactionId)).path(o.transactionIndex),
    subnet: o.subnet,
    payload: o.payload,
    payloadIndex: o.payloadIndex,
    payloadPath: new MerkleTree(o.payloadIds).path(o.payloadIndex),
  };
}

const VERSION = 2;

export function encodeReadingProof(proof: ReadingProof): Uint8Array {
  const writer = new Writer(4096).u8(VERSION).bytes(proof.genesis);
  writeLinkedHeader(writer, proof);
  writer.bytes(proof.transaction).u32(proof.transactionIndex).u32(proof.transactionCount);
  writePath(writer, proof.transactionPath);
  writer.bool(proof.subnet !== undefined);
  if (proof.subnet !== undefined) {
    writer.bytes(proof.subnet.record);
    writeStateProof(writer, proof.subnet.proof);
  }
  writer.bytes(proof.payload).u32(proof.payloadIndex);
  writePath(writer, proof.payloadPath);
  return writer.finish();
}

function writePath(writer: Writer, path: readonly Hash[]): void {
  writer.list(path, (w, hash) => w.fixed(hash, HASH_BYTES));
}

export function readReadingProof(reader: Reader): ReadingProof {
  const version = reader.u8();
  if (version !== VERSION)
    reader.refuse('decode.unknown-kind', `expected proof version ${VERSION}, got ${version}`);
  return {
    genesis: reader.bytes(LIMITS.genesisBytesMax).slice(),
    ...readLinkedHeader(reader),
    transaction: reader.bytes(LIMITS.transactionBytesMax).slice(),
    transactionIndex: reader.u32(),
    transactionCount: reader.u32(),
    transactionPath: reader.list(LIMITS.merklePathMax, readHash),
    subnet: reader.bool()
      ? { record: reader.bytes(LIMITS.transactionBytesMax).slice(), proof: readStateProof(reader) }
      : undefined,
    payload: reader.bytes(LIMITS.payloadBytesMax).slice(),
    payloadIndex: reader.u32(),
    payloadPath: reader.list(LIMITS.merklePathMax, readHash),
  };
}

export function decodeReadingProof(bytes: Uint8Array): Result<ReadingProof, DecodeCode> {
  if (bytes.length > LIMITS.proofBytesMax) {
    return refused('decode.too-long', `expected at most ${LIMITS.proofBytesMax} bytes, got ${bytes.length}`);
  }
  return decode(readReadingProof, bytes);
}
