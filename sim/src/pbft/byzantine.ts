/** Faulty replicas: an honest one, and a function that spoils what it sends. It has its own key and no other. */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Effects, Input, Outgoing } from '@itc/core/pbft/effects.js';
import type { Message, ViewChange } from '@itc/core/pbft/messages.js';
import type { Tally } from '../tally.ts';
import {
  asCommit,
  falseSuspects,
  forgePrepared,
  hugeView,
  misclose,
  reblock,
  shift,
  signed,
  staleProofs,
  twist,
  vote,
  wrongNewView,
  type Forger,
} from './forgery.ts';
import type { Disguise } from './shell.ts';

export const MISCHIEFS = [
  'equivocate',
  'withhold',
  'withhold-body',
  'vote-for-everything',
  'off-by-one',
  'old-digest',
  'replay',
  'parrot',
  'prepare-as-commit',
  'hide-prepared',
  'forge-prepared',
  'stale-proofs',
  'false-suspects',
  'huge-view',
  'invalid-blocks',
  'wrong-closing',
  'lying-checkpoint',
  'wrong-new-view',
  'slow',
  'censor',
] as const;

/** Those that show only when views change: drawn together often, as each alone is rare. */
export const VIEW_MISCHIEFS: readonly Mischief[] = [
  'hide-prepared',
  'forge-prepared',
  'stale-proofs',
  'false-suspects',
  'huge-view',
  'wrong-new-view',
  'withhold',
];

export type Mischief = (typeof MISCHIEFS)[number];

export interface Villain extends Forger {
  readonly tally: Tally;
  /** Index and number of validators in the epoch of a message; −1 for one who is no member. */
  readonly membership: (epoch: number) => { readonly self: number; readonly count: number };
  /** The slowest one may be without losing its turn to the timer. */
  readonly delayMaxMs: number;
}

const MEMORY_MAX = 64;

/** Each message that would leave is, with some probability, treated by one of the mischiefs. */
export function byzantine(villain: Villain, mischiefs: readonly Mischief[], probability: number): Disguise {
  const { random, tally } = villain;
  const scheme = new Scheme(villain);
  for (const lasting of ['slow', 'censor'] as const)
    if (mischiefs.includes(lasting)) tally.add(`byzantine: ${lasting}`);
  return {
    effects: (effects: Effects, _now: number, input: Input): Effects => {
      const send: Outgoing[] = [];
      if (input.kind === 'message') scheme.hears(input.message.message);
      for (const outgoing of effects.send) {
        if (!random.chance(probability)) {
          send.push(outgoing);
          continue;
        }
        const mischief = random.pick(mischiefs);
        const spoiled = scheme.spoil(mischief, outgoing);
        if (spoiled.length !== 1 || spoiled[0]?.message !== outgoing.message)
          tally.add(`byzantine: ${mischief}`);
        send.push(...spoiled);
      }
      if (mischiefs.includes('vote-for-everything') && input.kind === 'message') {
        const votes = scheme.echo(input.message.message);
        if (votes.length > 0) tally.add('byzantine: vote-for-everything');
        send.push(...votes);
      }
      for (const { message } of effects.send) scheme.remembers(message);
      return { ...effects, send };
    },
    delayMs: mischiefs.includes('slow') ? random.next() * villain.delayMaxMs : 0,
    // By the number of the request, as one censors a client.
    censors: (request) => mischiefs.includes('censor') && request % 3 === 0,
    repeats: mischiefs.includes('replay'),
  };
}

class Scheme {
  readonly #villain: Villain;
  readonly #own: Message[] = [];
  readonly #heard: Message[] = [];
  readonly #echoed: Set<string> = new Set();
  #oldest: ViewChange | undefined;

  constructor(villain: Villain) {
    this.#villain = villain;
  }

  hears(message: Message): void {
    this.#keep(this.#heard, message);
  }

