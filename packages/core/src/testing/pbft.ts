/** Replicas on a bus one can hold, with signatures that are quick and, in here, as good as real ones. */
import { concatBytes } from '../bytes/hex.ts';
import { Writer } from '../bytes/writer.ts';
import { Reader } from '../bytes/reader.ts';
import { asHash, sha256, type Hash } from '../crypto/hash.ts';
import { ED25519, type PublicKey, type SignatureVerifier } from '../crypto/signature.ts';
import type { Certificate } from '../ledger/block.ts';
import { epoch, height, millis, view, type Epoch, type Height } from '../ledger/ids.ts';
import { bitmapOf, type ValidatorSet } from '../ledger/validators.ts';
import type { CommittedBlock, Effects, Evidence, Input, Outgoing, Want } from '../pbft/effects.ts';
import type { LogRecord } from '../pbft/log.ts';
import type {
  Candidate,
  Checkpoint,
  Include,
  Message,
  NewView,
  PreparedCertificate,
  PrePrepare,
  StableCertificate,
  Status,
  VerifiedMessage,
  ViewChange,
  Vote,
} from '../pbft/messages.ts';
import { Replica, type Application, type ReplicaOptions } from '../pbft/replica.ts';
import {
  checkpointBytes,
  includeBytes,
  newViewBytes,
  prePrepareSigningBytes,
  viewChangeBytes,
  voteBytes,
} from '../pbft/signing.ts';
import { verifyMessage, type VerifyContext } from '../pbft/verify.ts';

export const CHAIN: Hash = sha256(Uint8Array.of(1, 2, 3));
export const EPOCH: Epoch = epoch(0);

export function keyOf(index: number): PublicKey {
  const bytes = new Uint8Array(32);
  bytes[0] = index;
  return { algorithm: ED25519, bytes };
}

export function signAs(index: number): (bytes: Uint8Array) => Uint8Array {
  return (bytes) => {
    const half = sha256(concatBytes(keyOf(index).bytes, bytes));
    return concatBytes(half, half);
  };
}

export const verifySlowly: SignatureVerifier = (key, message, signature) => {
  const expected = signAs(key.bytes[0] ?? 255)(message);
  return signature.length === expected.length && signature.every((byte, i) => byte === expected[i]);
};

export function validatorsOf(weights: readonly number[]): ValidatorSet {
  return weights.map((weight, index) => ({ key: keyOf(index), weight }));
}

export function contextOf(weights: readonly number[], chain: Hash = CHAIN): VerifyContext {
  return { chain, epoch: EPOCH, validators: validatorsOf(weights), verify: verifySlowly };
}

export function makeBlock(at: number, parentHash: Hash, salt = 0): Candidate {
  const bytes = new Writer(64).u53(at).fixed(parentHash, 32).u32(salt).finish();
  return { height: height(at), parentHash, hash: sha256(bytes), bytes, closes: false, count: 1 };
}

export function parseTestBlock(raw: Uint8Array): Candidate | undefined {
  if (raw.length !== 44) return undefined;
  const bytes = raw.slice();
  const reader = new Reader(bytes);
  return {
    height: height(reader.u53()),
    parentHash: asHash(reader.fixed(32)),
    hash: sha256(bytes),
    bytes,
    closes: false,
    count: 1,
  };
}

/** Blocks 1 … count on the genesis. */
export function makeChain(count: number, salt = 0): Candidate[] {
  const blocks: Candidate[] = [];
  for (let at = 1; at <= count; at += 1) blocks.push(makeBlock(at, blocks.at(-1)?.hash ?? CHAIN, salt));
  return blocks;
}

export function vote(kind: 'prepare' | 'commit', sender: number, block: Candidate, inView = 0): Vote {
  const unsigned = { kind, sender, epoch: EPOCH, view: view(inView), height: block.height, hash: block.hash };
  return { ...unsigned, signature: signAs(sender)(voteBytes(CHAIN, unsigned)) };
}

