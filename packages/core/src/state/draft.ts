/** The records of a block in the making: a state below, what the block changed above. Dropped when the block is. */
import type { Address } from '../ledger/address.ts';
import { amount, type Amount } from '../ledger/ids.ts';
import type { RecordKind } from './keys.ts';
import { noChanges, type ChangedRecords, type LedgerState } from './ledger-state.ts';
import { idText } from './record-map.ts';
import { EMPTY_ACCOUNT, type Account, type RecordTypes } from './records.ts';

export class Draft {
  readonly #below: LedgerState;
  readonly changed: ChangedRecords = noChanges();
  readonly feePerByte: Amount;

  constructor(below: LedgerState) {
    this.#below = below;
    this.feePerByte = below.parameters.feePerByte;
  }

  /** By id text, see `idText`. */
  get<K extends RecordKind>(kind: K, id: string): RecordTypes[K] | undefined {
    const changed = this.changed[kind];
    return changed.has(id) ? changed.get(id) : this.#below.record(kind, id);
  }

  set<K extends RecordKind>(kind: K, id: string, record: RecordTypes[K] | undefined): void {
    this.changed[kind].set(id, record);
  }

  account(address: Address): Account {
    return this.get('account', idText(address)) ?? EMPTY_ACCOUNT;
  }

  /** Adds to a balance. It cannot leave 64 bits, because the supply fits and nothing is ever created. */
  credit(address: Address, value: bigint): void {
    const account = this.account(address);
    this.setAccount(address, { balance: amount(account.balance + value), nonces: account.nonces });
  }

  /** Takes from a balance that the caller has checked: `amount` refuses to go below zero. */
  debit(address: Address, value: bigint): void {
    const account = this.account(address);
    this.setAccount(address, { balance: amount(account.balance - value), nonces: account.nonces });
  }

  /** An empty account leaves no record: one state, one set of records. */
  setAccount(address: Address, account: Account): void {
    const empty = account.balance === 0n && account.nonces.length === 0;
    this.set('account', idText(address), empty ? undefined : account);
  }
}
