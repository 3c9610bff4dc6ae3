/**
 * From bytes of a stranger to a `VerifiedEnvelope`, cheapest check first (spec DAG-2): form, known issuer, age
 * of the anchor, proof of work (one hash), then what costs more: payloads and signatures.
 *
 * Two steps, so that a shell can verify signatures natively and in batches: `screenEnvelope` does everything but
 * signatures, `envelopeSignatures` lists those, `admitEnvelope` takes the verdicts. `verifyEnvelope` is all in one.
 */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Brand, type Result } from '../bytes/result.ts';
import type { Hash } from '../crypto/hash.ts';
import type { PublicKey, SignatureVerifier } from '../crypto/signature.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { LIMITS } from '../ledger/limits.ts';
import { parsePayload, type Payload } from '../ledger/payload.ts';
import { quorumOf, type ValidatorSet } from '../ledger/validators.ts';
import {
  decodeEnvelopeWithPayloads,
  envelopeBodyHash,
  envelopeHash,
  envelopeSigningBytes,
  payloadRootOf,
  type Envelope,
} from './envelope.ts';
import { workBits } from './proof-of-work.ts';
import { bitsNeeded } from './standing.ts';

export interface VerifyContext {
  readonly chain: Hash;
  readonly subnet: Hash;
  readonly members: ValidatorSet;
  /** Base bits of the subnet: the least any anchor asks for. */
  readonly powBits: number;
  /** What the member knows of anchors; without it the member checks when it inserts (`Member.anchors`). */
  readonly anchors?: AnchorView;
}

/** Checkpoints by hash; the subnet's id is number 0. */
export interface AnchorView {
  /** Sequence of the last checkpoint applied here. */
  readonly head: number;
  find(hash: Hash):
    | {
        readonly sequence: number;
        readonly powBits: number;
        readonly adjustments?: readonly number[] | undefined;
      }
    | undefined;
}

/** Form, issuer, work and payload root are right; signatures are not checked yet. */
export interface ScreenedEnvelope {
  readonly envelope: Envelope;
  readonly hash: Hash;
  /** Index of the issuer among the members. */
  readonly issuer: number;
  readonly payloads: readonly Payload[];
  /** Header and payloads as they travel and are stored. */
  readonly encoded: Uint8Array;
  /** Leading zero bits the nonce shows; the surcharge is checked where the issuer's lane is known. */
  readonly workBits: number;
  readonly signingBytes: Uint8Array;
}

/** Made by `admitEnvelope` for what comes from outside and by `trustEnvelope` for what we wrote ourselves. */
export type VerifiedEnvelope = Brand<ScreenedEnvelope, 'VerifiedEnvelope'>;

