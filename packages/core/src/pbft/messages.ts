/**
 * What replicas say to each other (spec PBFT-3). Castro & Liskov, "Practical Byzantine Fault Tolerance"
 * (OSDI 1999, TOCS 2002), with weights, hash-linked blocks and pipelined heights.
 */
import type { Hash } from '../crypto/hash.ts';
import type { Certificate } from '../ledger/block.ts';
import type { Epoch, Height, View } from '../ledger/ids.ts';
import type { StableCertificate } from '../ledger/stable-certificate.ts';
import type { Brand } from '../bytes/result.ts';

export type { StableCertificate };

/** An opaque block. The shell computes `hash` once when it decodes the bytes; the replica never hashes them again. */
export interface Candidate {
  readonly height: Height;
  /** Hash of the block below; the genesis hash (= chain) at height 1. */
  readonly parentHash: Hash;
  readonly hash: Hash;
  readonly bytes: Uint8Array;
  /** The last block of its epoch: nothing follows it in this epoch. */
  readonly closes: boolean;
  /** Transactions in it: how much a proposer gets done. */
  readonly count: number;
}

/** Turns bytes into a candidate, or undefined when they are not a canonical block. */
export type ParseBlock = (bytes: Uint8Array) => Candidate | undefined;

/** Every message names its author, whose key signed it; a peer may pass on what another one said. */
interface Authored {
  /** Index in the validator set. */
  readonly sender: number;
  readonly epoch: Epoch;
}

export interface PrePrepare extends Authored {
  readonly kind: 'pre-prepare';
  readonly view: View;
  readonly block: Candidate;
  readonly signature: Uint8Array;
}

/** One replica's PREPARE or COMMIT. The primary sends a PREPARE like everyone else: its proposal is none. */
export interface Vote extends Authored {
  readonly kind: 'prepare' | 'commit';
  readonly view: View;
  readonly height: Height;
  readonly hash: Hash;
  readonly signature: Uint8Array;
}

/** "I have executed this block and stored the result." */
export interface Checkpoint extends Authored {
  readonly kind: 'checkpoint';
  readonly height: Height;
  readonly hash: Hash;
  readonly stateRoot: Hash;
  readonly signature: Uint8Array;
}

/**
 * PREPARE votes of one view by quorum weight. The field is `digest`, not `hash`, so that the compiler refuses
 * it where a commit certificate is meant.
 */
export interface PreparedCertificate {
  readonly epoch: Epoch;
  readonly view: View;
  readonly height: Height;
  readonly digest: Hash;
  /** Over the epoch's validators, see `bitmapOf`. */
  readonly signers: Uint8Array;
  /** One per signer, ascending by validator index. */
  readonly signatures: readonly Uint8Array[];
}

/** "I take no further part in views below `view`, and this is all I know to be decided or prepared." */
export interface ViewChange extends Authored {
  readonly kind: 'view-change';
  /** The view asked for. */
  readonly view: View;
  readonly stable: StableCertificate | undefined;
  /** Highest commit certificate held: by the hash links it fixes every height up to its own. */
  readonly committed: Certificate | undefined;
  /** Highest-view prepared certificate for each height above, contiguous. */
  readonly prepared: readonly PreparedCertificate[];
  /** Bitmap of the validators the author blames for a lack of progress. */
  readonly suspects: Uint8Array;
  readonly signature: Uint8Array;
}

export interface BlockId {
  readonly height: Height;
  readonly hash: Hash;
}

/** The new primary's opening: quorum weight of VIEW-CHANGE, and what follows from them. Everybody computes it again. */
export interface NewView extends Authored {
  readonly kind: 'new-view';
  readonly view: View;
  /** Ascending by sender. */
  readonly viewChanges: readonly ViewChange[];
  /** The highest block proved final by the set; the block below the epoch when there is none. */
  readonly base: BlockId;
  /** Blocks to be prepared again in this view, from base.height + 1 upwards without a gap. */
  readonly reproposals: readonly BlockId[];
  /** Bitmap of the validators that get no turn to propose for `skipBlocks` heights above the base. */
  readonly skipped: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Where a replica stands. Not signed: the numbers are hints that make a peer send help, the certificates prove
 * themselves. A height claimed without a certificate moves nobody.
 */
export interface Status extends Authored {
  readonly kind: 'status';
  readonly view: View;
  readonly changing: boolean;
  /** Height of the last delivered block. */
  readonly committed: Height;
  readonly stable: Height;
  readonly committedCertificate: Certificate | undefined;
  readonly stableCertificate: StableCertificate | undefined;
  /** Bitmap of the validators the author doubts at present; enough doubts together become a view change. */
  readonly suspects: Uint8Array;
}

/** "These transactions wait for too long here." Replaces what the author reported before. */
export interface Include extends Authored {
  readonly kind: 'include';
  readonly ids: readonly Hash[];
  readonly signature: Uint8Array;
}

/** Asks for the body of a block that is being prepared again. */
export interface Fetch extends Authored {
  readonly kind: 'fetch';
  readonly height: Height;
  readonly hash: Hash;
}

/** The answer; proved by its hash, hence not signed. */
export interface Body extends Authored {
  readonly kind: 'body';
  readonly block: Candidate;
}

export type Message = PrePrepare | Vote | Checkpoint | ViewChange | NewView | Status | Include | Fetch | Body;

/** A VIEW-CHANGE with those of its certificates that verified; the others are skipped one by one (PBFT-6.4). */
export interface SoundViewChange {
  readonly message: ViewChange;
  readonly stable: StableCertificate | undefined;
  readonly committed: Certificate | undefined;
  readonly prepared: readonly PreparedCertificate[];
}

export type Checked =
  | {
      readonly kind: 'plain';
      readonly message: PrePrepare | Vote | Checkpoint | Status | Include | Fetch | Body;
    }
  | { readonly kind: 'view-change'; readonly message: ViewChange; readonly sound: SoundViewChange }
  | { readonly kind: 'new-view'; readonly message: NewView; readonly sound: readonly SoundViewChange[] };

/** A message whose form, author and signatures were checked. Made by `verifyMessage` only. */
export type VerifiedMessage = Brand<Checked, 'VerifiedMessage'>;
