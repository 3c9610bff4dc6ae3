/** `itc tx draft`, `sign`, `show` and `send`: transactions of accounts whose keys are in several hands (spec STATE-15.3, CLIENT-20.6). */
import { writeFileSync } from 'node:fs';
import { draftShared, signDraft } from '@itc/client/keys-shared.js';
import {
  formatSharedFile,
  parseSharedFile,
  standingOf,
  type SharedFile,
  type Standing,
} from '@itc/client/shared-file.js';
import { sufficientSets, withSignature } from '@itc/client/shares.js';
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { verifySignature } from '@itc/core/crypto/verify.js';
import type { KeySet } from '@itc/core/ledger/account-keys.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Body } from '@itc/core/ledger/body.js';
import { formatItc, height } from '@itc/core/ledger/ids.js';
import { senderOf } from '@itc/core/ledger/transaction.js';
import { bodyRows } from '../body-words.ts';
import { COMMANDS } from '../commands.ts';
import { defaultApi } from '../devnet/layout.ts';
import { openKey } from '../keys.ts';
import { accountOf } from '../options.ts';
import {
  assertListed,
  keysOf,
  missingError,
  readFileNamed,
  standingLines,
  standingShown,
} from '../shared-signing.ts';
import { integerOption, runCommand, textOption, UsageError, type Call } from '../terminal/command.ts';
import { table } from '../terminal/output.ts';
import { draftInstead, openClient, type Wallet } from '../wallet.ts';

export const SHARED_HELP = `itc tx draft FILE [--account ACCOUNT] [--lane N] -- COMMAND …   what COMMAND would send, for others to sign
itc tx sign FILE [--key NAME]                             adds the signature of a key here; shows what it signs
itc tx show FILE                                          what it asks for, and who has signed
itc tx send FILE                                          as soon as enough have signed`;

export const SHARED_OPTIONS = {
  account: { type: 'string' },
  key: { type: 'string' },
  lane: { type: 'string' },
} as const;

const TO_NO_AVAIL = 'this key is none of those that act for the account; the file is signed, to no avail';
/** Holders take their time: a week of blocks of one second. */
const VALID_BLOCKS = 604_800;

export async function draft(call: Call, words: readonly string[]): Promise<number> {
  const [file, name, ...argv] = words;
  const entry = COMMANDS.find((one) => one.name === name);
  if (file === undefined || name === undefined)
    throw new UsageError(
      'expected: draft FILE -- COMMAND …, such as: draft pay.json -- transfer bob 5 --key alice',
    );
  if (name === 'lamp')
    throw new UsageError('a command to a lamp is no transaction: itc lamp draft FILE on DEVICE');
  if (entry === undefined || name === 'tx' || name === 'devnet')
    throw new UsageError(`${name} sends no transaction that could be drafted`);
  const account = textOption(call, 'account');
  let drafted: { readonly made: SharedFile; readonly set: KeySet } | undefined;
  draftInstead({
    account: account === undefined ? undefined : accountOf(call, account),
    take: async (wallet, body) => {
      drafted = await draftFor(call, wallet, body);
    },
  });
  const common = ['--data-dir', call.dataDir, '--api', call.api, '--quiet'];
  const code = await runCommand(await entry.load(), [...argv, ...common], defaultApi);
  if (code !== 0) return code;
  if (drafted === undefined) throw new UsageError(`${name} ${argv.join(' ')} sends no transaction`);
  const { made, set } = drafted;
  write(file, made);
  const standing = standingOf(made, set, verifySignature);
  call.output.result({ ok: true, file, ...shown(call, made, standing) }, [
    ...table(rowsOf(made)),
    ...standingLines(call, standing),
    `written to ${file}; next: itc tx sign ${file} --key NAME`,
  ]);
  return 0;
}

/** Signed by the drafting key at once where it is one of the account's. */
async function draftFor(
  call: Call,
  wallet: Wallet,
  body: Body,
): Promise<{ readonly made: SharedFile; readonly set: KeySet }> {
  const { chain, client, signer } = wallet;
  const set = await keysOf(call, signer.address, signer.publicKey);
  const isOwn = sufficientSets(set, signer.publicKey).length > 0;
  const first = isOwn ? signer.publicKey : heaviest(set);
  const lane = integerOption(call, 'lane', 0, { min: 0, max: 15 });
  const place = {
    chain,
    account: signer.address,
    body,
    lane,
    nonce: await client.nextNonce(signer.address, lane),
    feePerByte: (await client.parameters()).feePerByte,
    validUntil: height((await client.status()).height + VALID_BLOCKS),
    ...(wallet.sponsor && { sponsor: wallet.sponsor }),
  };
  // Whoever signs in the end, the fee covers it: more may be offered than a transaction costs.
  const drafts = sufficientSets(set, first).map((group) =>
    draftShared({ ...place, signers: group.map(({ key }) => key) }),
  );
  const dearest = drafts.reduce((a, b) => (b.transaction.fee > a.transaction.fee ? b : a));
  const signatures = isOwn ? [await signDraft(dearest, signer)] : [];
  return { made: { draft: dearest, signatures }, set };
}

