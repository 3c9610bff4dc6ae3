/**
 * The state after a block (spec STATE-1): an immutable value. Decoded records and the tree that commits them
 * both share structure between states, so a node holds hundreds of heights for proofs at the price of what changed.
 */
import { equalBytes } from '../bytes/hex.ts';
import type { DecodeCode } from '../bytes/reader.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { asHash, type Hash } from '../crypto/hash.ts';
import type { PublicKey } from '../crypto/signature.ts';
import { StateTree, type StateChange, type StateProof } from '../crypto/state-tree.ts';
import { addressOf, asAddress, type Address } from '../ledger/address.ts';
import { genesisHash, type Genesis } from '../ledger/genesis.ts';
import type { EpochRecord } from '../ledger/epoch.ts';
import { amount, epoch, height, type Amount } from '../ledger/ids.ts';
import type { Deposit } from '../ledger/escrow.ts';
import {
  countedId,
  parseStateKey,
  RECORD_KINDS,
  stateKey,
  stateKeyHash,
  stateKeyText,
  type RecordKind,
  type StateKey,
} from './keys.ts';
import { idBytes, idText, RecordMap } from './record-map.ts';
import type { Escrow, OpenWithdrawals } from './escrow-record.ts';
import { newValidator, stakeOf, type ValidatorRecord } from './validator-record.ts';
import {
  decodeRecord,
  encodeRecord,
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

/** A record as a shell keeps it: state key and canonical bytes. */
export interface StateEntry {
  readonly key: StateKey;
  readonly value: Uint8Array;
}

/** What a block did to one record; `undefined` removes it. */
export interface RecordChange {
  readonly key: StateKey;
  readonly value: Uint8Array | undefined;
}

type Tables = { readonly [K in RecordKind]: RecordMap<RecordTypes[K]> };

/** Changed records of a block by kind and id text; `undefined` removes. */
export type ChangedRecords = { readonly [K in RecordKind]: Map<string, RecordTypes[K] | undefined> };

const KINDS = Object.keys(RECORD_KINDS) as readonly RecordKind[];

export function noChanges(): ChangedRecords {
  return {
    parameters: new Map(),
    account: new Map(),
    maker: new Map(),
    batch: new Map(),
    device: new Map(),
    grant: new Map(),
    subnet: new Map(),
    epoch: new Map(),
    validator: new Map(),
    escrow: new Map(),
    deposit: new Map(),
    withdrawals: new Map(),
  };
}

const EMPTY_TABLES: Tables = {
  parameters: RecordMap.empty(),
  account: RecordMap.empty(),
  maker: RecordMap.empty(),
  batch: RecordMap.empty(),
  device: RecordMap.empty(),
  grant: RecordMap.empty(),
  subnet: RecordMap.empty(),
  epoch: RecordMap.empty(),
  validator: RecordMap.empty(),
  escrow: RecordMap.empty(),
  deposit: RecordMap.empty(),
  withdrawals: RecordMap.empty(),
};

function setRecord<K extends RecordKind>(
  tables: Tables,
  kind: K,
  id: string,
  record: RecordTypes[K] | undefined,
): Tables {
  return { ...tables, [kind]: tables[kind].set(id, record) };
}

export class LedgerState implements StateView {
  readonly #tables: Tables;
  readonly #tree: StateTree;
  readonly parameters: Parameters;

  private constructor(tables: Tables, tree: StateTree, parameters: Parameters) {
    this.#tables = tables;
    this.#tree = tree;
    this.parameters = parameters;
  }

  /** The state below height 1. */
  static fromGenesis(genesis: Genesis): LedgerState {
    const chain = genesisHash(genesis);
    const { feePerByte, bondPerWeight, rewardPerCheckpoint, validatorBond } = genesis;
    const parameters: Parameters = { chain, feePerByte, bondPerWeight, rewardPerCheckpoint };
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
    for (const subnet of genesis.subnets) changed.subnet.set(idText(subnet.id), newSubnet(subnet));
    return new LedgerState(EMPTY_TABLES, StateTree.empty, parameters).advance(changed).state;
  }

  /**
   * From what a shell kept of `changes`, in any order. Refused when a key or value is not canonical or the
   * parameters are missing; that the root is the expected one is for the caller to compare.
   */
  static fromRecords(
    entries: Iterable<{ readonly key: Uint8Array; readonly value: Uint8Array }>,
  ): Result<LedgerState, DecodeCode> {
    let tables = EMPTY_TABLES;
    const leaves: StateChange[] = [];
    for (const entry of entries) {
      const key = parseStateKey(entry.key);
      if (key === undefined) return refused('decode.unknown-kind', 'expected a state key');
      const record = decodeRecord(key.kind, entry.value);
      if (!record.ok) return record;
      tables = setRecord(tables, key.kind, idText(key.id), record.value);
      // The store may hand out views of its pages: what the tree keeps is a copy.
      const own = stateKey(key.kind, key.id);
      leaves.push({ key: stateKeyHash(own), value: entry.value.slice(), label: idText(own) });
    }
    const parameters = tables.parameters.get('');
    if (parameters === undefined) return refused('decode.truncated', 'expected the record of the parameters');
    if (tables.epoch.get('') === undefined)
      return refused('decode.truncated', 'expected the record of the epoch');
    return ok(new LedgerState(tables, StateTree.empty.update(leaves), parameters));
  }

  get root(): Hash {
    return this.#tree.root;
  }

  /** For provers of several keys at once. */
  get tree(): StateTree {
    return this.#tree;
  }

  /** Who decides; always there. */
  get epoch(): EpochRecord {
    return this.#tables.epoch.get('') as EpochRecord;
  }

  /** Records of all kinds. */
  get size(): number {
    return this.#tree.size;
  }

  record<K extends RecordKind>(kind: K, id: string): RecordTypes[K] | undefined {
    return this.#tables[kind].get(id);
  }

  account(address: Address): Account | undefined {
    return this.#tables.account.get(idText(address));
  }

  maker(address: Address): Maker | undefined {
    return this.#tables.maker.get(idText(address));
  }

  batch(id: Hash): Batch | undefined {
    return this.#tables.batch.get(idText(id));
  }

  device(device: Address): Device | undefined {
    return this.#tables.device.get(idText(device));
  }

  grant(device: Address, subject: Address): GrantRecord | undefined {
    return this.#tables.grant.get(idText(device) + idText(subject));
  }

  subnet(id: Hash): Subnet | undefined {
    return this.#tables.subnet.get(idText(id));
  }

  /** By the account that bonds. */
  validator(account: Address): ValidatorRecord | undefined {
    return this.#tables.validator.get(idText(account));
  }

  /** Absent before the first deposit. */
  escrow(subnet: Hash): Escrow | undefined {
    return this.#tables.escrow.get(idText(subnet));
  }

  /** A deposit by number; the newest `depositsKeptMax` of a subnet are here. */
  deposit(subnet: Hash, number: number): Deposit | undefined {
    const record = this.#tables.deposit.get(idText(countedId(subnet, number)));
    return record && { number, ...record };
  }

  /** What of a checkpoint's withdrawals waits to be fetched; absent when there is nothing, or nothing any more. */
  withdrawals(subnet: Hash, checkpoint: number): OpenWithdrawals | undefined {
    return this.#tables.withdrawals.get(idText(countedId(subnet, checkpoint)));
  }

  /** The canonical bytes a proof is about. */
  get(key: StateKey): Uint8Array | undefined {
    return this.#tree.get(stateKeyHash(key));
  }

  /** That the key holds what `get` says, or that it holds nothing. */
  prove(key: StateKey): StateProof {
    return this.#tree.prove(stateKeyHash(key));
  }

  count(kind: RecordKind): number {
    return this.#tables[kind].size;
  }

  *accounts(): Iterable<{ readonly address: Address; readonly account: Account }> {
    for (const [id, account] of this.#tables.account.entries())
      yield { address: asAddress(idBytes(id)), account };
  }

  *makers(): Iterable<{ readonly address: Address; readonly maker: Maker }> {
    for (const [id, maker] of this.#tables.maker.entries()) yield { address: asAddress(idBytes(id)), maker };
  }

  *batches(): Iterable<{ readonly id: Hash; readonly batch: Batch }> {
    for (const [id, batch] of this.#tables.batch.entries()) yield { id: asHash(idBytes(id)), batch };
  }

  *devices(): Iterable<{ readonly address: Address; readonly device: Device }> {
    for (const [id, device] of this.#tables.device.entries())
      yield { address: asAddress(idBytes(id)), device };
  }

  *subnets(): Iterable<{ readonly id: Hash; readonly subnet: Subnet }> {
    for (const [id, subnet] of this.#tables.subnet.entries()) yield { id: asHash(idBytes(id)), subnet };
  }

  /** Every bonded account, at most `candidatesMax`. */
  *validators(): Iterable<{ readonly address: Address; readonly validator: ValidatorRecord }> {
    for (const [id, validator] of this.#tables.validator.entries())
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
    for (const [id, grant] of this.#tables.grant.entries(device === undefined ? '' : idText(device))) {
      const bytes = idBytes(id);
      yield { device: asAddress(bytes.slice(0, 32)), subject: asAddress(bytes.slice(32)), grant };
    }
  }

  /** Every record as stored, for snapshots; `fromRecords` takes them back. */
  *entries(): Iterable<StateEntry> {
    for (const kind of KINDS) {
      for (const [id] of this.#tables[kind].entries()) {
        const key = stateKey(kind, idBytes(id));
        yield { key, value: this.get(key) as Uint8Array };
      }
    }
  }

  /**
   * Balances, deposits held in batches, bonds, what subnets hold in escrow, fees waiting to be paid out, reserve, and what was burned: always the
   * supply of genesis. Walks every account.
   */
  supply(): Amount {
    let total: bigint = this.epoch.fees + this.epoch.reserve + this.epoch.burned;
    for (const [, account] of this.#tables.account.entries()) total += account.balance;
    for (const [, batch] of this.#tables.batch.entries())
      total += BigInt(batch.count - batch.claimed) * batch.depositPerDevice;
    for (const [, validator] of this.#tables.validator.entries()) total += stakeOf(validator);
    for (const [, escrow] of this.#tables.escrow.entries()) total += escrow.held;
    return total as Amount;
  }

  /** The next state: each changed record is encoded once, each touched path of the tree hashed once. */
  advance(changed: ChangedRecords): {
    readonly state: LedgerState;
    readonly changes: readonly RecordChange[];
  } {
    let tables = this.#tables;
    const changes: RecordChange[] = [];
    const labels: string[] = [];
    const collect = <K extends RecordKind>(kind: K): void => {
      const table = tables[kind];
      for (const [id, record] of changed[kind]) {
        // Written and written back: nothing to tell.
        if (table.get(id) === record) continue;
        changes.push({ key: stateKey(kind, idBytes(id)), value: record && encodeRecord(kind, record) });
        labels.push(String.fromCharCode(RECORD_KINDS[kind]) + id);
      }
      const next = table.setAll(changed[kind]);
      if (next !== table) tables = { ...tables, [kind]: next };
    };
    for (const kind of KINDS) collect(kind);
    const tree = this.#tree.update(
      changes.map(({ key, value }, i) => {
        const label = labels[i] as string;
        return { key: stateKeyText(key, label), value, label };
      }),
    );
    return { state: new LedgerState(tables, tree, this.parameters), changes };
  }
}
