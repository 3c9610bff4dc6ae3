/**
 * What became of a transaction, a payload or an envelope, in a sentence: where it stands, what it waits for, and when it
 * is to be expected (spec SUBNET-5). From what this process holds; nobody else is asked.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Explanation } from '@itc/core/dag/effects.js';
import { decodeBlock } from '@itc/core/ledger/block.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { quorumOf } from '@itc/core/ledger/validators.js';
import { idText } from '@itc/core/state/record-map.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import type { Mempool } from '../mempool/mempool.ts';
import type { Chain } from './chain.ts';
import { IGNORED_WORDS, neededLevel, payloadStatus } from './payload-status.ts';
import type { Level } from './subnet-levels.ts';
import type { SubnetStore } from './subnet-store.ts';
import type { Subnet } from './subnet.ts';

export interface Explained {
  readonly kind: 'transaction' | 'payload' | 'envelope' | 'unknown';
  readonly state:
    | 'unknown'
    /** Taken here, in no block or envelope yet. */
    | 'waiting'
    /** In the DAG, approved by less than two thirds of the stake. */
    | 'pending'
    /** The same, and too old in its past to be approved by others. */
    | 'lazy'
    /** Here, but parents of it are not. */
    | 'unsolid'
    | 'accepted'
    /** Dropped because nobody approved it. */
    | 'evicted'
    /** Final in an envelope, and without effect. */
    | 'ignored'
    | 'refused'
    | 'final';
  /** In a sentence. */
  readonly reason: string;
  /** Until it is expected to be final; absent when it is, or when that cannot be told. */
  readonly expectedMs?: number;
  readonly height?: number;
  readonly checkpoint?: number;
  readonly envelope?: string;
  /** Names of the members that approve it, and the stake they hold and need. */
  readonly approvedBy?: readonly string[];
  readonly weight?: number;
  readonly needed?: number;
  /** Of a payload: its security level, and the one its device asks for (spec SUBNET-8). */
  readonly level?: Level;
  readonly levelNeeded?: Level;
}

export interface ExplainPort {
  readonly chain: Chain;
  readonly mempool: Mempool;
  readonly subnet: Subnet | undefined;
  readonly store: SubnetStore | undefined;
  /** Why this process, or the chain, does not do its work now. */
  readonly obstacle: () => string | undefined;
  /** What a member is called, by its ledger key. */
  readonly nameOf: (key: string) => string;
}

const INTERVAL_BLOCKS = 8;
/** Between heartbeats an idle chain makes no blocks; a transaction does not wait for one. */
const BLOCK_MS_MAX = 1_000;

export function explain(port: ExplainPort, id: Hash): Explained {
  return (
    transaction(port, id) ??
    levelled(port, id, payload(port, id)) ??
    envelope(port, id) ?? {
      kind: 'unknown',
      state: 'unknown',
      reason:
        'nothing is known of it here: it never arrived, expired, gave way to another of its nonce, or was pruned; ask where it was handed in',
    }
  );
}

function levelled(
  { subnet, store }: ExplainPort,
  id: Hash,
  explained: Explained | undefined,
): Explained | undefined {
  if (explained === undefined || subnet === undefined || store === undefined) return explained;
  const status = payloadStatus({ subnet, store }, id);
  const needed = neededLevel({ subnet, store }, id);
  const level = 'level' in status ? status.level : undefined;
  const told = { ...explained, ...(level === undefined ? {} : { level }) };
  if (needed === undefined || level === undefined) return told;
  const verdict = level >= needed ? 'which it has' : 'which it does not have yet';
  return {
    ...told,
    levelNeeded: needed,
    reason: `${explained.reason}; its device asks for security level ${needed}, ${verdict}`,
  };
}

