/** The only maker of `VerifiedMessage`: form, author, epoch and every signature, outside of `step` (spec PBFT-2, PBFT-6). */
import { concatBytes, equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Hash } from '../crypto/hash.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import { voteSigningBytes, type Certificate } from '../ledger/block.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import type { Epoch, View } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { indicesOf, type ValidatorSet } from '../ledger/validators.ts';
import type {
  Checked,
  Message,
  NewView,
  PreparedCertificate,
  SoundViewChange,
  StableCertificate,
  Status,
  VerifiedMessage,
  ViewChange,
} from './messages.ts';
import type { CertificateCache } from './certificate-cache.ts';
import { signersOf, Weights } from './quorum.ts';
import { checkpointBytes, signatureOf } from './signing.ts';

export interface VerifyContext {
  readonly chain: Hash;
  readonly epoch: Epoch;
  readonly validators: ValidatorSet;
  readonly verify: SignatureVerifier;
  /** Remembers certificates that verified. Of this chain and validator set alone. */
  readonly cache?: CertificateCache;
}

/** The validator that opens a view. */
export function primaryOf(view: View, count: number): number {
  return view % count;
}

/**
 * Checks a decoded message. Certificates inside VIEW-CHANGE, NEW-VIEW and status that do not verify are dropped
 * one by one: a liar among n must not void what the others prove. A VIEW-CHANGE inside a NEW-VIEW whose own
 * signature fails is dropped as a whole.
 *
 * @param authorChecked the shell has verified `signatureOf(message)` already
 */
export function verifyMessage(
  context: VerifyContext,
  message: Message,
  authorChecked = false,
): Result<VerifiedMessage, Extract<ErrorCode, 'peer.message' | 'signature.invalid'>> {
  const n = context.validators.length;
  if (message.sender >= n) return refused('peer.message', `there is no validator ${message.sender}`);
  if (message.epoch !== context.epoch)
    return refused('peer.message', `epoch is ${context.epoch}, got ${message.epoch}`);
  if ('height' in message && message.height < 1)
    return refused('peer.message', 'height 0 is the genesis, which nobody votes on');
  if ('block' in message && message.block.height < 1)
    return refused('peer.message', 'height 0 is the genesis and has no block');
  // Whose turn it is to propose follows from the NEW-VIEW of the view, which the replica alone knows.
  if (message.kind === 'new-view') {
    const primary = primaryOf(message.view, n);
    if (primary !== message.sender)
      return refused(
        'peer.message',
        `view ${message.view} is opened by ${primary}, not by ${message.sender}`,
      );
  }
  if (message.kind === 'view-change' || message.kind === 'new-view') {
    if (message.view < 1) return refused('peer.message', 'view 0 is entered without a view change');
  }
  const bitmap = bitmapIn(message);
  if (bitmap !== undefined && indicesOf(bitmap, n) === undefined)
    return refused('peer.message', `a bitmap does not fit a set of ${n} validators`);
  if (message.kind === 'checkpoint' && message.height % LIMITS.checkpointInterval !== 0) {
    return refused('peer.message', `height ${message.height} is no checkpoint height`);
  }
  if (!authorChecked && !signedByAuthor(context, message)) {
    return refused(
      'signature.invalid',
      `the signature of validator ${message.sender} on its ${message.kind} does not verify`,
    );
  }
  return ok(soundParts(context, message) as VerifiedMessage);
}

/** Whom a message names besides its author. */
function bitmapIn(message: Message): Uint8Array | undefined {
  switch (message.kind) {
    case 'view-change':
    case 'status':
      return message.suspects;
    case 'new-view':
      return message.skipped;
    case 'pre-prepare':
    case 'prepare':
    case 'commit':
    case 'checkpoint':
    case 'include':
    case 'fetch':
    case 'body':
      return undefined;
  }
}

/** Signatures by quorum weight over `voteSigningBytes('commit')`, all of one view; every listed one must verify. */
export function verifyCertificate(context: VerifyContext, certificate: Certificate): boolean {
  return verifyCommit(context, new Weights(context.validators), certificate);
}

export function verifyStableCertificate(context: VerifyContext, certificate: StableCertificate): boolean {
  return verifyStable(context, new Weights(context.validators), certificate);
}

export function verifyPreparedCertificate(context: VerifyContext, certificate: PreparedCertificate): boolean {
  return verifyPrepared(context, new Weights(context.validators), certificate);
}

function soundParts(context: VerifyContext, message: Message): Checked {
  switch (message.kind) {
    case 'view-change':
      return {
        kind: 'view-change',
        message,
        sound: soundViewChange(context, new Weights(context.validators), message),
      };
    case 'new-view':
      return { kind: 'new-view', message, sound: soundViewChanges(context, message) };
    case 'status':
      return { kind: 'plain', message: soundStatus(context, message) };
    case 'pre-prepare':
    case 'prepare':
    case 'commit':
    case 'checkpoint':
    case 'include':
    case 'fetch':
    case 'body':
      return { kind: 'plain', message };
  }
}

