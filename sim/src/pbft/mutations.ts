/** Faults put into the protocol itself, one at a time, to prove that the checkers see them. Each must be caught within 500 seeds. */
import { view } from '@itc/core/ledger/ids.js';
import type { VerifiedMessage } from '@itc/core/pbft/messages.js';
import { RULES, type Rules } from '@itc/core/pbft/rules.js';
import { LEDGER_MUTATIONS, mutantMachine, type LedgerMutation } from '../ledger/mutants.ts';
import { LIGHT_MUTATIONS, mutantReader, undividedSha256, type LightMutation } from '../light/mutants.ts';
import type { Action } from '../world.ts';
import type { Sabotage, SimMessage } from './shell.ts';

export interface Mutation {
  /** What the protocol lacks with it. */
  readonly what: string;
  readonly sabotage?: Sabotage;
  /** Of the reader of light clients. */
  readonly light?: LightMutation;
  /** Of the state machine. */
  readonly ledger?: LedgerMutation;
}

export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'commit-without-quorum': {
    what: 'F + 1 of the weight decides instead of Q (PBFT-1.2)',
    sabotage: rules({ quorum: (weights) => weights.quorum.weak }),
  },
  'quorum-two-thirds-down': {
    what: 'two thirds rounded down instead of W − F (PBFT-1.1)',
    sabotage: rules({ quorum: (weights) => Math.floor((2 * weights.quorum.total) / 3) }),
  },
  'vote-twice': {
    what: 'a second proposal of one view and height is voted for as well (PBFT-4.3)',
    sabotage: { votesForAll: true },
  },
  'prepare-without-parent': {
    what: 'P2 is left out: PREPARE without the parent prepared or final (PBFT-4.4)',
    sabotage: rules({ parentHeld: () => true }),
  },
  'commit-before-parent': {
    what: 'P3 is left out in part: COMMIT without the commit certificate of the parent (PBFT-4.7)',
    sabotage: rules({ parentCertified: () => true }),
  },
  'above-watermark': {
    what: 'the high watermark is ignored (PBFT-5.5)',
    sabotage: rules({ highWatermark: () => Number.MAX_SAFE_INTEGER }),
  },
  'forget-prepared': {
    what: 'a VIEW-CHANGE leaves out the prepared certificates (PBFT-6.2)',
    sabotage: rules({ preparedHeld: () => [] }),
  },
  'vote-before-new-view': {
    what: 'votes are given between views, before the NEW-VIEW (PBFT-6.2)',
    sabotage: rules({ mayVote: () => true }),
  },
  'follow-anyone': {
    what: 'one VIEW-CHANGE is enough to join, and the largest view is joined (PBFT-6.3)',
    sabotage: rules({
      viewToJoin: (state) => {
        const asked = Math.max(...state.viewChanges.map((held) => held?.message.view ?? 0));
        return asked > state.view ? view(asked) : undefined;
      },
    }),
  },
  'believe-proofs': {
    what: 'certificates inside VIEW-CHANGE and NEW-VIEW are not verified (PBFT-6.4)',
    sabotage: { verified: believeProofs },
  },
  'new-view-drops-prepared': {
    what: 'a new view begins above its base as if nothing had been prepared (PBFT-6.5)',
    sabotage: rules({
      decideNewView: (base, set) => ({ ...RULES.decideNewView(base, set), reproposals: [] }),
    }),
  },
  'new-view-lowest': {
    what: 'a new view takes the prepared certificates of the lowest view instead of the highest (PBFT-6.5)',
    sabotage: rules({
      decideNewView: (base, set) => {
        const flipped = set.map((sound) => ({
          ...sound,
          prepared: sound.prepared.map((held) => ({ ...held, view: view(1_000_000 - held.view) })),
        }));
        return RULES.decideNewView(base, flipped);
      },
    }),
  },
  'believe-new-view': {
    what: 'a NEW-VIEW is believed without computing it again (PBFT-6.5)',
    sabotage: rules({ believes: () => true }),
  },
  'skip-too-many': {
    what: 'more than F of the weight may be put aside, on the word of anyone (PBFT-10.3)',
    sabotage: rules({
      decideSkipped: (weights, set) =>
        [...Array.from({ length: weights.count }).keys()].filter(
          (index) =>
            index > 0 &&
            set.some(({ message }) => (((message.suspects[index >> 3] ?? 0) >> (index & 7)) & 1) === 1),
        ),
    }),
  },
  'send-before-persist': {
    what: 'messages leave before the log is synced (PBFT-7.1)',
    sabotage: { actions: sendFirst },
  },
  'execute-before-store': {
    what: 'a block counts as executed before it is durable (PBFT-5.1)',
    sabotage: { executesEarly: true },
  },
  'forget-accepted': {
    what: 'accepted blocks are not written to the log (PBFT-7.1)',
    sabotage: { keepRecord: (record) => record.kind !== 'accepted' },
  },
  'forget-prepared-record': {
    what: 'prepared certificates are not written to the log (PBFT-7.1)',
    sabotage: { keepRecord: (record) => record.kind !== 'prepared' },
  },
  'forget-view-change': {
    what: 'the log does not say that a view was left (PBFT-7.1)',
    sabotage: { keepRecord: (record) => record.kind !== 'view-change' },
  },
  'forget-log': {
    what: 'a restarted replica does not read its log (PBFT-7.2)',
    sabotage: { restore: () => [] },
  },
  'vote-without-log': {
    what: 'a replica whose disk was lost votes at once (PBFT-7.4)',
    sabotage: { votesWithoutLog: true },
  },
  'deliver-twice': {
    what: 'synchronised blocks are delivered past the replica (PBFT-4.9)',
    sabotage: { deliverTwice: true },
  },
  'open-at-once': {
    what: 'an epoch begins before its members have signed its base (PBFT-14.2)',
    sabotage: rules({ isOpen: () => true }),
  },
  'above-closing': {
    what: 'blocks are accepted above the one that closes the epoch (PBFT-14.3)',
    sabotage: rules({ closes: () => false }),
  },
  'any-epoch': {
    what: 'votes of an older epoch count in this one (PBFT-14.4)',
    sabotage: { anyEpoch: true },
  },
  ...Object.fromEntries(
    Object.entries(LIGHT_MUTATIONS).map(([name, { what, ...light }]) => [name, { what, light }]),
  ),
  ...Object.fromEntries(
    Object.entries(LEDGER_MUTATIONS).map(([name, { what, ...ledger }]) => [name, { what, ledger }]),
  ),
};

