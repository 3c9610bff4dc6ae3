/** Statements a faulty validator may make: anything, as long as only its own key signs it. */
import { epoch, height, millis, view } from '@itc/core/ledger/ids.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { bitmapOf } from '@itc/core/ledger/validators.js';
import type { Checkpoint, Message, NewView, PrePrepare, ViewChange, Vote } from '@itc/core/pbft/messages.js';
import {
  checkpointBytes,
  includeBytes,
  newViewBytes,
  prePrepareSigningBytes,
  viewChangeBytes,
  voteBytes,
} from '@itc/core/pbft/signing.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { fakeHash } from '../fake-crypto.ts';
import type { Random } from '../random.ts';
import { HEADER_FLAGS, type Header } from '@itc/core/ledger/block.js';
import { readBlock, type BlockTree } from './sim-block.ts';

export interface Forger {
  readonly chain: Hash;
  readonly tree: BlockTree;
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly random: Random;
}

/** The same message with its signature made anew, by the forger's key, whatever was changed in it. */
export function signed<M extends Message>(forger: Forger, message: M): M {
  const { chain, sign } = forger;
  const of: Message = message;
  switch (of.kind) {
    case 'pre-prepare':
      return { ...message, signature: sign(prePrepareSigningBytes(chain, of)) };
    case 'prepare':
    case 'commit':
      return { ...message, signature: sign(voteBytes(chain, of)) };
    case 'checkpoint':
      return { ...message, signature: sign(checkpointBytes(chain, of)) };
    case 'view-change':
      return { ...message, signature: sign(viewChangeBytes(chain, of)) };
    case 'new-view':
      return { ...message, signature: sign(newViewBytes(chain, of)) };
    case 'include':
      return { ...message, signature: sign(includeBytes(chain, of)) };
    case 'status':
    case 'fetch':
    case 'body':
      return message;
  }
}

/** A different statement for the same place. */
export function twist(forger: Forger, message: Message): Message {
  const other = fakeHash(forger.chain, Uint8Array.of(forger.random.below(256)));
  switch (message.kind) {
    case 'pre-prepare':
      return reblock(forger, message, false);
    case 'prepare':
    case 'commit':
      return signed(forger, { ...message, hash: other });
    case 'checkpoint':
      return signed<Checkpoint>(forger, { ...message, stateRoot: other });
    case 'view-change':
      return signed<ViewChange>(forger, { ...message, prepared: message.prepared.slice(1) });
    case 'new-view':
      return wrongNewView(forger, message);
    case 'include':
      return signed(forger, { ...message, ids: [other] });
    case 'status':
    case 'fetch':
    case 'body':
      return message;
  }
}

/** Views, heights and epochs one up or down (small-scope mutation, ByzzFuzz, OOPSLA 2023). */
export function shift(forger: Forger, message: Message, count: number): Message {
  const { random } = forger;
  const by = random.chance(0.5) ? 1 : -1;
  const moved = (value: number): number => Math.max(1, value + by);
  if (random.chance(0.2))
    return signed(forger, { ...message, epoch: epoch(Math.max(0, message.epoch + by)) });
  switch (message.kind) {
    case 'pre-prepare':
      // The next view it would lead itself, the next one whoever leads it, or another height for the same block.
      return random.chance(0.3)
        ? reblockAt(forger, message, moved(message.block.height))
        : signed(forger, { ...message, view: view(message.view + (random.chance(0.5) ? count : 1)) });
    case 'prepare':
    case 'commit':
      return signed(
        forger,
        random.chance(0.5)
          ? { ...message, view: view(moved(message.view)) }
          : { ...message, height: height(moved(message.height)) },
      );
    case 'checkpoint':
      return signed<Checkpoint>(forger, {
        ...message,
        height: height(message.height + LIMITS.checkpointInterval),
      });
    case 'view-change':
      return signed<ViewChange>(forger, { ...message, view: view(moved(message.view)) });
    case 'new-view':
      return wrongNewView(forger, message);
    case 'status':
      return {
        ...message,
        view: view(moved(message.view)),
        committed: height(message.committed + 1_000_000),
        stable: height(message.stable + 1_000_000),
      };
    case 'include':
    case 'fetch':
    case 'body':
      return message;
  }
}

export function reblock(forger: Forger, message: PrePrepare, invalid: boolean): PrePrepare {
  const { header } = readBlock(message.block.bytes);
  const later = millis(header.time + 1 + forger.random.below(1_000));
  // A history that is none breaks a rule whose breach everybody sees.
  const wrong = invalid ? { historyRoot: fakeHash(header.historyRoot) } : {};
  return remade(forger, message, { time: later, ...wrong });
}

