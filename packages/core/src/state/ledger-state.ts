/**
 * The state after a block (spec STATE-1): an immutable value. Records and the tree that commits them share structure between
 * states, so a node holds hundreds of heights for proofs at the price of what changed.
 */
import { equalBytes } from '../bytes/hex.ts';
import type { DecodeCode } from '../bytes/reader.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { asHash, type Hash } from '../crypto/hash.ts';
import type { Mmr } from '../crypto/mmr.ts';
import type { PublicKey } from '../crypto/signature.ts';
import type { StateProof, StateTreeView } from '../crypto/state-tree.ts';
import { addressOf, asAddress, type Address } from '../ledger/address.ts';
import { genesisHash, type Genesis } from '../ledger/genesis.ts';
import type { CoSigners } from '../ledger/co-signers.ts';
import type { EpochRecord } from '../ledger/epoch.ts';
import { amount, epoch, height, type Amount } from '../ledger/ids.ts';
import type { Deposit } from '../ledger/escrow.ts';
import { countedId, counterOf, stateKeyHash, type RecordKind, type StateKey } from './keys.ts';
import type { GuardiansRecord, KeysRecord } from './guardians-record.ts';
import { setGenesisCoSigners } from './co-signing.ts';
import { heldBy } from './held-value.ts';
import { MemoryRecords } from './memory-records.ts';
import { idBytes, idText } from './record-map.ts';
import {
  KINDS,
  noChanges,
  type ChangedRecords,
  type RecordChange,
  type RecordStore,
  type StateEntry,
} from './record-store.ts';
import type { Membership, MemberStakeRecord } from './membership-record.ts';
import type { ValidatorSet } from '../ledger/validators.ts';
import type { Escrow, OpenWithdrawals } from './escrow-record.ts';
import { newValidator, type ValidatorRecord } from './validator-record.ts';
import {
  newSubnet,
  type Account,
  type Batch,
  type Device,
  type GrantRecord,
  type Maker,
  type Parameters,
  type RecordTypes,
  type Subnet,
} from './records.ts';

/** Anything records can be asked from: a state, or a store behind a proof server. */
export interface StateView {
  get(key: StateKey): Uint8Array | undefined;
}

export { noChanges, type ChangedRecords, type RecordChange, type StateEntry } from './record-store.ts';

export class LedgerState implements StateView {
  /** Where its records are; another state's may share most of it. */
  readonly records: RecordStore;
  readonly parameters: Parameters;

  /** No entry of the queue of what expires is below this id. What is known of a state, not a part of it. */
  readonly queueFrom: string;

  private constructor(records: RecordStore, parameters: Parameters, queueFrom = '') {
    this.records = records;
    this.parameters = parameters;
    this.queueFrom = queueFrom;
  }

  /** The state below height 1, in a store that is empty. */
  static fromGenesis(genesis: Genesis, empty: RecordStore = MemoryRecords.empty): LedgerState {
    const chain = genesisHash(genesis);
    const { feePerByte, bondPerWeight, rewardPerCheckpoint, validatorBond } = genesis;
    const { depositPerByte, accountPrice, burnShare } = genesis;
    const parameters: Parameters = {
      chain,
      feePerByte,
      bondPerWeight,
      rewardPerCheckpoint,
      depositPerByte,
      accountPrice,
      burnShare,
    };
    const changed = noChanges();
    changed.parameters.set('', parameters);
    changed.epoch.set('', {
      epoch: epoch(0),
      since: height(1),
      validators: genesis.validators,
      next: undefined,
      fees: amount(0n),
      reserve: genesis.reserve,
      burned: amount(0n),
    });
    for (const { address, balance } of genesis.accounts) {
      if (balance > 0n) changed.account.set(idText(address), { balance, nonces: [] });
    }
    for (const { key, weight } of genesis.validators) {
      const record = newValidator({ key, since: height(0), bond: validatorBond, weight });
      changed.validator.set(idText(addressOf(key)), record);
    }
    setGenesisCoSigners(changed, genesis);
    for (const subnet of genesis.subnets) changed.subnet.set(idText(subnet.id), newSubnet(subnet));
    return new LedgerState(empty, parameters).advance(changed).state;
  }

