/** What the ledger remembers of co-signing keys (spec QUANTUM-1). */
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { HASH_BYTES } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import { readAddress } from '../ledger/fields.ts';
import { height, type Height } from '../ledger/ids.ts';
import { readDepositOf, writeDepositOf, type RecordDeposit } from './record-deposit.ts';

/** Of a bonded account, as long as it is bonded. */
export interface CoSigningKey {
  /** The address of the key. The key itself comes with every signature, so the state need not hold it. */
  readonly key: Address;
  /** Height of the block that registered it; 0 for those of genesis. */
  readonly since: Height;
  readonly deposit: RecordDeposit;
}

export function writeCoSigningKey(writer: Writer, record: CoSigningKey): void {
  writer.fixed(record.key, HASH_BYTES).u53(record.since);
  writeDepositOf(writer, record.deposit);
}

export function readCoSigningKey(reader: Reader): CoSigningKey {
  return { key: readAddress(reader), since: height(reader.u53()), deposit: readDepositOf(reader) };
}
