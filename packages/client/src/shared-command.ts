/**
 * Commands that several keys of an account give together (spec CLIENT-3.6, WIRE-6.3): one holder drafts, the others sign what
 * `formatCommandDraft` writes, and the one who drafted signs last, over all of it, and sends. The device weighs the keys itself.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { decode } from '@itc/core/bytes/reader.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import {
  compareKeys,
  readAccountKey,
  SIGNATURE_DOMAINS,
  type PublicKey,
  type SignatureVerifier,
} from '@itc/core/crypto/signature.js';
import type { KeySet } from '@itc/core/ledger/account-keys.js';
import type { Address } from '@itc/core/ledger/address.js';
import { commandSigningBytes, decodeCommand, type Action } from '@itc/core/ledger/command.js';
import type { Cosigner } from '@itc/core/ledger/cosigners.js';
import { readAddress, readHash } from '@itc/core/ledger/fields.js';
import type { Millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { fromBase64Url, toBase64Url } from './base64url.ts';
import { buildCommand, type SignedCommand } from './commands.ts';
import { actingFor, type Signer } from './keys.ts';
import {
  formatPassed,
  formatShare,
  parsePassed,
  parseShare,
  weigh,
  type Passed,
  type PassedForm,
  type Weighed,
} from './shares.ts';

export interface CommandDraft {
  readonly chain: Hash;
  /** The key that will sign last, and send. */
  readonly sender: PublicKey;
  /** The account that commands. */
  readonly account: Address;
  readonly device: Address;
  readonly action: Action;
  /** As of a command of the sender alone: greater than every one before, of this key to this device. */
  readonly sequence: number;
  /** Long enough for all to sign. */
  readonly notAfter: Millis;
}

function signingBytes({ chain, sender, account, sequence, ...command }: CommandDraft): Uint8Array {
  return commandSigningBytes(chain, { signer: sender, account, sequence }, command);
}

/** What the others are given; base64url. It is what they sign, so there is nothing else to agree on. */
export function formatCommandDraft(draft: CommandDraft): string {
  return toBase64Url(signingBytes(draft));
}

/** Strict: what is read is what `formatCommandDraft` writes. */
export function parseCommandDraft(text: string): Result<CommandDraft, 'request.malformed'> {
  const bytes = fromBase64Url(text.trim());
  if (!bytes.ok) return bytes;
  const prefix = utf8Encode(`${SIGNATURE_DOMAINS.command}\0`);
  if (!equalBytes(bytes.value.subarray(0, prefix.length), prefix))
    return refused('request.malformed', 'not the draft of a command');
  const place = decode(
    (reader) => ({
      chain: readHash(reader),
      sender: readAccountKey(reader),
      account: readAddress(reader),
      sequence: reader.u53(),
      command: reader.fixed(reader.remaining).slice(),
    }),
    bytes.value.subarray(prefix.length),
  );
  if (!place.ok) return refused('request.malformed', place.message);
  const { command: content, ...rest } = place.value;
  const command = decodeCommand(content);
  if (!command.ok) return refused('request.malformed', command.message);
  const { cosigners, ...plain } = command.value;
  if (cosigners !== undefined) return refused('request.malformed', 'a draft has no signatures inside');
  return ok({ ...rest, ...plain });
}

/** One party's signature, to be given back; base64url. */
export async function signCommandDraft(draft: CommandDraft, signer: Signer): Promise<string> {
  const signature = await signer.sign(signingBytes(draft));
  return formatShare({ key: signer.publicKey, signature });
}

/**
 * The command, from a draft, what `signCommandDraft` gave the others, and the key that drafted. `signature.invalid` names the one that
 * does not hold; each key counts once, and the sender's own share not at all. Without any it is the command of one key.
 */
export async function assembleCommand(o: {
  readonly draft: CommandDraft;
  readonly shares: readonly string[];
  readonly sender: Signer;
  readonly verify: SignatureVerifier;
}): Promise<Result<SignedCommand, 'request.malformed' | 'signature.invalid' | 'payload.too-large'>> {
  const { sender: key, account, ...command } = o.draft;
  if (compareKeys(o.sender.publicKey, key) !== 0)
    return refused('signature.invalid', 'the key that drafted it signs last, and this is another one');
  const message = signingBytes(o.draft);
  const cosigners: Cosigner[] = [];
  for (const [i, text] of o.shares.entries()) {
    const share = parseShare(text);
    if (!share.ok) return refused('request.malformed', `signature ${i + 1}: ${share.message}`);
    if (!o.verify(share.value.key, message, share.value.signature))
      return refused('signature.invalid', `signature ${i + 1} is not over this command`);
    const isCounted = [key, ...cosigners.map((one) => one.key)].some(
      (one) => compareKeys(one, share.value.key) === 0,
    );
    if (!isCounted) cosigners.push(share.value);
  }
  if (cosigners.length >= LIMITS.signersMax)
    return refused('request.malformed', `an account has at most ${LIMITS.signersMax} keys`);
  const built = await buildCommand({
    ...command,
    signer: actingFor(account, o.sender),
    ...(cosigners.length > 0 && { cosigners: cosigners.sort((a, b) => compareKeys(a.key, b.key)) }),
  });
  return built.bytes.length <= LIMITS.payloadBytesMax
    ? ok(built)
    : refused('payload.too-large', `these signatures take more than ${LIMITS.payloadBytesMax} bytes`);
}

/** A command on its way from holder to holder. */
export type CommandFile = Passed<CommandDraft>;

const FORM: PassedForm<CommandDraft> = {
  form: 'itc-command',
  what: 'a command',
  format: formatCommandDraft,
  parse: parseCommandDraft,
};

export function formatCommandFile(file: CommandFile): string {
  return formatPassed(FORM, file);
}

export function parseCommandFile(text: string): Result<CommandFile, 'request.malformed'> {
  return parsePassed(FORM, text);
}

/** How far the signatures go, the sender's counted; `set`: what acts for the account now. */
export function commandStanding(
  { draft, signatures }: CommandFile,
  set: KeySet,
  verify: SignatureVerifier,
): Weighed {
  const message = signingBytes(draft);
  return weigh({
    signatures,
    set,
    first: draft.sender,
    isFirstLast: true,
    holds: ({ key, signature }) => verify(key, message, signature),
  });
}
