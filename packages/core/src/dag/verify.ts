/**
 * From bytes of a stranger to a `VerifiedEnvelope`, cheapest check first (spec DAG-2): form, known issuer, age
 * of the anchor, proof of work (one hash), then what costs more: payloads and signatures.
 *
 * Two steps, so that a shell can verify signatures natively and in batches: `screenEnvelope` does everything but
 * signatures, `envelopeSignatures` lists those, `judgeEnvelope` takes the verdicts. Signatures of devices may be checked in
 * part (spec DAG-13). `verifyEnvelope` is all in one.
 */
import { equalBytes } from '../bytes/hex.ts';
import { readAccusation, type Accusation } from '../ledger/accusation.ts';
import { isAlwaysChecked } from './audit.ts';
import { ok, refused, type Brand, type Result } from '../bytes/result.ts';
import { verificationCost } from '../crypto/cost.ts';
import type { Hash } from '../crypto/hash.ts';
import type { PublicKey, SignatureVerifier } from '../crypto/signature.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { LIMITS } from '../ledger/limits.ts';
import { identifyPayloads, parsePayload, type Payload } from '../ledger/payload.ts';
import { quorumOf, type ValidatorSet } from '../ledger/validators.ts';
import {
  decodeEnvelopeWithPayloads,
  envelopeBodyHash,
  envelopeHash,
  envelopeSigningBytes,
  payloadRootOf,
  type Envelope,
} from '../ledger/envelope.ts';
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
  /** When it carries one; then it is its only payload. */
  readonly accusation: Accusation | undefined;
}

/**
 * Its issuer signed it, and no payload that was looked at is forged. Who acts on a payload of another member checks the
 * device's signature itself.
 *
 * Made by `judgeEnvelope` for what comes from outside and by `trustEnvelope` for what we wrote ourselves.
 */
export type VerifiedEnvelope = Brand<ScreenedEnvelope, 'VerifiedEnvelope'>;

export interface SignatureCheck {
  readonly key: PublicKey;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * `requested` says that we asked for this envelope by hash: then the age of its anchor does not matter, because
 * somebody's accepted past needs it. The bytes are copied, unless they are `kept` as they are by the caller.
 */
export function screenEnvelope(
  context: VerifyContext,
  bytes: Uint8Array,
  requested = false,
  isKept = false,
): Result<ScreenedEnvelope, ErrorCode> {
  if (bytes.length > LIMITS.envelopeBytesMax)
    return refused('envelope.malformed', `expected at most ${LIMITS.envelopeBytesMax} bytes`);
  const encoded = isKept ? bytes : bytes.slice();
  const decoded = decodeEnvelopeWithPayloads(encoded, true);
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
    const result = parsePayload(context.chain, payload, true);
    if (!result.ok) return refused(result.code, result.message);
    parsed.push(result.value);
  }
  if (payloadsCost(parsed) > LIMITS.envelopePayloadsMax)
    return refused('envelope.payloads', 'the signatures of the payloads take too long to check');
  const accusation = accusationIn(context, parsed);
  if (!accusation.ok) return accusation;
  identifyPayloads(parsed);
  const hash = envelopeHash(bodyHash, envelope.nonce);
  const signingBytes = envelopeSigningBytes(context.chain, hash);
  return ok({
    envelope,
    hash,
    issuer,
    payloads: parsed,
    encoded,
    workBits: work,
    signingBytes,
    accusation: accusation.value,
  });
}

/** What checking them costs, in signatures of Ed25519 (CRYPTO-11): as many as there may be payloads, whatever keys people command with. */
export function payloadsCost(payloads: readonly Pick<Payload, 'signer'>[]): number {
  return payloads.reduce((sum, { signer }) => sum + verificationCost(signer.algorithm), 0);
}

/** An accusation comes alone, so that what it takes to check one is bounded by the envelopes. */
export function accusationIn(
  context: Pick<VerifyContext, 'chain' | 'subnet' | 'members'>,
  payloads: readonly Payload[],
): Result<Accusation | undefined, ErrorCode> {
  const found = payloads.find(({ contentType }) => contentType === 'accusation');
  if (found === undefined) return ok(undefined);
  if (payloads.length > 1) return refused('envelope.accusation', 'an accusation comes alone');
  return readAccusation(context, found.content);
}

