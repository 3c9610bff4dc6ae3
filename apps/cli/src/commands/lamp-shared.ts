/** `itc lamp draft`, `sign`, `show` and `send`: commands of accounts whose keys act only together (spec CLIENT-3.6, CLIENT-3.7). */
import { writeFileSync } from 'node:fs';
import {
  assembleCommand,
  commandStanding,
  formatCommandFile,
  parseCommandFile,
  signCommandDraft,
  type CommandDraft,
  type CommandFile,
} from '@itc/client/shared-command.js';
import { formatShare, withSignature, type Weighed } from '@itc/client/shares.js';
import { equalBytes } from '@itc/core/bytes/hex.js';
import { compareKeys } from '@itc/core/crypto/signature.js';
import { verifySignature } from '@itc/core/crypto/verify.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { millis } from '@itc/core/ledger/ids.js';
import { openKey } from '../keys.ts';
import { actionWords, parseOrder, tell, untilFinal } from '../lamp-words.ts';
import { accountOf, duration } from '../options.ts';
import {
  assertListed,
  keysOf,
  localName,
  missingError,
  nameOf,
  readFileNamed,
  standingLines,
  standingShown,
} from '../shared-signing.ts';
import { integerOption, textOption, UsageError, type Call } from '../terminal/command.ts';
import { table } from '../terminal/output.ts';
import { openClient, Wallet } from '../wallet.ts';

export const LAMP_SHARED_HELP = `itc lamp draft FILE on|off|level|colour DEVICE …   the same, for other keys of the account to sign
itc lamp sign FILE [--key NAME]                    adds the signature of a key here; shows what it signs
itc lamp show FILE                                 what it asks for, and who has signed
itc lamp send FILE                                 as soon as enough have signed`;

export const LAMP_SHARED_OPTIONS = { account: { type: 'string' }, valid: { type: 'string' } } as const;

export const LAMP_SHARED: ReadonlyMap<string, (call: Call, words: readonly string[]) => Promise<number>> =
  new Map([
    ['draft', draft],
    ['sign', sign],
    ['show', show],
    ['send', send],
  ]);

/** As long as a gateway keeps a command for a device that is away. */
const VALID_MS_MAX = 86_400_000;

async function draft(call: Call, words: readonly string[]): Promise<number> {
  const [path, ...order] = words;
  if (path === undefined || order.length === 0)
    throw new UsageError('expected: draft FILE and a command, such as: draft on.json on lamp-1 --key alice');
  const { device, action } = parseOrder(order);
  const valid = duration(textOption(call, 'valid') ?? '1h', '--valid');
  if (valid < 1 || valid > VALID_MS_MAX) throw new UsageError('--valid takes a duration up to 24h');
  const signer = await openKey(call.dataDir, textOption(call, 'key') ?? 'owner');
  const named = textOption(call, 'account');
  const account = named === undefined ? signer.address : accountOf(call, named);
  const wallet = await Wallet.open(call.api, signer);
  const set = await keysOf(call, account, signer.publicKey);
  assertListed(set, signer.publicKey, `this key is none of those that act for ${formatAddress(account)}`);
  const now = Date.now();
  const made: CommandDraft = {
    chain: wallet.chain,
    sender: signer.publicKey,
    account,
    device: await wallet.device(device),
    action,
    sequence: now,
    notAfter: millis(now + valid),
  };
  const file: CommandFile = { draft: made, signatures: [] };
  write(path, file);
  const standing = commandStanding(file, set, verifySignature);
  call.output.result({ ok: true, file: path, ...shown(call, made, standing) }, [
    ...table(rowsOf(call, made)),
    ...standingLines(call, standing),
    `written to ${path}; next: itc lamp ${standing.enough === undefined ? `sign ${path} --key NAME` : `send ${path}`}`,
  ]);
  return 0;
}