function transaction({ chain, mempool, obstacle }: ExplainPort, id: Hash): Explained | undefined {
  const receipt = chain.receipt(id);
  if (receipt !== undefined) {
    const { height, outcome, kind } = receipt;
    return outcome.ok
      ? { kind: 'transaction', state: 'final', height, reason: `${kind}: executed in block ${height}` }
      : {
          kind: 'transaction',
          state: 'refused',
          height,
          reason: `${kind}: refused in block ${height}: ${outcome.code}: ${outcome.message}`,
        };
  }
  const waiting = mempool.get(idText(id));
  if (waiting === undefined) return undefined;
  const stop = obstacle();
  const gap = gapBefore(chain, mempool, waiting);
  const reason =
    stop ??
    gap ??
    `it waits for the next block, one of ${mempool.size}; valid up to height ${waiting.tx.validUntil}`;
  const expected = stop ?? gap;
  return {
    kind: 'transaction',
    state: 'waiting',
    reason,
    ...(expected === undefined ? { expectedMs: blockMs(chain) } : {}),
  };
}

/** Why it cannot be in the next block; undefined when it can. */
function gapBefore(
  chain: Chain,
  mempool: Mempool,
  { tx, name, sender }: VerifiedTransaction,
): string | undefined {
  if (tx.body.kind === 'checkpoint') return undefined;
  const next = chain.state.account(sender)?.nonces[tx.lane] ?? 0;
  if (tx.nonce <= next) return undefined;
  const ready = mempool.take(chain.state, {
    bytesMax: Number.MAX_SAFE_INTEGER,
    countMax: Number.MAX_SAFE_INTEGER,
    exclude: new Set(),
  });
  return ready.some((other) => other.name === name)
    ? undefined
    : `it has nonce ${tx.nonce} of lane ${tx.lane}; nonce ${next} is next, and of those before it one is not here`;
}

function payload(port: ExplainPort, id: Hash): Explained | undefined {
  const { subnet, store, chain } = port;
  if (subnet === undefined || store === undefined) return undefined;
  const place = store.place(id);
  if (place !== undefined) {
    const at = chain.checkpointPlace(subnet.id, place.checkpoint);
    return {
      kind: 'payload',
      state: 'final',
      checkpoint: place.checkpoint,
      envelope: toHex(place.envelope),
      ...(at === undefined ? {} : { height: at.height }),
      reason: `applied by checkpoint ${place.checkpoint}${at === undefined ? '' : `, final in block ${at.height}`}`,
    };
  }
  const pinned = subnet.retention.pins.proof(id);
  if (pinned !== undefined) {
    const { checkpoint, height } = pinned;
    return {
      kind: 'payload',
      state: 'final',
      checkpoint,
      height,
      reason: `applied by checkpoint ${checkpoint}, final in block ${height}; pruned here, but its device is pinned: the proof is kept`,
    };
  }
  if (subnet.isWaiting(id)) {
    const stop = subnet.obstacle ?? subnet.status().reason;
    return {
      kind: 'payload',
      state: 'waiting',
      reason: `it waits for an envelope, one of ${subnet.waiting}${stop === undefined ? '' : `: ${stop}`}`,
      ...expectation(subnet),
    };
  }
  const inside = subnet.traces.envelopeOf(id);
  if (inside !== undefined) {
    const explained = vertex(port, subnet, inside);
    if (explained !== undefined) return { ...explained, kind: 'payload', envelope: toHex(inside) };
    return {
      kind: 'payload',
      state: 'evicted',
      envelope: toHex(inside),
      reason: `its envelope was dropped: no other member approved it for ${2 * LIMITS.parentDepthMax} checkpoints; the gateway sends the payload again`,
      ...expectation(subnet),
    };
  }
  const ignored = store.ignored.of(id);
  if (ignored === undefined) return undefined;
  return {
    kind: 'payload',
    state: 'ignored',
    checkpoint: ignored.checkpoint,
    envelope: toHex(ignored.envelope),
    reason: `in checkpoint ${ignored.checkpoint} without effect: ${IGNORED_WORDS[ignored.reason]}`,
  };
}