function signedByAuthor(context: VerifyContext, message: Message): boolean {
  const signed = signatureOf(context, message);
  if (signed === undefined)
    return message.kind === 'status' || message.kind === 'fetch' || message.kind === 'body';
  const verify = (): boolean => context.verify(signed.key, signed.message, signed.signature);
  // It comes alone first, and then again inside of the NEW-VIEW it helped to make.
  if (message.kind !== 'view-change' || context.cache === undefined) return verify();
  return context.cache.check(concatBytes(signed.key.bytes, signed.message, signed.signature), verify);
}

function soundStatus(context: VerifyContext, status: Status): Status {
  const weights = new Weights(context.validators);
  const { committedCertificate, stableCertificate } = status;
  return {
    ...status,
    committedCertificate:
      committedCertificate !== undefined && verifyCommit(context, weights, committedCertificate)
        ? committedCertificate
        : undefined,
    stableCertificate:
      stableCertificate !== undefined && verifyStable(context, weights, stableCertificate)
        ? stableCertificate
        : undefined,
  };
}

/** VIEW-CHANGE messages for exactly this view, one per author, properly signed. */
function soundViewChanges(context: VerifyContext, message: NewView): SoundViewChange[] {
  const weights = new Weights(context.validators);
  const sound: SoundViewChange[] = [];
  let last = -1;
  for (const inner of message.viewChanges) {
    if (inner.sender <= last || inner.sender >= weights.count) continue;
    if (inner.view !== message.view || inner.epoch !== context.epoch) continue;
    if (indicesOf(inner.suspects, weights.count) === undefined || !signedByAuthor(context, inner)) continue;
    last = inner.sender;
    sound.push(soundViewChange(context, weights, inner));
  }
  return sound;
}

function soundViewChange(context: VerifyContext, weights: Weights, message: ViewChange): SoundViewChange {
  const { stable, committed } = message;
  return {
    message,
    stable: stable !== undefined && verifyStable(context, weights, stable) ? stable : undefined,
    committed: committed !== undefined && verifyCommit(context, weights, committed) ? committed : undefined,
    // A certificate of the view asked for, or of a later one, cannot exist yet: it would have to come from the future.
    prepared: message.prepared.filter(
      (certificate) => certificate.view < message.view && verifyPrepared(context, weights, certificate),
    ),
  };
}

function verifyCommit(context: VerifyContext, weights: Weights, certificate: Certificate): boolean {
  const { height, hash, view } = certificate;
  return (
    height >= 1 &&
    verifyAll(context, weights, certificate, () =>
      voteSigningBytes('commit', { ...chainOf(context), view, height, hash }),
    )
  );
}

function verifyPrepared(context: VerifyContext, weights: Weights, certificate: PreparedCertificate): boolean {
  const { height, digest: hash, view } = certificate;
  return (
    height >= 1 &&
    verifyAll(context, weights, certificate, () =>
      voteSigningBytes('prepare', { ...chainOf(context), view, height, hash }),
    )
  );
}

function verifyStable(context: VerifyContext, weights: Weights, certificate: StableCertificate): boolean {
  if (certificate.height < 1 || certificate.height % LIMITS.checkpointInterval !== 0) return false;
  return verifyAll(context, weights, certificate, () => checkpointBytes(context.chain, certificate));
}

function chainOf(context: VerifyContext): { chain: Hash; epoch: Epoch } {
  return { chain: context.chain, epoch: context.epoch };
}

/** Whoever made the certificate chose its signers, so one bad signature refuses it; tolerance would only help an attacker. */
function verifyAll(
  context: VerifyContext,
  weights: Weights,
  certificate: {
    readonly epoch: Epoch;
    readonly signers: Uint8Array;
    readonly signatures: readonly Uint8Array[];
  },
  signed: () => Uint8Array,
): boolean {
  if (certificate.epoch !== context.epoch) return false;
  const signers = signersOf(weights, certificate);
  if (signers === undefined) return false;
  const bytes = signed();
  const verify = (): boolean => verifyEach(context, bytes, signers, certificate.signatures);
  if (context.cache === undefined) return verify();
  return context.cache.check(concatBytes(bytes, certificate.signers, ...certificate.signatures), verify);
}

function verifyEach(
  context: VerifyContext,
  bytes: Uint8Array,
  signers: readonly number[],
  signatures: readonly Uint8Array[],
): boolean {
  return signers.every((index, i) => {
    const validator = context.validators[index];
    const signature = signatures[i];
    return (
      validator !== undefined && signature !== undefined && context.verify(validator.key, bytes, signature)
    );
  });
}

/** Two certificates of one kind name the same block. */
export function sameBlock(
  a: { readonly height: number; readonly hash: Hash },
  b: { readonly height: number; readonly hash: Hash },
): boolean {
  return a.height === b.height && equalBytes(a.hash, b.hash);
}
