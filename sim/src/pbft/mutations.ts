/** Faults put into the protocol itself, to prove that the checkers see them. Each must be caught within some seeds. */
import { RULES } from '@itc/core/pbft/rules.js';
import type { Action } from '../world.ts';
import type { Sabotage, SimMessage } from './shell.ts';

export const MUTATIONS: Readonly<Record<string, { readonly what: string; readonly sabotage: Sabotage }>> = {
  'commit-without-quorum': {
    what: 'F + 1 of the weight decides instead of Q',
    sabotage: { rules: { ...RULES, quorum: (weights) => weights.quorum.weak } },
  },
  'quorum-two-thirds-down': {
    what: 'two thirds rounded down instead of W − F',
    sabotage: { rules: { ...RULES, quorum: (weights) => Math.floor((2 * weights.quorum.total) / 3) } },
  },
  'forget-prepared': {
    what: 'a VIEW-CHANGE leaves out the prepared certificates',
    sabotage: { rules: { ...RULES, preparedHeld: () => [] } },
  },
  'new-view-drops-prepared': {
    what: 'a new view begins above its base as if nothing had been prepared',
    sabotage: {
      rules: {
        ...RULES,
        decideNewView: (genesis, set) => ({ ...RULES.decideNewView(genesis, set), reproposals: [] }),
      },
    },
  },
  'prepare-without-parent': {
    what: 'P2 is left out: PREPARE without the parent prepared or final',
    sabotage: { rules: { ...RULES, parentHeld: () => true } },
  },
  'commit-before-parent': {
    what: 'P3 is left out in part: COMMIT without the commit certificate of the parent',
    sabotage: { rules: { ...RULES, parentCertified: () => true } },
  },
  'send-before-persist': {
    what: 'messages leave before the log is synced',
    sabotage: { actions: sendFirst },
  },
  'forget-accepted': {
    what: 'accepted digests are not written to the log',
    sabotage: { keepRecord: (record) => record.kind !== 'accepted' },
  },
  'forget-view-change': {
    what: 'the log does not say that a view was left',
    sabotage: { keepRecord: (record) => record.kind !== 'view-change' },
  },
  'forget-prepared-record': {
    what: 'prepared certificates are not written to the log',
    sabotage: { keepRecord: (record) => record.kind !== 'prepared' },
  },
};

function sendFirst(actions: Action<SimMessage>[]): Action<SimMessage>[] {
  return [
    ...actions.filter((action) => action.kind === 'send'),
    ...actions.filter((action) => action.kind !== 'send'),
  ];
}
