/** A full disk is the one failure of storage that passes by itself. */
import { LedgerError } from '@itc/core/ledger/errors.js';

export function isFull(error: unknown): error is LedgerError {
  return error instanceof LedgerError && error.code === 'storage.full';
}