  remembers(message: Message): void {
    this.#keep(this.#own, message);
    if (message.kind === 'view-change' && this.#oldest?.epoch !== message.epoch) this.#oldest = message;
  }

  spoil(mischief: Mischief, outgoing: Outgoing): Outgoing[] {
    const villain = this.#villain;
    const { random } = villain;
    const { message } = outgoing;
    const { count } = villain.membership(message.epoch);
    const instead = (spoiled: Message): Outgoing[] => [{ ...outgoing, message: spoiled }];
    const beside = (added: Message | undefined): Outgoing[] =>
      added === undefined ? [outgoing] : [outgoing, { to: 'all', message: added }];
    switch (mischief) {
      case 'withhold':
        // From some, not from all: a body or vote that only a part gets is worse than none.
        return this.#others(message)
          .filter(() => random.chance(0.5))
          .map((to) => ({ to, message }));
      case 'withhold-body':
        if (message.kind === 'body') return [];
        return message.kind === 'pre-prepare'
          ? this.#others(message)
              .slice(0, Math.ceil(count / 2))
              .map((to) => ({ to, message }))
          : [outgoing];
      case 'equivocate': {
        const other = twist(villain, message);
        return this.#others(message).map((to) => ({ to, message: to % 2 === 0 ? message : other }));
      }
      case 'off-by-one':
        return [outgoing, { to: outgoing.to, message: shift(villain, message, count) }];
      case 'old-digest':
        return beside(this.#oldDigest(message));
      case 'replay':
        return beside(this.#own.length === 0 ? undefined : random.pick(this.#own));
      case 'parrot':
        return beside(this.#heard.length === 0 ? undefined : random.pick(this.#heard));
      case 'prepare-as-commit':
        return beside(this.#heard.map(asCommit).find(({ kind }) => kind === 'commit') ?? asCommit(message));
      case 'hide-prepared':
        return message.kind === 'view-change'
          ? instead(signed<ViewChange>(villain, { ...message, prepared: [], committed: undefined }))
          : [outgoing];
      case 'forge-prepared':
        return message.kind === 'view-change' ? instead(forgePrepared(villain, message, count)) : [outgoing];
      case 'stale-proofs':
        return message.kind === 'view-change'
          ? instead(staleProofs(villain, message, this.#oldest))
          : [outgoing];
      case 'false-suspects':
        return instead(falseSuspects(villain, message, count));
      case 'huge-view':
        return beside(hugeView(villain, message));
      case 'invalid-blocks':
        return message.kind === 'pre-prepare' ? instead(reblock(villain, message, true)) : [outgoing];
      case 'wrong-closing':
        return message.kind === 'pre-prepare' ? instead(misclose(villain, message)) : [outgoing];
      case 'lying-checkpoint':
        return message.kind === 'checkpoint' ? instead(twist(villain, message)) : [outgoing];
      case 'wrong-new-view':
        return message.kind === 'new-view' ? instead(wrongNewView(villain, message)) : [outgoing];
      case 'vote-for-everything':
      case 'slow':
      case 'censor':
        return [outgoing];
    }
  }

  /** Votes for whatever anyone proposes, or votes for. */
  echo(message: Message): Outgoing[] {
    if (message.kind !== 'pre-prepare' && message.kind !== 'prepare' && message.kind !== 'commit') return [];
    const at = message.kind === 'pre-prepare' ? message.block : message;
    // Once per statement, or two echoing villains would echo each other's echoes for ever.
    const statement = `${message.kind}/${message.epoch}/${message.view}/${at.height}/${toHex(at.hash)}`;
    if (this.#echoed.has(statement)) return [];
    this.#echoed.add(statement);
    const { self } = this.#villain.membership(message.epoch);
    if (self < 0 || !this.#villain.random.chance(0.3)) return [];
    const { epoch, view } = message;
    return (['prepare', 'commit'] as const).map((kind) => ({
      to: 'all',
      message: vote(this.#villain, { kind, sender: self, epoch, view, height: at.height, hash: at.hash }),
    }));
  }

  #oldDigest(message: Message): Message | undefined {
    if (message.kind !== 'prepare' && message.kind !== 'commit') return undefined;
    const older = this.#own.find((held) => held.kind === message.kind && held.height !== message.height);
    return older?.kind === message.kind ? signed(this.#villain, { ...message, hash: older.hash }) : undefined;
  }

  #others({ epoch }: Message): number[] {
    const { self, count } = this.#villain.membership(epoch);
    return Array.from({ length: count }, (_, index) => index).filter((index) => index !== self);
  }

  #keep(memory: Message[], message: Message): void {
    if (memory.length < MEMORY_MAX) memory.push(message);
    else memory[this.#villain.random.below(MEMORY_MAX)] = message;
  }
}
