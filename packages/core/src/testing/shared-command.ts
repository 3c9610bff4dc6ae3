/** Commands that several keys of an account give together, for tests: signed by whoever is named. */
import { equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import { compareKeys } from '../crypto/signature.ts';
import type { Address } from '../ledger/address.ts';
import { commandSigningBytes, encodeCommand, type Action, type Command } from '../ledger/command.ts';
import type { Cosigner } from '../ledger/cosigners.ts';
import type { Millis } from '../ledger/ids.ts';
import { encodePayload, payloadSigningBytes } from '../ledger/payload.ts';
import type { KeyPair } from './keys.ts';

export interface SharedCommand {
  readonly chain: Hash;
  /** Whose payload it is. */
  readonly by: KeyPair;
  readonly account: Address;
  readonly device: Address;
  readonly action: Action;
  readonly sequence: number;
  readonly notAfter: Millis;
}

/** What each of these signs, in the order of a command. */
export function sharesOf(o: SharedCommand, others: readonly KeyPair[]): Cosigner[] {
  const { chain, by, account, sequence, device, action, notAfter } = o;
  const message = commandSigningBytes(
    chain,
    { signer: by.key, account, sequence },
    { device, action, notAfter },
  );
  return others
    .map(({ key, sign }) => ({ key, signature: sign(message) }))
    .sort((a, b) => compareKeys(a.key, b.key));
}

/** The payload; without `cosigners` the command of one key. */
export function sharedCommand(o: SharedCommand, cosigners?: readonly Cosigner[]): Uint8Array {
  const { chain, by, account, sequence, device, action, notAfter } = o;
  const command: Command = { device, action, notAfter, ...(cosigners && { cosigners }) };
  const unsigned = {
    signer: by.key,
    ...(!equalBytes(account, by.address) && { account }),
    device,
    sequence,
    contentType: 'command' as const,
    content: encodeCommand(command),
  };
  return encodePayload(unsigned, by.sign(payloadSigningBytes(chain, unsigned)));
}
