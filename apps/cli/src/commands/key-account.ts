/** What changes who acts for an account: rotation, guardians, recovery (spec STATE-15). */
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { keySetOf, type KeySet, type WeightedKey } from '@itc/core/ledger/account-keys.js';
import type { Address } from '@itc/core/ledger/address.js';
import { parseDid } from '@itc/core/ledger/did.js';
import { millis, type Millis } from '@itc/core/ledger/ids.js';
import {
  dropGuardians,
  finishRecovery,
  proposeKeys,
  rotateKeys,
  setGuardians,
  vetoRecovery,
} from '@itc/client/account-keys.js';
import { layoutOf } from '../devnet/layout.ts';
import { noteAccount, openKey } from '../keys.ts';
import { namedAccount } from '../names.ts';
import { accountOf } from '../options.ts';
import { integerOption, textOption, UsageError, type Call } from '../terminal/command.ts';
import { Wallet } from '../wallet.ts';

export const GUARDING_HELP = `itc key rotate NAME --to KEYS [--threshold N]                    other keys for the account, same address
itc key guardians NAME --of NAMES --threshold N [--delay TIME]
itc key recover propose ACCOUNT --to KEYS [--threshold N] [--key GUARDIAN]
itc key recover veto ACCOUNT [--key NAME]
itc key recover finish ACCOUNT --to KEYS [--threshold N] [--key NAME]`;

const DAY_MS = 86_400_000;
const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: DAY_MS };

export async function rotate(call: Call, name: string): Promise<number> {
  const { keys, local } = await keysOption(call);
  const wallet = await Wallet.open(call.api, await openKey(call.dataDir, name));
  const sent = await wallet.send(rotateKeys(keys));
  noteAlone(call, wallet.signer.address, keys, local);
  return tell(call, sent.id, `${namedAccount(name, wallet.signer.address)} has other keys now`);
}

export async function guardians(call: Call, name: string): Promise<number> {
  const of = textOption(call, 'of');
  if (of === undefined) throw new UsageError('expected --of with names or addresses, or --of none');
  const wallet = await Wallet.open(call.api, await openKey(call.dataDir, name));
  if (of === 'none') {
    const sent = await wallet.send(dropGuardians());
    return tell(call, sent.id, `${name} has no guardians any more`);
  }
  const chosen = of.split(',').map((word) => addressOfWord(call, word.trim()));
  const threshold = integerOption(call, 'threshold', chosen.length, { min: 1, max: chosen.length });
  const sent = await wallet.send(setGuardians({ guardians: chosen, threshold, delay: delayOption(call) }));
  return tell(call, sent.id, `${threshold} of ${chosen.length} guardians can give ${name} other keys`);
}

export async function recover(call: Call, words: readonly string[]): Promise<number> {
  const [verb, word, ...rest] = words;
  if (word === undefined || rest.length > 0)
    throw new UsageError('expected propose, veto or finish, and an account');
  const account = addressOfWord(call, word);
  const wallet = await Wallet.open(call.api, await openKey(call.dataDir, textOption(call, 'key') ?? 'owner'));
  if (verb === 'veto') {
    const sent = await wallet.send(vetoRecovery(account));
    return tell(call, sent.id, `no other keys for ${namedAccount(word, account)}: the recovery is off`);
  }
  const { keys, local } = await keysOption(call);
  if (verb === 'propose') {
    const sent = await wallet.send(proposeKeys(account, keys));
    const guardian = textOption(call, 'key') ?? 'owner';
    return tell(
      call,
      sent.id,
      `${guardian} wants ${textOption(call, 'to') ?? ''} to act for ${namedAccount(word, account)}; when enough guardians do, the delay begins`,
    );
  }
  if (verb === 'finish') {
    const sent = await wallet.send(finishRecovery(account, keys));
    noteAlone(call, account, keys, local);
    return tell(call, sent.id, `${namedAccount(word, account)} has other keys now`);
  }
  throw new UsageError('expected: propose, veto or finish');
}

/** Keys of this machine that are enough alone are from now on used for the account. */
function noteAlone(call: Call, account: Address, set: KeySet, local: readonly LocalKey[]): void {
  for (const { name, key } of local) {
    const found = set.keys.find((entry) => equalBytes(entry.key.bytes, key.bytes));
    if (found !== undefined && found.weight >= set.threshold)
      noteAccount(layoutOf(call.dataDir), name, account);
  }
}

interface LocalKey {
  readonly name: string;
  readonly key: PublicKey;
}

async function keysOption(
  call: Call,
): Promise<{ readonly keys: KeySet; readonly local: readonly LocalKey[] }> {
  const text = textOption(call, 'to');
  if (text === undefined) throw new UsageError('expected --to with the keys that are to act');
  const local: LocalKey[] = [];
  const keys: WeightedKey[] = [];
  for (const word of text.split(',')) {
    const match = /^(.+?)(?::(\d{1,3}))?$/.exec(word.trim());
    const name = match?.[1] ?? '';
    const weight = Number(match?.[2] ?? 1);
    const did = parseDid(name);
    if (did.ok && did.value.method === 'key') keys.push({ key: did.value.key, weight });
    else {
      const { publicKey } = await openKey(call.dataDir, name);
      local.push({ name, key: publicKey });
      keys.push({ key: publicKey, weight });
    }
  }
  const sum = keys.reduce((total, { weight }) => total + weight, 0);
  return { keys: keySetOf(keys, integerOption(call, 'threshold', sum, { min: 1, max: sum })), local };
}

function addressOfWord(call: Call, word: string): Address {
  return accountOf(call, word.replace(/^did:itc:/, ''));
}

function delayOption(call: Call): Millis {
  const text = textOption(call, 'delay') ?? '7d';
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  const unit = UNITS[match?.[2] ?? ''];
  if (match === null || unit === undefined)
    throw new UsageError('expected a --delay such as 10s, 30m, 12h or 7d');
  return millis(Number(match[1]) * unit);
}

function tell(call: Call, transaction: string, said: string): number {
  call.output.result({ transaction }, [said, `transaction ${transaction}`]);
  return 0;
}
