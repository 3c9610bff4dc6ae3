/** Faulty replicas: an honest one, and a function that spoils what it sends. It has its own key and no other. */
import { toHex } from '@itc/core/bytes/hex.js';
import { epoch, height, view } from '@itc/core/ledger/ids.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Effects, Input, Outgoing } from '@itc/core/pbft/effects.js';
import type { Checkpoint, Message, PrePrepare, ViewChange, Vote } from '@itc/core/pbft/messages.js';
import {
  checkpointBytes,
  newViewBytes,
  prePrepareSigningBytes,
  viewChangeBytes,
  voteBytes,
} from '@itc/core/pbft/signing.js';
import { fakeHash } from '../fake-crypto.ts';
import type { Random } from '../random.ts';
import type { Disguise } from './node.ts';
import { makeBlock, readBlock } from './sim-block.ts';

export const MISCHIEFS = [
  'equivocate',
  'withhold',
  'vote-for-everything',
  'off-by-one',
  'replay',
  'hide-prepared',
  'forge-prepared',
  'huge-view',
  'invalid-blocks',
  'lying-checkpoint',
  'wrong-new-view',
] as const;

export type Mischief = (typeof MISCHIEFS)[number];

interface Villain {
  readonly self: number;
  readonly count: number;
  readonly chain: Hash;
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly random: Random;
}

const MEMORY_MAX = 64;

/** Each message that would leave is, with some probability, treated by one of the mischiefs. */
export function byzantine(villain: Villain, mischiefs: readonly Mischief[], probability: number): Disguise {
  const memory: Message[] = [];
  const echoed = new Set<string>();
  return (effects: Effects, _now: number, input: Input): Effects => {
    const send: Outgoing[] = [];
    for (const outgoing of effects.send) {
      if (!villain.random.chance(probability)) {
        send.push(outgoing);
        continue;
      }
      send.push(...spoil(villain, villain.random.pick(mischiefs), outgoing, memory));
    }
    if (mischiefs.includes('vote-for-everything') && input.kind === 'message')
      send.push(...echo(villain, input.message.message, echoed));
    for (const { message } of effects.send) {
      if (memory.length < MEMORY_MAX) memory.push(message);
      else memory[villain.random.below(MEMORY_MAX)] = message;
    }
    return { ...effects, send };
  };
}

function spoil(
  villain: Villain,
  mischief: Mischief,
  outgoing: Outgoing,
  memory: readonly Message[],
): Outgoing[] {
  const { message } = outgoing;
  switch (mischief) {
    case 'withhold':
      // From some, not from all: a body or vote that only a part gets is worse than none.
      return others(villain)
        .filter(() => villain.random.chance(0.5))
        .map((to) => ({ to, message }));
    case 'equivocate':
      return others(villain).map((to) => ({ to, message: to % 2 === 0 ? message : twist(villain, message) }));
    case 'off-by-one':
      return [outgoing, { to: outgoing.to, message: shift(villain, message) }];
    case 'replay':
      return memory.length === 0
        ? [outgoing]
        : [outgoing, { to: 'all', message: villain.random.pick(memory) }];
    case 'hide-prepared':
      return [
        message.kind === 'view-change'
          ? {
              ...outgoing,
              message: signViewChange(villain, { ...message, prepared: [], committed: undefined }),
            }
          : outgoing,
      ];
    case 'forge-prepared':
      return [message.kind === 'view-change' ? { ...outgoing, message: forge(villain, message) } : outgoing];
    case 'huge-view':
      return [outgoing, { to: 'all', message: hugeView(villain, message) }];
    case 'invalid-blocks':
      return [
        message.kind === 'pre-prepare' ? { ...outgoing, message: reblock(villain, message, true) } : outgoing,
      ];
    case 'lying-checkpoint':
      return [message.kind === 'checkpoint' ? { ...outgoing, message: twist(villain, message) } : outgoing];
    case 'wrong-new-view':
      return [
        message.kind === 'new-view' ? { ...outgoing, message: wrongNewView(villain, message) } : outgoing,
      ];
    case 'vote-for-everything':
      return [outgoing];
  }
}

function others(villain: Villain): number[] {
  return Array.from({ length: villain.count }, (_, index) => index).filter((index) => index !== villain.self);
}

