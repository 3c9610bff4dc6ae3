/**
 * The lamp's side: a device judges a command by itself, with nothing but what it keeps and what the message
 * brings (spec LIGHT-5, LIGHT-6). No gateway is believed. No BigInt on this path, so small engines can run it.
 */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Refused, type Result } from '../bytes/result.ts';
import type { Hash } from '../crypto/hash.ts';
import type { PublicKey, SignatureVerifier } from '../crypto/signature.ts';
import { addressOf, type Address } from '../ledger/address.ts';
import { commandSigningBytes, decodeCommand, type Command, type Refusal } from '../ledger/command.ts';
import type { Genesis } from '../ledger/genesis.ts';
import type { Millis } from '../ledger/ids.ts';
import { parsePayload, payloadAccount, type Payload } from '../ledger/payload.ts';
import { canDo, type ModelLimits } from '../ledger/terms.ts';
import { judgeShown, shownIn, type Allowed, type ShownAccess } from './access.ts';
import type { AccessProof } from './access-proof.ts';
import { followChain } from './certified.ts';
import type { ReplayWindows } from './replay.ts';
import type { Trust } from './trust.ts';
import type { UseCounts } from './use-counts.ts';

/** What judging takes, however access is shown. */
export interface CommandQuestion {
  /** The device's own address. */
  readonly device: Address;
  /** The COSE_Sign1 as received. */
  readonly command: Uint8Array;
  /** What the device can do, as its maker has built it: nobody has it do more, its owner neither. All there is when left out. */
  readonly limits?: ModelLimits;
  /** The device's idea of the time; where a believed header is later, that counts. */
  readonly now: Millis;
  /** Marked when the command is accepted; the caller makes it durable before acting. */
  readonly replay: ReplayWindows;
  /** As with the windows. Left out by a device that cannot count: grants for so many commands are not obeyed then. */
  readonly uses?: UseCounts;
  readonly verify: SignatureVerifier;
  /** For devices with a clock: how old the proof's header may be, in milliseconds. */
  readonly proofAgeMsMax?: number;
}

export interface CommandInput extends CommandQuestion {
  readonly trust: Trust;
  readonly access: AccessProof;
  /** Lets a device that missed many changes of validators begin again where the proof's hops begin. */
  readonly genesis?: Genesis;
}

/** `T`: the form in which the device keeps its trust. */
export type CommandVerdictOf<T> = {
  /** To be kept: further along whenever the proof's header was proven, whatever became of the command. */
  readonly trust: T;
  /** For the acknowledgement; undefined when the bytes are no payload. */
  readonly id: Hash | undefined;
} & (
  | {
      readonly kind: 'accepted';
      readonly command: Command;
      readonly payload: Payload;
      /** The account. */
      readonly signer: Address;
      /** By which the signer has access: the device obeys while it runs there. */
      readonly rental?: Allowed['rental'];
    }
  | { readonly kind: 'refused'; readonly reason: Refusal; readonly message: string }
);

export type CommandVerdict = CommandVerdictOf<Trust>;

/** A header that is believed by now, and what is shown under it. */
export interface ProvenAccess<T> {
  readonly trust: T;
  readonly time: Millis;
  readonly shown: ShownAccess;
}

type Step<T> = Result<T, Refusal>;

/** Cheapest checks first; each failing step has its own reason. */
export function verifyCommand(o: CommandInput): CommandVerdict {
  return judgeCommand(o, { chain: o.trust.chain, trust: o.trust }, () => {
    const proven = checkHeader(o);
    if (!proven.ok) return proven;
    return ok({ trust: proven.value, time: proven.value.last.time, shown: shownIn(o.access) });
  });
}

/** `prove` is asked once, when what the message says by itself is in order. */
export function judgeCommand<T>(
  o: CommandQuestion,
  { chain, trust }: { readonly chain: Hash; readonly trust: T },
  prove: () => Step<ProvenAccess<T>>,
): CommandVerdictOf<T> {
  const parsed = parseCommand(chain, o.command);
  if (!parsed.ok) return refusal(trust, undefined, parsed);
  const { payload, command } = parsed.value;
  const signer = payloadAccount(payload);
  // Keys count for themselves, also those of one account.
  const lane = addressOf(payload.signer);
  const early = checkMessage(o, payload, command, lane);
  if (!early.ok) return refusal(trust, payload.id, early);

  const proven = prove();
  if (!proven.ok) return refusal(trust, payload.id, proven);
  // A clock set back must not revive what has expired.
  const now = later(o.now, proven.value.time);
  const keys = [payload.signer, ...(command.cosigners ?? []).map(({ key }) => key)];
  const allowed = checkAccess(o, { shown: proven.value.shown, signer, keys, command, now });
  if (!allowed.ok) return refusal(proven.value.trust, payload.id, allowed);
  const forged = forgedShare(o, chain, payload, command);
  if (forged !== undefined) return refusal(proven.value.trust, payload.id, forged);

  o.replay.mark(lane, payload.sequence, command.notAfter, now);
  const { counted, rental } = allowed.value;
  o.uses?.take(counted, now);
  const accepted = { trust: proven.value.trust, id: payload.id, command, payload, signer };
  return { kind: 'accepted', ...accepted, ...(rental && { rental }) };
}

