/** Commands to devices and what devices answer, as COSE_Sign1 payloads (spec WIRE-5, WIRE-6). */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import type { Address } from '@itc/core/ledger/address.js';
import {
  decodeAcknowledgement,
  encodeCommand,
  type Acknowledgement,
  type Action,
} from '@itc/core/ledger/command.js';
import type { Cosigner } from '@itc/core/ledger/cosigners.js';
import type { Millis } from '@itc/core/ledger/ids.js';
import {
  encodePayload,
  parsePayload,
  payloadId,
  payloadSigningBytes,
  type Payload,
  type UnsignedPayload,
} from '@itc/core/ledger/payload.js';
import type { Signer } from './keys.ts';
import { namedAccount } from './transactions.ts';

export interface CommandOptions {
  readonly chain: Hash;
  readonly signer: Signer;
  readonly device: Address;
  readonly action: Action;
  /** Greater than every one before, of this signer to this device. Milliseconds of a clock that never goes back will do. */
  readonly sequence: number;
  /** Past this moment the device refuses it: a command that waited too long must not surprise anybody. */
  readonly notAfter: Millis;
  /** What other keys of the account have signed of it; see `shared-command.ts`. */
  readonly cosigners?: readonly Cosigner[];
}

export interface SignedCommand {
  /** Payload id: the command's name everywhere. */
  readonly id: Hash;
  /** The COSE_Sign1. */
  readonly bytes: Uint8Array;
}

export async function buildCommand(o: CommandOptions): Promise<SignedCommand> {
  const { device, action, notAfter, sequence, cosigners } = o;
  const content = encodeCommand({ device, action, notAfter, ...(cosigners && { cosigners }) });
  const unsigned: UnsignedPayload = {
    signer: o.signer.publicKey,
    ...namedAccount(o.signer),
    device,
    sequence,
    contentType: 'command',
    content,
  };
  const signed = payloadSigningBytes(o.chain, unsigned);
  return {
    id: payloadId(unsigned.signer, signed),
    bytes: encodePayload(unsigned, await o.signer.sign(signed)),
  };
}

export interface DeviceAnswer {
  readonly acknowledgement: Acknowledgement;
  readonly payload: Payload;
}

/**
 * What the device itself says it did: signed by its own key, which its address names. Whoever carried it here
 * cannot have changed it.
 */
export function parseAnswer(
  o: { readonly chain: Hash; readonly device: Address; readonly verify: SignatureVerifier },
  bytes: Uint8Array,
): Result<
  DeviceAnswer,
  'payload.malformed' | 'payload.too-large' | 'payload.signature' | 'payload.unknown-device'
> {
  const parsed = parsePayload(o.chain, bytes);
  if (!parsed.ok) return parsed;
  const payload = parsed.value;
  if (payload.contentType !== 'ack') return refused('payload.malformed', 'the payload is no acknowledgement');
  if (!equalBytes(payload.device, o.device))
    return refused('payload.unknown-device', 'another device answered');
  const acknowledgement = decodeAcknowledgement(payload.content);
  if (!acknowledgement.ok) return refused('payload.malformed', acknowledgement.message);
  if (!o.verify(payload.signer, payload.signedBytes, payload.signature)) {
    return refused('payload.signature', 'the signature of the device does not verify');
  }
  return ok({ acknowledgement: acknowledgement.value, payload });
}