async function sign(call: Call, words: readonly string[]): Promise<number> {
  const { path, file } = readFileNamed(words, parseCommandFile);
  const signer = await openKey(call.dataDir, textOption(call, 'key') ?? 'owner');
  if (compareKeys(signer.publicKey, file.draft.sender) === 0)
    throw new UsageError('this key has drafted the command: it signs when it sends it');
  call.output.note(table(rowsOf(call, file.draft)).join('\n'));
  const signed = withSignature(file, await signCommandDraft(file.draft, signer));
  write(path, signed);
  // A holder may be offline: then who is missing is for others to find out.
  const set = await keysOf(call, file.draft.account, file.draft.sender).catch(() => undefined);
  if (set !== undefined)
    assertListed(
      set,
      signer.publicKey,
      'this key is none of those that act for the account; the file is signed, to no avail',
    );
  const standing = set && commandStanding(signed, set, verifySignature);
  call.output.result({ ok: true, file: path, ...shown(call, file.draft, standing) }, [
    `signed; ${signed.signatures.length} signature${signed.signatures.length === 1 ? '' : 's'} in ${path}, and that of ${nameOf(call, file.draft.sender)} when it is sent`,
    ...(standing === undefined ? [] : standingLines(call, standing)),
  ]);
  return 0;
}

async function show(call: Call, words: readonly string[]): Promise<number> {
  const { path, file } = readFileNamed(words, parseCommandFile);
  const standing = await standingNow(call, file);
  call.output.result({ file: path, ...shown(call, file.draft, standing) }, [
    ...table(rowsOf(call, file.draft)),
    ...standingLines(call, standing),
  ]);
  return 0;
}

/** 1 while signatures are missing, and says whose; else as `itc lamp on`. */
async function send(call: Call, words: readonly string[]): Promise<number> {
  const { path, file } = readFileNamed(words, parseCommandFile);
  const { chain, sender, device } = file.draft;
  const timeoutMs = integerOption(call, 'timeout', 5_000, { min: 1, max: 600_000 });
  const name = textOption(call, 'key') ?? localName(call, sender);
  if (name === undefined)
    throw new LedgerError(
      'account.signers',
      `${nameOf(call, sender)} has drafted it and sends it, and is no key of this machine`,
    );
  const client = openClient(call.api);
  if (!equalBytes((await client.genesis()).chain, chain))
    throw new LedgerError('transaction.wrong-chain', 'the command is for another chain than this node’s');
  const standing = await standingNow(call, file);
  if (standing.enough === undefined) throw missingError(call, standing);
  const built = await assembleCommand({
    draft: file.draft,
    shares: standing.enough.map(formatShare),
    sender: await openKey(call.dataDir, name),
    verify: verifySignature,
  });
  if (!built.ok) throw new LedgerError(built.code, built.message, { path });
  const started = performance.now();
  let status = await client.commandAndWait(built.value, { timeoutMs });
  const roundTripMs = performance.now() - started;
  if (call.options['final'] === true) status = await untilFinal(client, status, timeoutMs);
  const address = formatAddress(device);
  const { name: called = address } = await client.device(address);
  return tell(call, called, status, roundTripMs);
}

async function standingNow(call: Call, file: CommandFile): Promise<Weighed> {
  const { account, sender } = file.draft;
  return commandStanding(file, await keysOf(call, account, sender), verifySignature);
}

function write(path: string, file: CommandFile): void {
  writeFileSync(path, formatCommandFile(file));
}

function rowsOf(call: Call, { account, device, action, sender, notAfter }: CommandDraft): string[][] {
  return [
    ['account', formatAddress(account)],
    ['device', formatAddress(device)],
    ['asks for', actionWords(action)],
    ['sent by', nameOf(call, sender)],
    ['until', new Date(notAfter).toISOString()],
  ];
}

function shown(call: Call, made: CommandDraft, standing: Weighed | undefined): object {
  return {
    account: formatAddress(made.account),
    device: formatAddress(made.device),
    action: made.action,
    notAfter: made.notAfter,
    ...(standing && standingShown(call, standing)),
  };
}