function later(a: Millis, b: Millis): Millis {
  return a > b ? a : b;
}

function refusal<T>(trust: T, id: Hash | undefined, step: Refused<Refusal>): CommandVerdictOf<T> {
  return { kind: 'refused', trust, id, reason: step.code, message: step.message };
}

function parseCommand(chain: Hash, bytes: Uint8Array): Step<{ payload: Payload; command: Command }> {
  const payload = parsePayload(chain, bytes);
  if (!payload.ok) return refused('malformed', payload.message);
  if (payload.value.contentType !== 'command') return refused('malformed', 'the payload is no command');
  const command = decodeCommand(payload.value.content, payload.value.signer);
  if (!command.ok) return refused('malformed', command.message);
  return ok({ payload: payload.value, command: command.value });
}

/** What the message says by itself. */
function checkMessage(o: CommandQuestion, payload: Payload, command: Command, lane: Address): Step<void> {
  // The header names the lane, the content names the target: both must be this device.
  if (!equalBytes(payload.device, o.device) || !equalBytes(command.device, o.device)) {
    return refused('wrong-device', 'the command is for another device');
  }
  if (command.notAfter < o.now) return refused('expired', 'the command was valid only earlier');
  switch (o.replay.check(lane, payload.sequence, o.now)) {
    case 'replayed':
      return refused('replayed', 'this sequence number was used, or lies below the window');
    case 'full':
      return refused('replayed', 'no lane is free to remember another signer');
    case 'new':
      break;
  }
  if (!o.verify(payload.signer, payload.signedBytes, payload.signature)) {
    return refused('signature', 'the signature of the command does not verify');
  }
  return ok(undefined);
}

/** Last of all: until keys of the account are shown to have signed, nobody makes a device check more than one signature. */
function forgedShare(
  { verify }: CommandQuestion,
  chain: Hash,
  payload: Payload,
  command: Command,
): Refused<Refusal> | undefined {
  if (command.cosigners === undefined) return undefined;
  const { signer, sequence } = payload;
  const message = commandSigningBytes(chain, { signer, account: payloadAccount(payload), sequence }, command);
  return command.cosigners.every(({ key, signature }) => verify(key, message, signature))
    ? undefined
    : refused('signature', 'the signature of another key of the account is not over this command');
}

function checkHeader(o: CommandInput): Step<Trust> {
  const { access, genesis, verify } = o;
  const { header } = access;
  const advanced = followChain(o.trust, { ...access, verify, ...(genesis && { genesis }) });
  if (!advanced.ok) return refused(advanced.code === 'stale' ? 'stale-proof' : 'proof', advanced.message);
  if (o.proofAgeMsMax !== undefined && header.time + o.proofAgeMsMax < o.now) {
    return refused('stale-proof', `the proof is older than ${o.proofAgeMsMax} ms`);
  }
  return advanced;
}

function checkAccess(
  o: CommandQuestion,
  asked: {
    readonly shown: ShownAccess;
    readonly signer: Address;
    readonly keys: readonly PublicKey[];
    readonly command: Command;
    readonly now: Millis;
  },
): Step<Allowed> {
  const { command, now } = asked;
  if (command.notAfter < now) return refused('expired', 'the command was valid only earlier');
  const { device, limits } = o;
  const allowed = judgeShown({ ...asked, device, action: command.action });
  if (allowed.ok && limits !== undefined && !canDo(limits, command.action))
    return refused('not-allowed', 'this is beyond what the model of the device can do');
  if (!allowed.ok || allowed.value.counted.length === 0) return allowed;
  switch (o.uses?.check(allowed.value.counted, now)) {
    case undefined:
      return refused('not-allowed', 'this device does not count uses');
    case 'used-up':
      return refused('used-up', 'the commands of this grant were given');
    case 'full':
      return refused('used-up', 'no room is left to count another grant');
    case 'left':
      return allowed;
  }
}
