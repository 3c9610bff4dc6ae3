/**
 * The lamp's side: a device judges a command by itself, with nothing but what it keeps and what the message
 * brings (spec LIGHT-5, LIGHT-6). No gateway is believed. No BigInt on this path, so small engines can run it.
 */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Refused, type Result } from '../bytes/result.ts';
import type { Hash } from '../crypto/hash.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import { verifyStateProof } from '../crypto/state-tree.ts';
import { addressOf, type Address } from '../ledger/address.ts';
import { decodeCommand, type Action, type Command, type Refusal } from '../ledger/command.ts';
import type { Genesis } from '../ledger/genesis.ts';
import type { Millis } from '../ledger/ids.ts';
import { parsePayload, type Payload } from '../ledger/payload.ts';
import { ACTIONS } from '../ledger/bodies/access.ts';
import { deviceKey, grantKey, stateKeyHash } from '../state/keys.ts';
import { decodeRecord, type Device, type GrantRecord } from '../state/records.ts';
import type { AccessProof } from './access-proof.ts';
import { followChain } from './certified.ts';
import type { ReplayWindows } from './replay.ts';
import type { Trust } from './trust.ts';

export interface CommandInput {
  readonly trust: Trust;
  /** The device's own address. */
  readonly device: Address;
  /** The COSE_Sign1 as received. */
  readonly command: Uint8Array;
  readonly access: AccessProof;
  /** Lets a device that missed many changes of validators begin again where the proof's hops begin. */
  readonly genesis?: Genesis;
  /** The device's idea of the time; where a believed header is later, that counts. */
  readonly now: Millis;
  /** Marked when the command is accepted; the caller makes it durable before acting. */
  readonly replay: ReplayWindows;
  readonly verify: SignatureVerifier;
  /** For devices with a clock: how old the proof's header may be, in milliseconds. */
  readonly proofAgeMsMax?: number;
}

export type CommandVerdict = {
  /** To be kept: further along whenever the proof's header was proven, whatever became of the command. */
  readonly trust: Trust;
  /** For the acknowledgement; undefined when the bytes are no payload. */
  readonly id: Hash | undefined;
} & (
  | {
      readonly kind: 'accepted';
      readonly command: Command;
      readonly payload: Payload;
      readonly signer: Address;
    }
  | { readonly kind: 'refused'; readonly reason: Refusal; readonly message: string }
);

type Step<T> = Result<T, Refusal>;

/** Cheapest checks first; each failing step has its own reason. */
export function verifyCommand(o: CommandInput): CommandVerdict {
  const { trust } = o;
  const parsed = parseCommand(trust.chain, o.command);
  if (!parsed.ok) return refusal(trust, undefined, parsed);
  const { payload, command } = parsed.value;
  const signer = addressOf(payload.signer);
  const early = checkMessage(o, payload, command, signer);
  if (!early.ok) return refusal(trust, payload.id, early);

  const proven = checkHeader(o);
  if (!proven.ok) return refusal(trust, payload.id, proven);
  // A clock set back must not revive what has expired.
  const now = later(o.now, proven.value.last.time);
  const allowed = checkAccess(o, signer, command, now);
  if (!allowed.ok) return refusal(proven.value, payload.id, allowed);

  o.replay.mark(signer, payload.sequence, command.notAfter, now);
  return { kind: 'accepted', trust: proven.value, id: payload.id, command, payload, signer };
}

function later(a: Millis, b: Millis): Millis {
  return a > b ? a : b;
}

function refusal(trust: Trust, id: Hash | undefined, step: Refused<Refusal>): CommandVerdict {
  return { kind: 'refused', trust, id, reason: step.code, message: step.message };
}

function parseCommand(chain: Hash, bytes: Uint8Array): Step<{ payload: Payload; command: Command }> {
  const payload = parsePayload(chain, bytes);
  if (!payload.ok) return refused('malformed', payload.message);
  if (payload.value.contentType !== 'command') return refused('malformed', 'the payload is no command');
  const command = decodeCommand(payload.value.content);
  if (!command.ok) return refused('malformed', command.message);
  return ok({ payload: payload.value, command: command.value });
}

/** What the message says by itself. */
function checkMessage(o: CommandInput, payload: Payload, command: Command, signer: Address): Step<void> {
  // The header names the lane, the content names the target: both must be this device.
  if (!equalBytes(payload.device, o.device) || !equalBytes(command.device, o.device)) {
    return refused('wrong-device', 'the command is for another device');
  }
  if (command.notAfter < o.now) return refused('expired', 'the command was valid only earlier');
  switch (o.replay.check(signer, payload.sequence, o.now)) {
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

function checkAccess(o: CommandInput, signer: Address, command: Command, now: Millis): Step<void> {
  if (command.notAfter < now) return refused('expired', 'the command was valid only earlier');
  const device = provenDevice(o);
  if (!device.ok) return device;
  if (equalBytes(device.value.owner, signer)) {
    // One form only: a grant the owner does not need could be anything.
    return o.access.grant === undefined ? ok(undefined) : refused('proof', 'the owner needs no grant');
  }
  const grant = provenGrant(o, signer);
  if (!grant.ok) return grant;
  const { granter, actions, levelMax, notBefore, expiresAt } = grant.value;
  if (!equalBytes(granter, device.value.owner))
    return refused('not-granted', 'an earlier owner gave this grant');
  if (now < notBefore || now >= expiresAt) return refused('not-granted', 'the grant is not in force now');
  return checkAction(command.action, actions, levelMax);
}

function provenDevice(o: CommandInput): Step<Device> {
  const { header, device } = o.access;
  if (!verifyStateProof(header.stateRoot, stateKeyHash(deviceKey(o.device)), device.record, device.proof)) {
    return refused('proof', 'the record of the device is not in the certified state');
  }
  const record = decodeRecord('device', device.record);
  return record.ok ? record : refused('proof', record.message);
}

function provenGrant(o: CommandInput, signer: Address): Step<GrantRecord> {
  const { header, grant } = o.access;
  if (grant === undefined) return refused('proof', 'the signer is not the owner, and no grant is shown');
  const key = stateKeyHash(grantKey(o.device, signer));
  if (!verifyStateProof(header.stateRoot, key, grant.record, grant.proof)) {
    return refused('proof', 'what is shown about the grant is not in the certified state');
  }
  if (grant.record === undefined) return refused('not-granted', 'the signer has no grant for this device');
  const record = decodeRecord('grant', grant.record);
  return record.ok ? record : refused('proof', record.message);
}

function checkAction(action: Action, actions: number, levelMax: number): Step<void> {
  switch (action.kind) {
    case 'on':
    case 'off':
      return (actions & ACTIONS.onOff) !== 0
        ? ok(undefined)
        : refused('not-allowed', 'the grant does not cover on and off');
    case 'level':
      if ((actions & ACTIONS.level) === 0) return refused('not-allowed', 'the grant does not cover levels');
      return action.level <= levelMax
        ? ok(undefined)
        : refused('not-allowed', `the grant allows levels up to ${levelMax}`);
  }
}
