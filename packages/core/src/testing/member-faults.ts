/** Envelopes as evidence against members by stake, with the fake signatures of `state-world.ts`. */
import { sha256, type Hash } from '../crypto/hash.ts';
import { encodeAccusation, decodeAccusation } from '../ledger/accusation.ts';
import { addressOf } from '../ledger/address.ts';
import { payloadRootOf, sealedEnvelope, type Envelope, type EnvelopeBody } from '../ledger/envelope.ts';
import { millis } from '../ledger/ids.ts';
import type { MemberFault } from '../ledger/member-fault.ts';
import { signedByIssuer } from '../ledger/member-fault.ts';
import { encodePayload, payloadSigningBytes } from '../ledger/payload.ts';
import { fakeSign, person, type Person } from './state-world.ts';

/** Some anchor behind the first checkpoint. */
const CHECKPOINT: Hash = sha256(Uint8Array.of(11));

interface Of {
  readonly chain: Hash;
  readonly subnet: Hash;
  readonly issuer: Person;
}

/** Well formed and signed, unless something else is asked for. */
export function issued(
  of: Of,
  changes: Partial<EnvelopeBody> & { readonly nonce?: number; readonly by?: Person } = {},
): Envelope {
  const { nonce = 1, by = of.issuer, ...rest } = changes;
  const body: EnvelopeBody = {
    subnet: of.subnet,
    issuer: of.issuer.key,
    lane: 0,
    sequence: 1,
    previous: of.subnet,
    parents: [of.subnet],
    time: millis(1_000_000),
    anchor: CHECKPOINT,
    payloadRoot: payloadRootOf([]),
    payloadCount: 0,
    ...rest,
  };
  const unsigned = sealedEnvelope(body, nonce, new Uint8Array(64));
  return sealedEnvelope(body, nonce, fakeSign(by.key, signedByIssuer(of.chain, unsigned)));
}

/** Two envelopes in one slot that differ in their nonce. */
export function equivocation(of: Of, changes: Partial<EnvelopeBody> = {}): MemberFault {
  return {
    kind: 'equivocation',
    first: issued(of, changes),
    second: issued(of, { ...changes, nonce: 2 }),
  };
}

/** An envelope of two payloads, the second of which is signed by whom it is told. */
export function forgery(of: Of, by: Person = person('a forger')): MemberFault {
  const device = person('a lamp');
  const payloads = [device, by].map((signer, i) => {
    const unsigned = {
      signer: device.key,
      device: addressOf(device.key),
      sequence: i + 1,
      contentType: 'senml+json' as const,
      content: sha256(Uint8Array.of(i)).slice(0, 4),
    };
    return encodePayload(unsigned, fakeSign(signer.key, payloadSigningBytes(of.chain, unsigned)));
  });
  const envelope = issued(of, { payloadRoot: payloadRootOf(payloads), payloadCount: payloads.length });
  const content = decodeAccusation(encodeAccusation(envelope, payloads, 1));
  if (!content.ok) throw new Error(content.message);
  return { kind: 'forgery', ...content.value };
}
