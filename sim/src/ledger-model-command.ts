/** `--model-transactions`: the ledger against its model, over as many random transactions as the night has room for. */
import { installNativeSha256 } from '@itc/core/testing/keys.js';
import { runLedgerModel } from '@itc/core/testing/ledger-model.js';

/** Transactions between two lines of progress. */
const PROGRESS_EVERY = 20_000;

/** 0 when everything held and every kind was accepted and refused at least once, else 1. */
export function runLedgerModelCommand(o: {
  readonly transactions: number;
  readonly seed: number;
  readonly print: (fields: Record<string, unknown>) => void;
}): number {
  installNativeSha256();
  const { transactions, seed, print } = o;
  const started = performance.now();
  const seconds = (): number => Math.round((performance.now() - started) / 1000);
  let shown = 0;
  try {
    const tally = runLedgerModel({
      transactions,
      seed,
      onProgress: (so) => {
        if (so.transactions - shown < PROGRESS_EVERY) return;
        shown = so.transactions;
        process.stderr.write(`${shown} of ${transactions} transactions, ${seconds()} s\n`);
      },
    });
    const missing = tally.missing();
    const kinds = tally.accepted.size;
    print({
      passed: missing.length === 0,
      seed,
      transactions: tally.transactions,
      kinds,
      missing,
      seconds: seconds(),
    });
    return missing.length === 0 ? 0 : 1;
  } catch (error) {
    // The shortest story that fails, and why.
    if (!(error instanceof Error)) throw error;
    const cause = error.cause instanceof Error ? `${error.cause.message}\n` : '';
    process.stderr.write(`${error.message}\n${cause}`);
    print({
      passed: false,
      seed,
      again: `npm run sim -- --model-transactions ${transactions} --seed ${seed}`,
    });
    return 1;
  }
}