export function prePrepare(sender: number, block: Candidate, inView = 0): PrePrepare {
  const unsigned = { kind: 'pre-prepare', sender, epoch: EPOCH, view: view(inView), block } as const;
  return { ...unsigned, signature: signAs(sender)(prePrepareSigningBytes(CHAIN, unsigned)) };
}

export function checkpoint(sender: number, at: number, hash: Hash, stateRoot: Hash): Checkpoint {
  const unsigned = { kind: 'checkpoint', sender, epoch: EPOCH, height: height(at), hash, stateRoot } as const;
  return { ...unsigned, signature: signAs(sender)(checkpointBytes(CHAIN, unsigned)) };
}

export function commitCertificate(
  block: Candidate,
  signers: readonly number[],
  n: number,
  inView = 0,
): Certificate {
  return {
    epoch: EPOCH,
    view: view(inView),
    height: block.height,
    hash: block.hash,
    signers: bitmapOf(signers, n),
    signatures: signers.map((signer) => vote('commit', signer, block, inView).signature),
  };
}

export function preparedCertificate(
  block: Candidate,
  signers: readonly number[],
  n: number,
  inView = 0,
): PreparedCertificate {
  return {
    epoch: EPOCH,
    view: view(inView),
    height: block.height,
    digest: block.hash,
    signers: bitmapOf(signers, n),
    signatures: signers.map((signer) => vote('prepare', signer, block, inView).signature),
  };
}

export function stableCertificate(
  at: number,
  hash: Hash,
  stateRoot: Hash,
  signers: readonly number[],
  n: number,
): StableCertificate {
  return {
    epoch: EPOCH,
    height: height(at),
    hash,
    stateRoot,
    signers: bitmapOf(signers, n),
    signatures: signers.map((signer) => checkpoint(signer, at, hash, stateRoot).signature),
  };
}

export function viewChange(
  sender: number,
  to: number,
  proofs: Partial<Pick<ViewChange, 'stable' | 'committed' | 'prepared' | 'suspects'>> = {},
): ViewChange {
  const unsigned = {
    kind: 'view-change',
    sender,
    epoch: EPOCH,
    view: view(to),
    stable: undefined,
    committed: undefined,
    prepared: [],
    suspects: new Uint8Array(1),
    ...proofs,
  } as const;
  return { ...unsigned, signature: signAs(sender)(viewChangeBytes(CHAIN, unsigned)) };
}

export function newView(
  sender: number,
  to: number,
  parts: Pick<NewView, 'viewChanges' | 'base' | 'reproposals'> & Partial<Pick<NewView, 'skipped'>>,
): NewView {
  const unsigned = {
    kind: 'new-view',
    sender,
    epoch: EPOCH,
    view: view(to),
    skipped: new Uint8Array(1),
    ...parts,
  } as const;
  return { ...unsigned, signature: signAs(sender)(newViewBytes(CHAIN, unsigned)) };
}

export function include(sender: number, ids: readonly Hash[]): Include {
  const unsigned = { kind: 'include', sender, epoch: EPOCH, ids } as const;
  return { ...unsigned, signature: signAs(sender)(includeBytes(CHAIN, unsigned)) };
}

/** The same message, of another epoch and signed for it. */
export function inEpoch<M extends Message>(of: number, message: M): M {
  const moved: Message = { ...message, epoch: epoch(of) };
  const sign = signAs(message.sender);
  switch (moved.kind) {
    case 'pre-prepare':
      return { ...message, ...moved, signature: sign(prePrepareSigningBytes(CHAIN, moved)) };
    case 'prepare':
    case 'commit':
      return { ...message, ...moved, signature: sign(voteBytes(CHAIN, moved)) };
    case 'checkpoint':
      return { ...message, ...moved, signature: sign(checkpointBytes(CHAIN, moved)) };
    case 'view-change':
      return { ...message, ...moved, signature: sign(viewChangeBytes(CHAIN, moved)) };
    case 'new-view':
      return { ...message, ...moved, signature: sign(newViewBytes(CHAIN, moved)) };
    case 'include':
      return { ...message, ...moved, signature: sign(includeBytes(CHAIN, moved)) };
    case 'status':
    case 'fetch':
    case 'body':
      return { ...message, ...moved };
  }
}

