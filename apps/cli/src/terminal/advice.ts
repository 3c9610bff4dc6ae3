/** A refusal for people: amounts and moments as they write them, and what to do next. Scripts get code and message as they are. */
import { formatItc } from '@itc/core/ledger/ids.js';

/** Of these codes the long numbers are amounts, in base units. */
const OF_AMOUNTS: ReadonlySet<string> = new Set([
  'transaction.balance',
  'transaction.deposit',
  'transaction.fee',
  'deposit.amount',
  'validator.bond',
]);

/** Where a command says more than the table of codes does. An empty text: the message says it all. */
const COMMANDS: Readonly<Record<string, string>> = {
  'transaction.balance':
    'itc account shows what there is; itc transfer ACCOUNT AMOUNT pays some in, and with ITC_SPONSOR=ID a sponsor pays the fee',
  'transaction.deposit':
    'pay some in with itc transfer ACCOUNT AMOUNT, or name a sponsor that pays for state',
  'account.unknown': 'pay some in with: itc transfer ACCOUNT AMOUNT',
  'account.signers': 'sign with a key the account has now: itc did resolve did:itc:ADDRESS lists them',
  'device.not-owner': 'itc device show DEVICE tells the owner; its key goes with --key',
  'device.unknown': 'claim it first: itc device claim VOUCHER --name NAME',
  'maker.unknown': 'register first: itc maker register NAME',
  'validator.unknown': 'bond first: itc validator bond AMOUNT --consensus KEY',
  'rental-offer.unknown': 'itc rent list shows what is offered; the owner offers with itc rent offer',
  'guardians.unknown': 'its owner names some while the keys are there: itc key guardians',
  'not-ready': 'itc status --why tells what is not well',
  'peer.gone': 'start one with npm start, or name a node that runs with --api URL',
  'peer.timeout': 'itc status --why tells what is not well',
  'key.passphrase': 'set ITC_PASSPHRASE to the passphrase the key was sealed with',
  'deposit.amount': '',
  'config.invalid': '',
  'storage.failed': 'check path, rights and disk',
  'key.exists': 'choose another name, or move the old file away; it may hold value',
  'voucher.malformed':
    'scan or copy the whole voucher: the text of the QR code, or the manual code with --birth',
  'request.malformed': 'the --help of the command tells what it takes',
  'request.too-many': 'wait a moment, and try again',
};

/** What was not found, and where to look for what is there. */
const ABSENT: readonly (readonly [RegExp, string])[] = [
  [/\bdevice\b/, 'itc device list shows the devices of this gateway'],
  [/\bpayload\b|\breading\b/, 'itc tx explain ID tells where it stands'],
  [/\bfirmware\b|\bchannel\b/, 'itc firmware channel list shows the channels'],
];

/** One sentence, or undefined where the message says what to do already, or nothing is known. */
export async function nextStep(code: string, message: string): Promise<string | undefined> {
  // Whoever wrote the message knew more than its code tells.
  if (/\b(itc [a-z]|npm start|chmod )/.test(message)) return undefined;
  if (code === 'not-found') return ABSENT.find(([pattern]) => pattern.test(message))?.[1];
  const here = COMMANDS[code];
  if (here !== undefined) return here === '' ? undefined : here;
  const { CODE_ADVICE } = await import('@itc/client/code-advice.js');
  return CODE_ADVICE[code];
}

const FILE_TROUBLE: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'you may not read or write it',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is no folder',
  ENOSPC: 'the disk is full',
};

/** A file somebody named that cannot be read or written: their trouble, not a bug of ours. */
export function fileTrouble(error: unknown): string | undefined {
  const { code = '', path } = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
  const trouble = FILE_TROUBLE[code];
  return trouble === undefined || path === undefined ? undefined : `${path}: ${trouble}`;
}

/** Milliseconds become dates, and base units ITC. */
export function readable(code: string, message: string): string {
  const dated = message.replace(/\b1\d{12}\b/g, (ms) => new Date(Number(ms)).toISOString());
  if (!OF_AMOUNTS.has(code)) return dated;
  return dated.replace(
    /(?<![\d.:T-])\d{4,18}\b(?! bytes)(?![-:.]\d)/g,
    (units) => `${formatItc(BigInt(units))} ITC`,
  );
}