/** A different statement for the same place, properly signed. */
function twist(villain: Villain, message: Message): Message {
  const other = fakeHash(villain.chain, Uint8Array.of(villain.random.below(256)));
  switch (message.kind) {
    case 'pre-prepare':
      return reblock(villain, message, false);
    case 'prepare':
    case 'commit':
      return signVote(villain, { ...message, hash: other });
    case 'checkpoint':
      return signCheckpoint(villain, { ...message, stateRoot: other });
    case 'view-change':
      return signViewChange(villain, { ...message, prepared: message.prepared.slice(1) });
    case 'new-view':
      return wrongNewView(villain, message);
    case 'status':
    case 'include':
    case 'fetch':
    case 'body':
      return message;
  }
}

/** Views and heights one up or down (small-scope mutation, ByzzFuzz). */
function shift(villain: Villain, message: Message): Message {
  const by = villain.random.chance(0.5) ? 1 : -1;
  const moved = (value: number): number => Math.max(1, value + by);
  switch (message.kind) {
    case 'pre-prepare':
      return signProposal(villain, { ...message, view: view(message.view + villain.count) });
    case 'prepare':
    case 'commit':
      return signVote(
        villain,
        villain.random.chance(0.5)
          ? { ...message, view: view(moved(message.view)) }
          : { ...message, height: height(moved(message.height)) },
      );
    case 'checkpoint':
      return signCheckpoint(villain, { ...message, height: height(message.height + 32) });
    case 'view-change':
      return signViewChange(villain, { ...message, view: view(moved(message.view)) });
    case 'new-view':
      return wrongNewView(villain, message);
    case 'status':
      return {
        ...message,
        view: view(moved(message.view)),
        committed: height(message.committed + 1_000_000),
      };
    case 'include':
    case 'fetch':
    case 'body':
      return message;
  }
}

/** Votes for whatever anyone proposes, or votes for. */
function echo(villain: Villain, message: Message, echoed: Set<string>): Outgoing[] {
  if (message.kind !== 'pre-prepare' && message.kind !== 'prepare' && message.kind !== 'commit') return [];
  const at = message.kind === 'pre-prepare' ? message.block : message;
  // Once per statement, or two echoing villains would echo each other's echoes for ever.
  const statement = `${message.kind}/${message.view}/${at.height}/${toHex(at.hash)}`;
  if (echoed.has(statement)) return [];
  echoed.add(statement);
  const vote = (kind: 'prepare' | 'commit'): Outgoing => ({
    to: 'all',
    message: signVote(villain, {
      kind,
      sender: villain.self,
      epoch: epoch(0),
      view: message.view,
      height: at.height,
      hash: at.hash,
      signature: new Uint8Array(0),
    }),
  });
  return villain.random.chance(0.3) ? [vote('prepare'), vote('commit')] : [];
}

function reblock(villain: Villain, message: PrePrepare, invalid: boolean): PrePrepare {
  const block = makeBlock({
    ...readBlock(message.block.bytes),
    invalid,
    salt: villain.random.below(1_000) + 1_000_000,
  });
  return signProposal(villain, { ...message, block });
}

/** Certificates nobody gave, beside the real ones: they must be skipped without harm to the others. */
function forge(villain: Villain, message: ViewChange): ViewChange {
  const forged = message.prepared.map((certificate) => ({
    ...certificate,
    digest: fakeHash(certificate.digest),
  }));
  return signViewChange(villain, { ...message, prepared: [...forged, ...message.prepared].slice(0, 8) });
}

function hugeView(villain: Villain, message: Message): Message {
  if (message.kind === 'view-change')
    return signViewChange(villain, { ...message, view: view(message.view + 1_000_000_007) });
  if (message.kind === 'commit' || message.kind === 'prepare')
    return signVote(villain, { ...message, view: view(message.view + 1_000_000_007) });
  return message;
}

function wrongNewView(villain: Villain, message: Message): Message {
  if (message.kind !== 'new-view') return message;
  const unsigned = villain.random.chance(0.5)
    ? { ...message, reproposals: message.reproposals.slice(1) }
    : { ...message, viewChanges: message.viewChanges.slice(1) };
  return { ...unsigned, signature: villain.sign(newViewBytes(villain.chain, unsigned)) };
}

function signVote(villain: Villain, vote: Vote): Vote {
  return { ...vote, signature: villain.sign(voteBytes(villain.chain, vote)) };
}

function signProposal(villain: Villain, message: PrePrepare): PrePrepare {
  return { ...message, signature: villain.sign(prePrepareSigningBytes(villain.chain, message)) };
}

function signCheckpoint(villain: Villain, message: Checkpoint): Checkpoint {
  return { ...message, signature: villain.sign(checkpointBytes(villain.chain, message)) };
}

function signViewChange(villain: Villain, message: ViewChange): ViewChange {
  return { ...message, signature: villain.sign(viewChangeBytes(villain.chain, message)) };
}
