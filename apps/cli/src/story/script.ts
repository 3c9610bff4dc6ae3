/** A story told step by step: what was expected, what happened, and an end at the first difference. */
import { LedgerError } from '@itc/core/ledger/errors.js';

export interface Check {
  readonly what: string;
  readonly expected: string;
  readonly happened: string;
  readonly ok: boolean;
}

export interface Step {
  readonly number: number;
  readonly title: string;
  readonly checks: readonly Check[];
  readonly ok: boolean;
  readonly ms: number;
}

/** Two texts that must be the same; the step ends when they are not. */
export type Expect = (what: string, expected: string, happened: string) => void;

/** Something happened that was not expected; what, is in the last step. */
export class Difference extends Error {}

export class Script {
  readonly steps: Step[] = [];
  readonly #tell: (line: string) => void;

  /** `tell` gets each line when it is known. */
  constructor(tell: (line: string) => void) {
    this.#tell = tell;
  }

  /** Rejects with `Difference`; whatever else is thrown inside is one, too. */
  async step(title: string, act: (expect: Expect) => Promise<void>): Promise<void> {
    const number = this.steps.length + 1;
    this.#tell(`${String(number).padStart(2)}  ${title}`);
    const started = performance.now();
    const checks: Check[] = [];
    const expect: Expect = (what, expected, happened) => {
      const ok = expected === happened;
      checks.push({ what, expected, happened, ok });
      const told = `${what}: expected ${expected}, got ${happened}`;
      this.#tell(`    ${ok ? '✓' : '✗'} ${told}`);
      if (!ok) throw new Difference(`step ${number}: ${told}`);
    };
    const end = (ok: boolean): void => {
      this.steps.push({ number, title, checks, ok, ms: Math.round(performance.now() - started) });
    };
    try {
      await act(expect);
    } catch (error) {
      try {
        // Said in the same form as any other difference.
        if (!(error instanceof Difference)) expect('what came of it', 'no error', reasonOf(error));
      } finally {
        end(false);
      }
      throw error;
    }
    end(true);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof LedgerError) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}

/** The code with which something is refused, or `accepted`. */
export async function refusalOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return 'accepted';
  } catch (error) {
    if (error instanceof LedgerError) return error.code;
    throw error;
  }
}
