/** Device payloads for the simulator, signed with the toy scheme. */
import type { Hash } from '@itc/core/crypto/hash.js';
import { addressOf } from '@itc/core/ledger/address.js';
import {
  encodePayload,
  parsePayload,
  payloadSigningBytes,
  type Payload,
  type UnsignedPayload,
} from '@itc/core/ledger/payload.js';
import { fakeKey, fakeSign } from '../fake-crypto.ts';

/** Devices have key numbers beyond those of members. */
const FIRST_DEVICE = 100;

/** `forged`: signed by somebody else. */
export function payloadOf(chain: Hash, device: number, sequence: number, forged = false): Payload {
  const signer = fakeKey(FIRST_DEVICE + device);
  const unsigned: UnsignedPayload = {
    signer,
    device: addressOf(signer),
    sequence,
    contentType: 'senml+json',
    content: Uint8Array.of(device, sequence & 255, sequence >> 8),
  };
  const by = forged ? fakeKey(FIRST_DEVICE - 1) : signer;
  const signature = fakeSign(by, payloadSigningBytes(chain, unsigned));
  const parsed = parsePayload(chain, encodePayload(unsigned, signature));
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.value;
}