/** Whether it takes light clients to see it. */
export function isLight(name: string): boolean {
  return MUTATIONS[name]?.light !== undefined;
}

/** What a run is given. A reader or a state machine without one of its rules is put together first. */
export async function sabotageOf(name: string): Promise<Sabotage> {
  const mutation = MUTATIONS[name];
  if (mutation === undefined) throw new RangeError(`there is no mutation ${name}`);
  const { light, ledger, sabotage = {} } = mutation;
  const reader = light && (await mutantReader(light));
  const machine = ledger && (await mutantMachine(ledger));
  return {
    ...sabotage,
    ...(reader && { reader }),
    ...(machine && { machine }),
    ...(light?.undivided && { hash: undividedSha256 }),
  };
}

function rules(changed: Partial<Rules>): Sabotage {
  return { rules: { ...RULES, ...changed } };
}

function sendFirst(actions: Action<SimMessage>[]): Action<SimMessage>[] {
  return [
    ...actions.filter((action) => action.kind === 'send'),
    ...actions.filter((action) => action.kind !== 'send'),
  ];
}

/** Takes the certificates inside as they are claimed. */
function believeProofs(verified: VerifiedMessage): VerifiedMessage {
  switch (verified.kind) {
    case 'plain':
      return verified;
    case 'view-change': {
      const { stable, committed, prepared } = verified.message;
      return { ...verified, sound: { ...verified.sound, stable, committed, prepared } };
    }
    case 'new-view':
      return {
        ...verified,
        sound: verified.sound.map((sound) => {
          const { stable, committed, prepared } = sound.message;
          return { ...sound, stable, committed, prepared };
        }),
      };
  }
}