  /**
   * From what a shell kept of `changes`, in any order. Refused when a key or value is not canonical or the
   * parameters are missing; that the root is the expected one is for the caller to compare.
   */
  static fromRecords(
    entries: Iterable<{ readonly key: Uint8Array; readonly value: Uint8Array }>,
  ): Result<LedgerState, DecodeCode> {
    const records = MemoryRecords.from(entries);
    return records.ok ? LedgerState.of(records.value) : records;
  }

  /** Over what a store holds. Refused when the parameters or the epoch are missing. */
  static of(records: RecordStore): Result<LedgerState, DecodeCode> {
    const parameters = records.record('parameters', '');
    if (parameters === undefined) return refused('decode.truncated', 'expected the record of the parameters');
    if (records.record('epoch', '') === undefined)
      return refused('decode.truncated', 'expected the record of the epoch');
    return ok(new LedgerState(records, parameters));
  }

  get root(): Hash {
    return this.records.tree.root;
  }

  /** For provers of several keys at once. */
  get tree(): StateTreeView {
    return this.records.tree;
  }

  /** Who decides; always there. */
  get epoch(): EpochRecord {
    return this.records.record('epoch', '') as EpochRecord;
  }

  /** Who may co-sign in the present epoch. */
  get coSigners(): CoSigners | undefined {
    return this.records.record('co-signers', '');
  }

  /** Records of all kinds. */
  get size(): number {
    return this.records.tree.size;
  }

  record<K extends RecordKind>(kind: K, id: string): RecordTypes[K] | undefined {
    return this.records.record(kind, id);
  }

  account(address: Address): Account | undefined {
    return this.records.record('account', idText(address));
  }

  /** Absent while the key whose hash the address is acts alone. */
  keys(address: Address): KeysRecord | undefined {
    return this.records.record('keys', idText(address));
  }

  guardians(address: Address): GuardiansRecord | undefined {
    return this.records.record('guardians', idText(address));
  }

  maker(address: Address): Maker | undefined {
    return this.records.record('maker', idText(address));
  }

  batch(id: Hash): Batch | undefined {
    return this.records.record('batch', idText(id));
  }

  device(device: Address): Device | undefined {
    return this.records.record('device', idText(device));
  }

  grant(device: Address, subject: Address): GrantRecord | undefined {
    return this.records.record('grant', idText(device) + idText(subject));
  }

  subnet(id: Hash): Subnet | undefined {
    return this.records.record('subnet', idText(id));
  }

  /** By the account that bonds. */
  validator(account: Address): ValidatorRecord | undefined {
    return this.records.record('validator', idText(account));
  }

  /** Absent before the first deposit. */
  escrow(subnet: Hash): Escrow | undefined {
    return this.records.record('escrow', idText(subnet));
  }

  /** A deposit by number; the newest `depositsKeptMax` of a subnet are here. */
  deposit(subnet: Hash, number: number): Deposit | undefined {
    const record = this.records.record('deposit', idText(countedId(subnet, number)));
    return record && { number, ...record };
  }

  /** What of a checkpoint's withdrawals waits to be fetched; absent when there is nothing, or nothing any more. */
  withdrawals(subnet: Hash, checkpoint: number): OpenWithdrawals | undefined {
    return this.records.record('withdrawals', idText(countedId(subnet, checkpoint)));
  }

  /** Checkpoints of a subnet of which something waits to be fetched, ascending. */
  *openWithdrawals(subnet: Hash): Iterable<{ readonly checkpoint: number; readonly open: OpenWithdrawals }> {
    for (const [id, open] of this.records.walk('withdrawals', idText(subnet)))
      yield { checkpoint: counterOf(idBytes(id)), open };
  }

  /**
   * The least bits of work a subnet ever asks; its record has those in force. Undefined for a subnet of genesis, whose document has
   * them.
   */
  basePowBits(subnet: Hash): number | undefined {
    return this.membership(subnet)?.powBits ?? this.records.record('subnet-base', idText(subnet))?.powBits;
  }

  /** The terms of a subnet with members by stake; absent where they are fixed. */
  membership(subnet: Hash): Membership | undefined {
    return this.records.record('membership', idText(subnet));
  }

  /** The range of a subnet's checkpoints, to go on from; absent before the first. */
  checkpointPeaks(subnet: Hash): Mmr | undefined {
    return this.records.record('checkpoint-peaks', idText(subnet));
  }

  /** Stakes in a subnet, by the address of the member's key. */
  *stakes(
    subnet: Hash,
  ): Iterable<{ readonly member: Address; readonly owner: Address; readonly stake: MemberStakeRecord }> {
    for (const [id, stake] of this.records.walk('stake', idText(subnet)))
      yield { member: asAddress(idBytes(id).slice(32)), owner: stake.owner, stake };
  }