function reblockAt(forger: Forger, message: PrePrepare, at: number): PrePrepare {
  return remade(forger, message, { height: height(at) });
}

/** A block that says its epoch ends here, or does not, against what the state says. */
export function misclose(forger: Forger, message: PrePrepare): PrePrepare {
  const { header } = readBlock(message.block.bytes);
  return remade(forger, message, { flags: header.flags ^ HEADER_FLAGS.closes });
}

function remade(forger: Forger, message: PrePrepare, changed: Partial<Header>): PrePrepare {
  const { header, transactions } = readBlock(message.block.bytes);
  const block = forger.tree.make({ ...header, ...changed }, transactions);
  return signed<PrePrepare>(forger, { ...message, block });
}

/** Certificates nobody gave, beside the real ones: they must be skipped without harm to the others. */
export function forgePrepared(forger: Forger, message: ViewChange, count: number): ViewChange {
  const { epoch: of, committed } = message;
  const everyone = Array.from({ length: count }, (_, index) => index);
  const proof = { signers: bitmapOf(everyone, count), signatures: everyone.map(() => message.signature) };
  const base = committed?.height ?? 0;
  const forged = [1, 2].map((above) => ({
    epoch: of,
    view: view(Math.max(0, message.view - 1)),
    height: height(base + above),
    digest: fakeHash(forger.chain, Uint8Array.of(above, base)),
    ...proof,
  }));
  const prepared = [...forged, ...message.prepared].slice(0, 8);
  if (committed === undefined || forger.random.chance(0.7))
    return signed<ViewChange>(forger, { ...message, prepared });
  // A commit certificate that is none, for a block that is none, a little above.
  const above = { ...committed, height: height(base + 1), hash: fakeHash(committed.hash) };
  return signed<ViewChange>(forger, { ...message, prepared, committed: above });
}

/** What an older VIEW-CHANGE of its own said, as if nothing had happened since. */
export function staleProofs(forger: Forger, message: ViewChange, older: ViewChange | undefined): ViewChange {
  if (older === undefined || older.epoch !== message.epoch) return message;
  const { stable, committed, prepared } = older;
  return signed<ViewChange>(forger, { ...message, stable, committed, prepared });
}

/** Blames someone else, as often as not everyone at once. */
export function falseSuspects(forger: Forger, message: Message, count: number): Message {
  const { random } = forger;
  const blamed = Array.from({ length: count }, (_, index) => index).filter(() => random.chance(0.6));
  const suspects = bitmapOf(blamed, count);
  switch (message.kind) {
    case 'view-change':
      return signed<ViewChange>(forger, { ...message, suspects });
    case 'status':
      return { ...message, suspects };
    case 'pre-prepare':
    case 'prepare':
    case 'commit':
    case 'checkpoint':
    case 'new-view':
    case 'include':
    case 'fetch':
    case 'body':
      return message;
  }
}

const FAR = 1_000_000_007;

export function hugeView(forger: Forger, message: Message): Message {
  if (message.kind === 'view-change')
    return signed<ViewChange>(forger, { ...message, view: view(message.view + FAR) });
  if (message.kind === 'commit' || message.kind === 'prepare')
    return signed<Vote>(forger, { ...message, view: view(message.view + FAR) });
  return message;
}

export function wrongNewView(forger: Forger, message: NewView): NewView {
  const { random } = forger;
  const [top] = message.reproposals.slice(-1);
  const wrong: readonly Partial<NewView>[] = [
    { reproposals: message.reproposals.slice(1) },
    { reproposals: message.reproposals.slice(0, -1) },
    { viewChanges: message.viewChanges.slice(1) },
    { reproposals: message.reproposals.map((id) => ({ ...id, hash: fakeHash(id.hash) })) },
    { base: { ...message.base, height: height(message.base.height + 1) } },
    { skipped: Uint8Array.from(message.skipped, (byte, index) => (index === 0 ? byte ^ 1 : byte)) },
    top === undefined
      ? {}
      : {
          reproposals: [...message.reproposals, { height: height(top.height + 1), hash: fakeHash(top.hash) }],
        },
  ];
  return signed<NewView>(forger, { ...message, ...random.pick(wrong) });
}

/** Somebody's PREPARE, passed off as their COMMIT: the signature does not cover that, or a block is final too early. */
export function asCommit(message: Message): Message {
  return message.kind === 'prepare' ? { ...message, kind: 'commit' } : message;
}

export function vote(forger: Forger, of: Omit<Vote, 'signature'>): Vote {
  return signed<Vote>(forger, { ...of, signature: new Uint8Array(0) });
}