/** The issuer's signature first, the two of an accusation, then one for each payload; with `chosen`, for those alone. */
export function envelopeSignatures(
  screened: ScreenedEnvelope,
  chosen: readonly number[] = [...screened.payloads.keys()],
): SignatureCheck[] {
  const { envelope, payloads, signingBytes, accusation } = screened;
  const checks: SignatureCheck[] = [
    { key: envelope.issuer, message: signingBytes, signature: envelope.signature },
  ];
  if (accusation !== undefined) {
    const { signature, issuer: key } = accusation.envelope;
    checks.push({ key, message: accusation.signingBytes, signature }, payloadCheck(accusation.payload));
  }
  for (const index of chosen) checks.push(payloadCheck(payloads[index] as Payload));
  return checks;
}

function payloadCheck({ signer, signedBytes, signature }: Payload): SignatureCheck {
  return { key: signer, message: signedBytes, signature };
}

export type Judgement =
  | { readonly kind: 'admitted'; readonly envelope: VerifiedEnvelope }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly message: string }
  /**
   * Its issuer signed a payload that its device did not. Nobody takes it unasked. `isInvalid`: every member sees that, and
   * nobody takes it at all; otherwise others may have taken it, and what they built on it needs it.
   */
  | {
      readonly kind: 'forged';
      readonly envelope: VerifiedEnvelope;
      readonly index: number;
      readonly isInvalid: boolean;
    };

/** `verdicts` answers `envelopeSignatures` with the same `chosen`, item by item. */
export function judgeEnvelope(
  screened: ScreenedEnvelope,
  verdicts: readonly boolean[],
  chosen: readonly number[] = [...screened.payloads.keys()],
): Judgement {
  const before = screened.accusation === undefined ? 1 : 3;
  if (verdicts.length !== before + chosen.length)
    throw new RangeError('one verdict is needed for each signature');
  if (verdicts[0] !== true) return refusal('signature.invalid', 'the issuer’s signature does not verify');
  if (before > 1 && verdicts[1] !== true)
    return refusal('envelope.accusation', 'the accused did not sign that envelope');
  if (before > 1 && verdicts[2] !== false)
    return refusal('envelope.accusation', 'the payload is signed by its device');
  const envelope = screened as VerifiedEnvelope;
  const forged = chosen.filter((_, i) => verdicts[before + i] !== true);
  const [first] = forged;
  if (first === undefined) return { kind: 'admitted', envelope };
  const isInvalid = forged.some((index) => isAlwaysChecked(screened.payloads[index] as Payload));
  const isLong = (index: number): boolean => isAlwaysChecked(screened.payloads[index] as Payload);
  return { kind: 'forged', envelope, index: forged.find((index) => !isLong(index)) ?? first, isInvalid };
}

function refusal(code: ErrorCode, message: string): Judgement {
  return { kind: 'refused', code, message };
}

/** With every signature checked. */
export function admitEnvelope(
  screened: ScreenedEnvelope,
  verdicts: readonly boolean[],
): Result<VerifiedEnvelope, ErrorCode> {
  const judged = judgeEnvelope(screened, verdicts);
  switch (judged.kind) {
    case 'admitted':
      return ok(judged.envelope);
    case 'refused':
      return refused(judged.code, judged.message);
    case 'forged':
      return refused('payload.signature', `the signature of payload ${judged.index} does not verify`);
  }
}

export function verifyEnvelope(
  context: VerifyContext,
  bytes: Uint8Array,
  verify: SignatureVerifier,
  requested = false,
): Result<VerifiedEnvelope, ErrorCode> {
  const screened = screenEnvelope(context, bytes, requested);
  if (!screened.ok) return screened;
  const checks = envelopeSignatures(screened.value);
  const verdicts = checks.map(() => false);
  for (const [i, { key, message, signature }] of checks.entries()) {
    const good = verify(key, message, signature);
    verdicts[i] = good;
    // Nothing after a bad signature can help, unless it is the one an accusation is about.
    if (!good && (i !== 2 || screened.value.accusation === undefined)) break;
  }
  return admitEnvelope(screened.value, verdicts);
}

/** For bytes out of our own log, which were verified before they were written; a malformed one is corruption and throws. */
export function trustEnvelope(context: VerifyContext, bytes: Uint8Array): VerifiedEnvelope {
  const { anchors: _, ...rest } = context;
  const screened = screenEnvelope({ ...rest, powBits: 0 }, bytes, true, true);
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
