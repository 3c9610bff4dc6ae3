/** Device payloads and orders about value for the simulator, signed with the toy scheme. */
import type { Hash } from '@itc/core/crypto/hash.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { addressOf } from '@itc/core/ledger/address.js';
import {
  encodePayload,
  parsePayload,
  payloadSigningBytes,
  type Payload,
  type UnsignedPayload,
} from '@itc/core/ledger/payload.js';
import { encodeValueOrder, type ValueOrder } from '@itc/core/ledger/value-order.js';
import { fakeKey, fakeSign } from '../fake-crypto.ts';

/** Devices have key numbers beyond those of members, and holders beyond those of devices. */
const FIRST_DEVICE = 100;
const FIRST_HOLDER = 150;

/** `forged`: signed by somebody else. */
export function payloadOf(chain: Hash, device: number, sequence: number, forged = false): Payload {
  const signer = fakeKey(FIRST_DEVICE + device);
  const by = forged ? fakeKey(FIRST_DEVICE - 1) : signer;
  const content = Uint8Array.of(device, sequence & 255, sequence >> 8);
  return signed(
    chain,
    { signer, device: addressOf(signer), sequence, contentType: 'senml+json', content },
    by,
  );
}

export const holderKey = (holder: number): PublicKey => fakeKey(FIRST_HOLDER + holder);

/** An order of a holder about its value; for a voucher the sequence is its number. */
export function orderOf(
  at: { readonly chain: Hash; readonly subnet: Hash },
  holder: number,
  sequence: number,
  order: ValueOrder,
): Payload {
  const signer = holderKey(holder);
  const content = encodeValueOrder(at.subnet, order);
  return signed(
    at.chain,
    { signer, device: addressOf(signer), sequence, contentType: 'value', content },
    signer,
  );
}

function signed(chain: Hash, unsigned: UnsignedPayload, by: PublicKey): Payload {
  const signature = fakeSign(by, payloadSigningBytes(chain, unsigned));
  const parsed = parsePayload(chain, encodePayload(unsigned, signature));
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.value;
}