  stake(subnet: Hash, member: Address): MemberStakeRecord | undefined {
    return this.records.record('stake', idText(subnet) + idText(member));
  }

  /** Who decides from checkpoint `first` on, where that is another set than before and remembered. */
  memberTurn(subnet: Hash, first: number): ValidatorSet | undefined {
    return this.records.record('turn', idText(countedId(subnet, first)))?.members;
  }

  /** The canonical bytes a proof is about. */
  get(key: StateKey): Uint8Array | undefined {
    return this.records.tree.get(stateKeyHash(key));
  }

  /** That the key holds what `get` says, or that it holds nothing. */
  prove(key: StateKey): StateProof {
    return this.records.tree.prove(stateKeyHash(key));
  }

  count(kind: RecordKind): number {
    return this.records.count(kind);
  }

  *accounts(): Iterable<{ readonly address: Address; readonly account: Account }> {
    for (const [id, account] of this.records.walk('account'))
      yield { address: asAddress(idBytes(id)), account };
  }

  *makers(): Iterable<{ readonly address: Address; readonly maker: Maker }> {
    for (const [id, maker] of this.records.walk('maker')) yield { address: asAddress(idBytes(id)), maker };
  }

  *batches(): Iterable<{ readonly id: Hash; readonly batch: Batch }> {
    for (const [id, batch] of this.records.walk('batch')) yield { id: asHash(idBytes(id)), batch };
  }

  *devices(): Iterable<{ readonly address: Address; readonly device: Device }> {
    for (const [id, device] of this.records.walk('device')) yield { address: asAddress(idBytes(id)), device };
  }

  *subnets(): Iterable<{ readonly id: Hash; readonly subnet: Subnet }> {
    for (const [id, subnet] of this.records.walk('subnet')) yield { id: asHash(idBytes(id)), subnet };
  }

  /** Every bonded account, at most `candidatesMax`. */
  *validators(): Iterable<{ readonly address: Address; readonly validator: ValidatorRecord }> {
    for (const [id, validator] of this.records.walk('validator'))
      yield { address: asAddress(idBytes(id)), validator };
  }

  /** The bonded account behind a consensus key; there is at most one. */
  validatorOf(
    key: PublicKey,
  ): { readonly address: Address; readonly validator: ValidatorRecord } | undefined {
    for (const entry of this.validators()) if (equalBytes(entry.validator.key.bytes, key.bytes)) return entry;
    return undefined;
  }

  /** All grants, or those of one device, which lie together and cost no scan. */
  *grants(
    device?: Address,
  ): Iterable<{ readonly device: Address; readonly subject: Address; readonly grant: GrantRecord }> {
    for (const [id, grant] of this.records.walk('grant', device === undefined ? '' : idText(device))) {
      const bytes = idBytes(id);
      yield { device: asAddress(bytes.slice(0, 32)), subject: asAddress(bytes.slice(32)), grant };
    }
  }

  /** Every record as stored, for snapshots; `fromRecords` takes them back. */
  entries(): Iterable<StateEntry> {
    return this.records.entries();
  }

  /** What all records hold (`held-value.ts`): always the supply of genesis. Walks every record. */
  supply(): Amount {
    const total = KINDS.reduce((sum, kind) => sum + this.#heldBy(kind), 0n);
    return total as Amount;
  }

  #heldBy<K extends RecordKind>(kind: K): bigint {
    let total = 0n;
    for (const [, record] of this.records.walk(kind)) total += heldBy(kind, record);
    return total;
  }

  /**
   * The next state: each changed record is encoded once, each touched path of the tree hashed once. `queueFrom`: below it the block
   * has left nothing that was there before.
   */
  advance(
    changed: ChangedRecords,
    queueFrom: string = this.queueFrom,
  ): {
    readonly state: LedgerState;
    readonly changes: readonly RecordChange[];
  } {
    const advanced = this.records.advance(changed);
    let from = queueFrom;
    for (const [id, entry] of changed.expiry) if (entry !== undefined && id < from) from = id;
    const state = new LedgerState(advanced.records, changed.parameters.get('') ?? this.parameters, from);
    return {
      state,
      // Only some ask for it.
      get changes() {
        return advanced.changes;
      },
    };
  }
}