function envelope(port: ExplainPort, id: Hash): Explained | undefined {
  const { subnet, store } = port;
  if (subnet === undefined) return undefined;
  const held = vertex(port, subnet, id);
  if (held !== undefined) return held;
  const stored = store?.finalised(id);
  if (stored !== undefined) return finalEnvelope(stored.checkpoint);
  if (subnet.traces.payloadsOf(id) === undefined) return undefined;
  return {
    kind: 'envelope',
    state: 'evicted',
    reason: `it was dropped: no other member approved it for ${2 * LIMITS.parentDepthMax} checkpoints`,
  };
}

const finalEnvelope = (checkpoint: number): Explained => ({
  kind: 'envelope',
  state: 'final',
  checkpoint,
  reason: `ordered by checkpoint ${checkpoint}`,
});

/** As the member sees it now; undefined when it does not hold it. */
function vertex(port: ExplainPort, subnet: Subnet, hash: Hash): Explained | undefined {
  const explanation = subnet.explain(hash);
  switch (explanation.state) {
    case 'unknown':
      return undefined;
    case 'final':
      return finalEnvelope(explanation.checkpoint);
    case 'refused':
      return {
        kind: 'envelope',
        state: 'refused',
        reason: `refused: ${explanation.code}: ${explanation.reason}`,
      };
    case 'unsolid':
      return {
        kind: 'envelope',
        state: 'unsolid',
        reason: `${explanation.missing} of its parents are not here; they are being asked for`,
        ...expectation(subnet),
      };
    case 'pending':
    case 'accepted':
      return approved(port, subnet, explanation);
  }
}

function approved(
  { obstacle, nameOf }: ExplainPort,
  subnet: Subnet,
  explanation: Extract<Explanation, { state: 'pending' | 'accepted' }>,
): Explained {
  const { state, weight, approvedBy, lazy, equivocation } = explanation;
  const { total, strong } = quorumOf(subnet.members.map((member) => member.weight));
  const facts = {
    kind: 'envelope' as const,
    approvedBy: approvedBy.map((index) =>
      nameOf(toHex(subnet.members[index]?.key.bytes ?? new Uint8Array())),
    ),
    weight,
    needed: strong,
  };
  const stop = subnet.obstacle ?? obstacle();
  const soon = stop === undefined ? expectation(subnet) : {};
  const because = stop === undefined ? '' : `: ${stop}`;
  if (equivocation)
    return {
      ...facts,
      state: 'pending',
      reason:
        'its issuer sent two envelopes in one slot: only the next checkpoint decides which of them counts',
      ...soon,
    };
  if (state === 'accepted')
    return {
      ...facts,
      state: 'accepted',
      reason: `${weight} of ${total} stake approves it; it waits for a checkpoint to be committed${because}`,
      ...soon,
    };
  const approval = `${weight} of ${total} stake approves it, ${strong} is needed`;
  return lazy
    ? {
        ...facts,
        state: 'lazy',
        reason: `${approval}; its parents are too old for others to build on, the gateway sends its payloads again`,
        ...soon,
      }
    : { ...facts, state: 'pending', reason: `${approval}${because}`, ...soon };
}

function expectation(subnet: Subnet): { readonly expectedMs?: number } {
  const { finalityMs } = subnet.traces;
  return finalityMs === undefined ? {} : { expectedMs: finalityMs };
}

/** Between blocks lately. */
function blockMs(chain: Chain): number {
  const timeAt = (of: number): number | undefined => {
    const stored = chain.blockAt(of);
    const block = stored === undefined ? undefined : decodeBlock(stored.block);
    return block?.ok === true ? block.value.header.time : undefined;
  };
  const from = Math.max(1, chain.height - INTERVAL_BLOCKS);
  const [first, last] = [timeAt(from), timeAt(chain.height)];
  if (first === undefined || last === undefined || from === chain.height) return BLOCK_MS_MAX;
  return Math.min(BLOCK_MS_MAX, Math.round((last - first) / (chain.height - from)));
}
