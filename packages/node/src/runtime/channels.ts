/** Which channel carries what between processes (spec NODE-2). Numbers are part of the peer protocol. */
import { HASH_BYTES } from '@itc/core/crypto/hash.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { messageBytesMax } from '@itc/core/pbft/limits.js';
import type { Message } from '@itc/core/pbft/messages.js';
import { NETWORK_LIMITS } from '../network/limits.ts';
import { CO_SIGNED_REPLY_BYTES_MAX, CO_SIGNING_MESSAGE_BYTES_MAX } from './co-signing-messages.ts';
import { RELAY_BYTES_MAX } from './intake.ts';
import { PRIORITY, type Priority } from '../ports.ts';
import { SYNC_LIMITS, SYNC_REPLY_BYTES_MAX } from './state-sync-messages.ts';

export interface ChannelRule {
  readonly number: number;
  readonly bytesMax: number;
  readonly priority: Priority;
}

const FRAME_SLACK = 4_096;

export const CHANNELS = {
  /** Votes, checkpoints, status, fetch, include. */
  vote: { number: 1, bytesMax: 64 * 1024, priority: PRIORITY.urgent },
  /** PRE-PREPARE, bodies, VIEW-CHANGE, NEW-VIEW. */
  proposal: { number: 2, bytesMax: messageBytesMax(LIMITS.validatorsMax), priority: PRIORITY.normal },
  /** Transactions on their way to every validator, many in one message. */
  transaction: { number: 3, bytesMax: RELAY_BYTES_MAX, priority: PRIORITY.normal },
  /** "I have committed up to here." */
  head: { number: 4, bytesMax: 8, priority: PRIORITY.urgent },
  blockRequest: { number: 5, bytesMax: 64, priority: PRIORITY.normal },
  blockReply: { number: 6, bytesMax: 2 * LIMITS.blockBytesMax + FRAME_SLACK, priority: PRIORITY.bulk },
  /** Envelopes with their payloads, one or as many as answer a request. */
  envelope: { number: 7, bytesMax: LIMITS.subnetMessageBytesMax, priority: PRIORITY.normal },
  /** Everything else members say: requests, checkpoint proposals and votes. */
  member: { number: 8, bytesMax: LIMITS.subnetMessageBytesMax, priority: PRIORITY.urgent },
  /** Ids of transactions a validator lacks; the answers come as transactions. */
  transactionRequest: {
    number: 9,
    bytesMax: 16 + HASH_BYTES * LIMITS.inclusionMax,
    priority: PRIORITY.normal,
  },
  /** Proposals of headers and ids, and what of their blocks is asked for and given (see `compact-block.ts`). */
  compact: {
    number: 16,
    bytesMax: FRAME_SLACK + HASH_BYTES * LIMITS.blockTransactionsMax,
    priority: PRIORITY.normal,
  },
  bodyRequest: {
    number: 17,
    bytesMax: HASH_BYTES + 2 + 2 * LIMITS.blockTransactionsMax,
    priority: PRIORITY.normal,
  },
  bodyReply: { number: 18, bytesMax: LIMITS.blockBytesMax + FRAME_SLACK, priority: PRIORITY.normal },
  /** A subnet's state in pieces, and what its members have forgotten since (see `subnet-sync.ts`). */
  subnetRequest: { number: 14, bytesMax: 64, priority: PRIORITY.normal },
  subnetReply: { number: 15, bytesMax: LIMITS.subnetMessageBytesMax, priority: PRIORITY.bulk },
  /** Co-signatures of checkpoints, and requests for what somebody has of one (see `co-signing.ts`). They wait behind everything else. */
  coSignature: { number: 22, bytesMax: CO_SIGNING_MESSAGE_BYTES_MAX, priority: PRIORITY.bulk },
  coSigned: { number: 23, bytesMax: CO_SIGNED_REPLY_BYTES_MAX, priority: PRIORITY.bulk },
  /** Where a transaction or payload lies, for proofs (see `light-peers.ts`). */
  lightRequest: { number: 24, bytesMax: 64, priority: PRIORITY.bulk },
  lightReply: { number: 25, bytesMax: 4_096, priority: PRIORITY.bulk },
  /** Readings of batches between gateways: the id of a payload, and what it holds the root of. */
  batchRequest: { number: 26, bytesMax: HASH_BYTES, priority: PRIORITY.bulk },
  batchReply: { number: 27, bytesMax: 2 * 65_536, priority: PRIORITY.bulk },
  /** Where validators listen. */
  address: { number: 10, bytesMax: 64 + 256 * NETWORK_LIMITS.addressesMax, priority: PRIORITY.normal },
  /** A state in pieces: what a process that is far behind asks for, and what it gets. */
  stateRequest: { number: 12, bytesMax: SYNC_LIMITS.requestBytesMax, priority: PRIORITY.normal },
  stateReply: { number: 13, bytesMax: SYNC_REPLY_BYTES_MAX, priority: PRIORITY.bulk },
} as const satisfies Record<string, ChannelRule>;

/** Small messages that others wait for overtake large ones. */
export function channelOf(message: Message): ChannelRule {
  switch (message.kind) {
    case 'pre-prepare':
    case 'body':
    case 'view-change':
    case 'new-view':
      return CHANNELS.proposal;
    case 'prepare':
    case 'commit':
    case 'checkpoint':
    case 'status':
    case 'fetch':
    case 'include':
      return CHANNELS.vote;
  }
}
