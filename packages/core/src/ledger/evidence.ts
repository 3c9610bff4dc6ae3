/**
 * Evidence: two statements under one consensus key that no correct replica signs both (spec STATE-12). It names the
 * key, not an index, so that it can be judged when the epoch it is about has long closed. Known to state and to shells;
 * consensus finds it in a form of its own, which `evidenceOf` takes as it is.
 */
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { asHash, HASH_BYTES, type Hash } from '../crypto/hash.ts';
import { readPublicKey, SIGNATURE_BYTES, writePublicKey, type PublicKey } from '../crypto/signature.ts';
import { epoch, height, view, type Epoch, type Height, type View } from './ids.ts';

/** Both statements are of one kind, epoch, view and height: they differ in what they name there. */
export type Evidence =
  | {
      readonly kind: 'pre-prepare' | 'prepare' | 'commit';
      readonly culprit: PublicKey;
      readonly epoch: Epoch;
      readonly view: View;
      readonly height: Height;
      readonly first: SignedHash;
      readonly second: SignedHash;
    }
  | {
      readonly kind: 'checkpoint';
      readonly culprit: PublicKey;
      readonly epoch: Epoch;
      readonly height: Height;
      readonly first: SignedState;
      readonly second: SignedState;
    };

export interface SignedHash {
  /** Of the block. */
  readonly hash: Hash;
  readonly signature: Uint8Array;
}

export interface SignedState extends SignedHash {
  readonly stateRoot: Hash;
}

export type StatementKind = Evidence['kind'];

const KINDS: readonly StatementKind[] = ['pre-prepare', 'prepare', 'commit', 'checkpoint'];

/** What consensus holds against a replica: two messages as it received them. */
export type Accusation =
  | { readonly kind: 'pre-prepare'; readonly first: SeenProposal; readonly second: SeenProposal }
  | { readonly kind: 'vote'; readonly first: SeenVote; readonly second: SeenVote }
  | { readonly kind: 'checkpoint'; readonly first: SeenCheckpoint; readonly second: SeenCheckpoint };

interface SeenProposal {
  readonly epoch: Epoch;
  readonly view: View;
  readonly block: { readonly height: Height; readonly hash: Hash };
  readonly signature: Uint8Array;
}

interface SeenVote extends SignedHash {
  readonly kind: 'prepare' | 'commit';
  readonly epoch: Epoch;
  readonly view: View;
  readonly height: Height;
}

interface SeenCheckpoint extends SignedState {
  readonly epoch: Epoch;
  readonly height: Height;
}

/** The body of the transaction that brings it before the ledger. `culprit` is the key behind the accused index. */
export function evidenceOf(culprit: PublicKey, accusation: Accusation): Evidence {
  switch (accusation.kind) {
    case 'pre-prepare': {
      const { first, second } = accusation;
      return {
        kind: 'pre-prepare',
        culprit,
        epoch: first.epoch,
        view: first.view,
        height: first.block.height,
        first: { hash: first.block.hash, signature: first.signature },
        second: { hash: second.block.hash, signature: second.signature },
      };
    }
    case 'vote': {
      const { first, second } = accusation;
      return {
        kind: first.kind,
        culprit,
        epoch: first.epoch,
        view: first.view,
        height: first.height,
        first: { hash: first.hash, signature: first.signature },
        second: { hash: second.hash, signature: second.signature },
      };
    }
    case 'checkpoint': {
      const { first, second } = accusation;
      return {
        kind: 'checkpoint',
        culprit,
        epoch: first.epoch,
        height: first.height,
        first: { hash: first.hash, stateRoot: first.stateRoot, signature: first.signature },
        second: { hash: second.hash, stateRoot: second.stateRoot, signature: second.signature },
      };
    }
  }
}

export function writeEvidence(writer: Writer, evidence: Evidence): void {
  writer.u8(KINDS.indexOf(evidence.kind) + 1);
  writePublicKey(writer, evidence.culprit);
  writer.u32(evidence.epoch);
  if (evidence.kind === 'checkpoint') {
    writer.u53(evidence.height);
    for (const { hash, stateRoot, signature } of [evidence.first, evidence.second])
      writer.fixed(hash, HASH_BYTES).fixed(stateRoot, HASH_BYTES).fixed(signature, SIGNATURE_BYTES);
    return;
  }
  writer.u53(evidence.view).u53(evidence.height);
  for (const { hash, signature } of [evidence.first, evidence.second])
    writer.fixed(hash, HASH_BYTES).fixed(signature, SIGNATURE_BYTES);
}

export function readEvidence(reader: Reader): Evidence {
  const kind = KINDS[reader.u8() - 1];
  if (kind === undefined)
    return reader.refuse('decode.unknown-kind', `expected a kind of statement from 1 to ${KINDS.length}`);
  const head = { culprit: readPublicKey(reader), epoch: epoch(reader.u32()) };
  if (kind === 'checkpoint') {
    return {
      kind,
      ...head,
      height: height(reader.u53()),
      first: readSignedState(reader),
      second: readSignedState(reader),
    };
  }
  return {
    kind,
    ...head,
    view: view(reader.u53()),
    height: height(reader.u53()),
    first: readSignedHash(reader),
    second: readSignedHash(reader),
  };
}

function readSignedHash(reader: Reader): SignedHash {
  return { hash: readBlockHash(reader), signature: reader.fixed(SIGNATURE_BYTES).slice() };
}

function readSignedState(reader: Reader): SignedState {
  return {
    hash: readBlockHash(reader),
    stateRoot: readBlockHash(reader),
    signature: reader.fixed(SIGNATURE_BYTES).slice(),
  };
}

function readBlockHash(reader: Reader): Hash {
  return asHash(reader.fixed(HASH_BYTES).slice());
}