function heaviest({ keys }: KeySet): PublicKey {
  return keys.reduce((a, b) => (b.weight > a.weight ? b : a)).key;
}

export async function sign(call: Call, words: readonly string[]): Promise<number> {
  const { path, file } = read(words);
  const signer = await openKey(call.dataDir, textOption(call, 'key') ?? 'owner');
  call.output.note(table(rowsOf(file)).join('\n'));
  const signed = withSignature(file, await signDraft(file.draft, signer));
  write(path, signed);
  // A holder may be offline: then who is missing is for others to find out.
  const set = await keysOf(call, senderOf(file.draft.transaction), signer.publicKey).catch(() => undefined);
  if (set !== undefined) assertListed(set, signer.publicKey, TO_NO_AVAIL);
  const standing = set && standingOf(signed, set, verifySignature);
  call.output.result({ ok: true, file: path, ...shown(call, signed, standing) }, [
    `signed; ${signed.signatures.length} signature${signed.signatures.length === 1 ? '' : 's'} in ${path}`,
    ...(standing === undefined ? [] : standingLines(call, standing)),
  ]);
  return 0;
}

export async function show(call: Call, words: readonly string[]): Promise<number> {
  const { path, file } = read(words);
  const { transaction } = file.draft;
  const standing = standingOf(
    file,
    await keysOf(call, senderOf(transaction), transaction.key),
    verifySignature,
  );
  call.output.result({ file: path, ...shown(call, file, standing) }, [
    ...table(rowsOf(file)),
    ...standingLines(call, standing),
  ]);
  return 0;
}

/** 1 while signatures are missing, and says whose. */
export async function send(call: Call, words: readonly string[]): Promise<number> {
  const { path, file } = read(words);
  const { transaction, chain } = file.draft;
  const client = openClient(call.api);
  if (!equalBytes((await client.genesis()).chain, chain))
    throw new LedgerError('transaction.wrong-chain', 'the transaction is for another chain than this node’s');
  const standing = standingOf(
    file,
    await keysOf(call, senderOf(transaction), transaction.key),
    verifySignature,
  );
  if (standing.ready === undefined) throw missingError(call, standing);
  const { status } = await client.submitAndWait(standing.ready);
  const { receipt, id, height: at } = status;
  if (receipt?.ok === false)
    throw new LedgerError(
      receipt.code ?? 'internal',
      `the ledger refused it: ${receipt.message ?? 'no reason given'}`,
      { id },
    );
  call.output.result({ ok: true, file: path, id, height: at, fee: receipt?.fee }, [
    `final in block ${at}, fee ${formatItc(BigInt(receipt?.fee ?? 0))} ITC`,
    `transaction ${id}`,
  ]);
  return 0;
}

function read(words: readonly string[]): { readonly path: string; readonly file: SharedFile } {
  return readFileNamed(words, parseSharedFile);
}

function write(path: string, file: SharedFile): void {
  writeFileSync(path, formatSharedFile(file));
}

function rowsOf({ draft: { transaction } }: SharedFile): string[][] {
  return [
    ['account', formatAddress(senderOf(transaction))],
    ...bodyRows(transaction.body),
    [
      'fee',
      `${formatItc(transaction.fee)} ITC${transaction.sponsor === undefined ? '' : ', out of a sponsorship'}`,
    ],
    ['nonce', `${transaction.nonce} of lane ${transaction.lane}`],
    ['until', `block ${transaction.validUntil}`],
  ];
}

function shown(call: Call, { draft: { transaction } }: SharedFile, standing: Standing | undefined): object {
  return {
    account: formatAddress(senderOf(transaction)),
    kind: transaction.body.kind,
    fee: String(transaction.fee),
    ...(standing && { ...standingShown(call, standing), complete: standing.ready !== undefined }),
  };
}
