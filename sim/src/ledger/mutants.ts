/** The production state machine with one of its rules taken out. */
import { mutatedModule, type TextChange } from '../mutated-module.ts';
import type { Machine } from '../pbft/executions.ts';

export interface LedgerMutation {
  readonly changes: readonly TextChange[];
}

export async function mutantMachine({ changes }: LedgerMutation): Promise<Machine> {
  const { applyBlock, applyTransaction } = (await mutatedModule(
    '@itc/core/state/apply.js',
    changes,
  )) as Machine;
  return { applyBlock, applyTransaction };
}

export const LEDGER_MUTATIONS: Readonly<Record<string, LedgerMutation & { readonly what: string }>> = {
  'ledger-mint': {
    what: 'who is paid gets one base unit more than was taken (STATE-2.9)',
    changes: [['state/draft', 'this.adjust(address, value);', 'this.adjust(address, value + 1n);']],
  },
  'ledger-unlike': {
    what: 'the same block makes another state the next time (STATE-2.1)',
    changes: [
      [
        'state/apply',
        'const draft = new Draft(state);',
        `const draft = new Draft(state);
         globalThis.timesExecuted = (globalThis.timesExecuted ?? 0) + 1;
         const { epoch } = draft;
         if (globalThis.timesExecuted % 5 === 0) draft.setEpoch({ ...epoch, reserve: epoch.reserve - 1n, burned: epoch.burned + 1n });`,
      ],
    ],
  },
  'ledger-nonce-stays': {
    what: 'a lane is at nonce 1 for ever after its first transaction (STATE-2.6)',
    changes: [['state/admission', 'nonces[tx.lane] = next + 1;', 'nonces[tx.lane] = Math.max(1, next);']],
  },
  'ledger-free-records': {
    what: 'records cost no deposit (STATE-18.4)',
    changes: [
      ['state/record-deposit', 'return depositPerByte * BigInt(bytes + OVERHEAD_BYTES);', 'return 0n;'],
    ],
  },
  'ledger-wider-grants': {
    what: 'whoever holds a grant may pass on more than he has (STATE-17.9)',
    changes: [['state/apply-access', 'if (wider !== undefined)', 'if (false)']],
  },
  'ledger-refusal-leaves': {
    what: 'a refused transaction leaves something behind (STATE-2.6)',
    changes: [
      [
        'state/apply',
        'if (!result.ok)\n        return { receipt, event: undefined };',
        `if (!result.ok) { const { balance, nonces } = draft.get('account', transaction.account) ?? { balance: 0n, nonces: [] };
         return draft.set('account', transaction.account, { balance, nonces: [...nonces, 0] }), { receipt, event: undefined }; }`,
      ],
    ],
  },
};