/** What a peer says about itself, without proofs. */
export function status(sender: number, parts: Partial<Status> = {}): Status {
  return {
    kind: 'status',
    sender,
    epoch: EPOCH,
    view: view(0),
    changing: false,
    committed: height(0),
    stable: height(0),
    committedCertificate: undefined,
    stableCertificate: undefined,
    suspects: new Uint8Array(1),
    ...parts,
  };
}

export const GENESIS_ID: { readonly height: Height; readonly hash: Hash } = {
  height: height(0),
  hash: CHAIN,
};

export const ALWAYS_VALID: Application = { check: () => 'valid' };

/** One replica, and a record of everything it ever did. */
export class Bench {
  readonly replica: Replica;
  readonly weights: readonly number[];
  readonly epoch: Epoch;
  readonly log: LogRecord[] = [];
  readonly sent: Outgoing[] = [];
  readonly delivered: CommittedBlock[] = [];
  readonly evidence: Evidence[] = [];
  /** No peer is heard from unless a test says so. */
  alone = false;
  wants: Want[] = [];
  now = 1_000_000;

  constructor(
    self: number,
    options: Partial<ReplicaOptions> & { readonly weights?: readonly number[] } = {},
  ) {
    const { weights = [1, 1, 1, 1], ...rest } = options;
    this.weights = weights;
    this.epoch = options.epoch ?? EPOCH;
    this.replica = new Replica({
      chain: CHAIN,
      epoch: EPOCH,
      validators: validatorsOf(weights),
      self,
      application: ALWAYS_VALID,
      sign: signAs(self),
      random: () => 0.5,
      timing: { viewTimeoutMs: 1_000, viewTimeoutMaxMs: 6_000, resendMs: 200, heartbeatMs: 5_000 },
      restore: [],
      ...rest,
    });
    this.tick(0);
  }

  step(input: Input): Effects {
    const effects = this.replica.step(input);
    this.log.push(...effects.persist);
    this.sent.push(...effects.send);
    this.delivered.push(...effects.deliver);
    this.evidence.push(...effects.evidence);
    this.wants.push(...effects.want);
    return effects;
  }

  /** Lets time pass. Unless the replica is alone, everybody else is heard from shortly before the end of it. */
  tick(ms: number): Effects {
    const before = Math.min(ms, 100);
    if (ms > before) this.step({ kind: 'tick', now: millis(this.now + ms - before) });
    if (ms > 0 && !this.alone) this.hear(...this.#statuses());
    this.now += ms;
    return this.step({ kind: 'tick', now: millis(this.now) });
  }

  /** Of peers that are where this replica is. */
  #statuses(): Status[] {
    const { self, view: at, stableHeight } = this.replica.status();
    return [...this.weights.keys()]
      .filter((sender) => sender !== self)
      .map((sender) =>
        status(sender, {
          epoch: this.epoch,
          view: view(at),
          committed: this.replica.committedHeight,
          stable: height(stableHeight),
        }),
      );
  }

  pending(count: number): Effects {
    return this.step({ kind: 'pending', count, overdue: [] });
  }

  /** Hears messages as from their authors; throws when one of them would be refused. */
  hear(...messages: readonly Message[]): Effects[] {
    return messages.map((message) =>
      this.step({
        kind: 'message',
        from: message.sender,
        message: verified(this.weights, message, this.epoch),
      }),
    );
  }

  messages<K extends Message['kind']>(kind: K): (Message & { readonly kind: K })[] {
    return this.sent
      .map(({ message }) => message)
      .filter((message): message is Message & { readonly kind: K } => message.kind === kind);
  }

  forget(): void {
    this.sent.length = 0;
    this.wants = [];
  }
}

export function verified(
  weights: readonly number[],
  message: Message,
  inside: Epoch = EPOCH,
): VerifiedMessage {
  const result = verifyMessage({ ...contextOf(weights), epoch: inside }, message);
  if (!result.ok) throw new Error(result.message);
  return result.value;
}