export interface SignatureCheck {
  readonly key: PublicKey;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * `requested` says that we asked for this envelope by hash: then the age of its anchor does not matter, because
 * somebody's accepted past needs it. The bytes are copied.
 */
export function screenEnvelope(
  context: VerifyContext,
  bytes: Uint8Array,
  requested = false,
): Result<ScreenedEnvelope, ErrorCode> {
  if (bytes.length > LIMITS.envelopeBytesMax)
    return refused('envelope.malformed', `expected at most ${LIMITS.envelopeBytesMax} bytes`);
  const encoded = bytes.slice();
  const decoded = decodeEnvelopeWithPayloads(encoded);
  if (!decoded.ok) return refused('envelope.malformed', decoded.message);
  const { envelope, payloads } = decoded.value;
  if (!equalBytes(envelope.subnet, context.subnet))
    return refused('envelope.malformed', 'the envelope belongs to another subnet');

  const issuer = context.members.findIndex((member) => equalBytes(member.key.bytes, envelope.issuer.bytes));
  if (issuer < 0) return refused('envelope.unknown-issuer', 'the issuer is not a member of the subnet');
  if (envelope.lane >= lanesOf(context.members, issuer))
    return refused('envelope.malformed', `the issuer has no lane ${envelope.lane}`);

  const anchor = context.anchors?.find(envelope.anchor);
  if (anchor !== undefined && context.anchors !== undefined && !requested) {
    const age = context.anchors.head - anchor.sequence;
    if (age > LIMITS.anchorAgeMax) return refused('envelope.too-old', `the anchor is ${age} checkpoints old`);
  }
  const bodyHash = envelopeBodyHash(envelope);
  const work = workBits(bodyHash, envelope.nonce);
  const bits = anchor === undefined ? context.powBits : bitsNeeded(anchor, issuer, 0, context.powBits);
  if (work < bits) return refused('envelope.proof-of-work', `expected ${bits} bits of work, got ${work}`);

  if (!equalBytes(payloadRootOf(payloads), envelope.payloadRoot))
    return refused('envelope.payloads', 'the payloads do not give the payload root');
  const parsed: Payload[] = [];
  for (const payload of payloads) {
    const result = parsePayload(context.chain, payload);
    if (!result.ok) return refused(result.code, result.message);
    parsed.push(result.value);
  }
  const hash = envelopeHash(bodyHash, envelope.nonce);
  const signingBytes = envelopeSigningBytes(context.chain, hash);
  return ok({ envelope, hash, issuer, payloads: parsed, encoded, workBits: work, signingBytes });
}

/** The issuer's signature first, then one for each payload. */
export function envelopeSignatures(screened: ScreenedEnvelope): SignatureCheck[] {
  const { envelope, payloads, signingBytes } = screened;
  const checks: SignatureCheck[] = [
    { key: envelope.issuer, message: signingBytes, signature: envelope.signature },
  ];
  for (const payload of payloads) {
    checks.push({ key: payload.signer, message: payload.signedBytes, signature: payload.signature });
  }
  return checks;
}

/** `verdicts` answers `envelopeSignatures`, item by item. */
export function admitEnvelope(
  screened: ScreenedEnvelope,
  verdicts: readonly boolean[],
): Result<VerifiedEnvelope, ErrorCode> {
  if (verdicts.length !== 1 + screened.payloads.length)
    throw new RangeError('one verdict is needed for each signature');
  if (verdicts[0] !== true) return refused('signature.invalid', 'the issuer’s signature does not verify');
  const bad = verdicts.indexOf(false);
  if (bad > 0) return refused('payload.signature', `the signature of payload ${bad - 1} does not verify`);
  return ok(screened as VerifiedEnvelope);
}

export function verifyEnvelope(
  context: VerifyContext,
  bytes: Uint8Array,
  verify: SignatureVerifier,
  requested = false,
): Result<VerifiedEnvelope, ErrorCode> {
  const screened = screenEnvelope(context, bytes, requested);
  if (!screened.ok) return screened;
  const verdicts: boolean[] = [];
  for (const check of envelopeSignatures(screened.value)) {
    const good = verify(check.key, check.message, check.signature);
    verdicts.push(good);
    // Nothing after a bad signature can help; the rest counts as unread.
    if (!good) break;
  }
  while (verdicts.length < 1 + screened.value.payloads.length) verdicts.push(false);
  return admitEnvelope(screened.value, verdicts);
}

/** For bytes out of our own log, which were verified before they were written; a malformed one is corruption and throws. */
export function trustEnvelope(context: VerifyContext, bytes: Uint8Array): VerifiedEnvelope {
  const { anchors: _, ...rest } = context;
  const screened = screenEnvelope({ ...rest, powBits: 0 }, bytes, true);
  if (!screened.ok) throw new Error(`an envelope of our own log is not readable: ${screened.message}`);
  return screened.value as VerifiedEnvelope;
}

/** Parallel chains a member may keep, in proportion to its stake, at least one (spec DAG-1.6). */
export function lanesOf(members: ValidatorSet, index: number): number {
  const { total } = quorumOf(members.map((member) => member.weight));
  const weight = members[index]?.weight ?? 0;
  const share = Math.floor((weight * LIMITS.subnetLanesMax) / total);
  return Math.max(1, Math.min(LIMITS.envelopeLanesMax, share));
}
