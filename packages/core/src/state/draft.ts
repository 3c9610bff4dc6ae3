/** The records of a block in the making: a state below, what the block changed above. Dropped when the block is. */
import { equalBytes } from '../bytes/hex.ts';
import type { PublicKey } from '../crypto/signature.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import type { EpochRecord } from '../ledger/epoch.ts';
import { amount, type Amount } from '../ledger/ids.ts';
import type { RecordKind } from './keys.ts';
import { noChanges, type ChangedRecords, type LedgerState } from './ledger-state.ts';
import { idBytes, idText } from './record-map.ts';
import { EMPTY_ACCOUNT, type Account, type Parameters, type RecordTypes } from './records.ts';
import type { Move } from './events.ts';
import type { Purse } from './purse.ts';
import type { ValidatorRecord } from './validator-record.ts';

export class Draft {
  readonly #below: LedgerState;
  /** Whether any of the changed records is gone. */
  #removes = false;
  readonly changed: ChangedRecords = noChanges();
  readonly feePerByte: Amount;
  /** Taken by transactions of this block; written to the record of the epoch once, at the end of the block. */
  fees = 0n;
  /** What the transaction at hand has moved: part of its event. */
  moves: Move[] = [];
  /** No entry of the queue of what expires is below this id: what went long ago is not looked through again. */
  queueFrom: string;
  /** Pays for state in place of the sender of the transaction at hand. */
  purse: Purse | undefined;

  constructor(below: LedgerState) {
    this.#below = below;
    this.feePerByte = below.parameters.feePerByte;
    this.queueFrom = below.queueFrom;
  }

  /** By id text, see `idText`. */
  get<K extends RecordKind>(kind: K, id: string): RecordTypes[K] | undefined {
    const changed = this.changed[kind];
    const known = changed.get(id);
    if (known !== undefined || (this.#removes && changed.has(id))) return known;
    return this.#below.record(kind, id);
  }

  set<K extends RecordKind>(kind: K, id: string, record: RecordTypes[K] | undefined): void {
    if (record === undefined) this.#removes = true;
    this.changed[kind].set(id, record);
  }

  /** Records of a kind in ascending order of ids, as they are now, none of them below `from`. */
  *walk<K extends RecordKind>(
    kind: K,
    prefix = '',
    from = '',
  ): Generator<readonly [id: string, record: RecordTypes[K]], void> {
    const changed = this.changed[kind];
    const own = [...changed]
      .filter(([id]) => id.startsWith(prefix) && id >= from)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    let next = 0;
    for (const entry of this.#below.records.walk(kind, prefix, from)) {
      for (; next < own.length && (own[next] as (typeof own)[number])[0] < entry[0]; next += 1) {
        const [id, record] = own[next] as (typeof own)[number];
        if (record !== undefined) yield [id, record];
      }
      if (!changed.has(entry[0])) yield entry;
    }
    for (const [id, record] of own.slice(next)) if (record !== undefined) yield [id, record];
  }

  hasAccount(address: Address): boolean {
    return this.get('account', idText(address)) !== undefined;
  }

  account(address: Address): Account {
    return this.get('account', idText(address)) ?? EMPTY_ACCOUNT;
  }

  get parameters(): Parameters {
    return this.#below.parameters;
  }

  get epoch(): EpochRecord {
    return this.changed.epoch.get('') ?? this.#below.epoch;
  }

  setEpoch(record: EpochRecord): void {
    this.set('epoch', '', record);
  }

  /** Every bonded account by id text, ascending; walks all of them, so it is not for what happens often. */
  validators(): readonly (readonly [id: string, record: ValidatorRecord])[] {
    const changed = this.changed.validator;
    const all: [string, ValidatorRecord][] = [];
    for (const { address, validator } of this.#below.validators()) {
      const id = idText(address);
      if (!changed.has(id)) all.push([id, validator]);
    }
    for (const [id, record] of changed) if (record !== undefined) all.push([id, record]);
    return changed.size === 0 ? all : all.sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** The bonded account behind a consensus key; there is at most one. */
  validatorOf(key: PublicKey): { readonly address: Address; readonly record: ValidatorRecord } | undefined {
    for (const [id, record] of this.validators())
      if (equalBytes(record.key.bytes, key.bytes)) return { address: asAddress(idBytes(id)), record };
    return undefined;
  }

  /** Adds to a balance, for the event of the transaction at hand to tell. */
  credit(address: Address, value: bigint): void {
    if (value === 0n) return;
    this.adjust(address, value);
    this.moves.push({ kind: 'received', account: address, amount: amount(value) });
  }

  /** Takes from a balance that the caller has checked. */
  debit(address: Address, value: bigint): void {
    if (value === 0n) return;
    this.adjust(address, -value);
    this.moves.push({ kind: 'paid', account: address, amount: amount(value) });
  }

  /**
   * Changes a balance that the event tells of in another way. It cannot leave 64 bits upwards, because the supply fits and nothing is
   * ever created; `amount` refuses to go below zero.
   */
  adjust(address: Address, change: bigint): void {
    this.adjustAt(idText(address), change);
  }

  /** The same by id text. */
  adjustAt(id: string, change: bigint): void {
    const { balance, nonces } = this.get('account', id) ?? EMPTY_ACCOUNT;
    this.setAccount(id, { balance: amount(balance + change), nonces });
  }

  /** By id text. An empty account leaves no record: one state, one set of records. */
  setAccount(id: string, account: Account): void {
    const empty = account.balance === 0n && account.nonces.length === 0;
    this.set('account', id, empty ? undefined : account);
  }
}
