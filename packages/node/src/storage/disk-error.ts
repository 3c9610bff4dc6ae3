/** Turns what the system refused into the two codes callers tell apart: make room, or replace the disk. */
import { LedgerError } from '@itc/core/ledger/errors.js';

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

export function diskError(operation: string, path: string, cause: unknown): LedgerError {
  if (cause instanceof LedgerError) return cause;
  const system = (cause as NodeJS.ErrnoException | undefined)?.code ?? 'unknown';
  return FULL.has(system)
    ? new LedgerError(
        'storage.full',
        `no space is left to ${operation} ${path}`,
        { path, operation, system },
        cause,
      )
    : new LedgerError(
        'storage.failed',
        `cannot ${operation} ${path}: ${system}`,
        { path, operation, system },
        cause,
      );
}
