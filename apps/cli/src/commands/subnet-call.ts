/** What the commands about subnets share: which subnet, whose key, how much, how long. */
import type { Client } from '@itc/client/client.js';
import { parseHash } from '@itc/client/client.js';
import type { PayloadLevel, SubnetStatus } from '@itc/client/api.js';
import type { Signer } from '@itc/client/keys.js';
import { buildOrder, type ValueOrder } from '@itc/client/value.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount, millis, parseItc, type Amount, type Millis } from '@itc/core/ledger/ids.js';
import { openKey } from '../keys.ts';
import { accountOf } from '../options.ts';
import { integerOption, textOption, UsageError, type Call } from '../terminal/command.ts';
import { openClient, Wallet } from '../wallet.ts';

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export interface Place {
  readonly id: Hash;
  readonly name: string;
}

/** By id, or by a name that one subnet alone has. */
export async function subnetOf(client: Client, word: string | undefined): Promise<Place> {
  if (word === undefined) throw new UsageError('expected the name or id of a subnet');
  if (/^[0-9a-f]{64}$/.test(word)) return { id: parseHash(word), name: word.slice(0, 8) };
  const named = (await client.subnets()).filter(({ name }: SubnetStatus) => name === word);
  const [only, another] = named;
  if (only === undefined)
    throw new LedgerError('not-found', `no subnet is called ${word}; see itc subnet list`);
  if (another !== undefined)
    throw new UsageError(`several subnets are called ${word}: name one by its id (itc subnet list)`);
  return { id: parseHash(only.id), name: word };
}

export function addressOfWord(call: Call, word: string | undefined): Address {
  if (word === undefined) throw new UsageError('expected an address, or the name of a key on this machine');
  return accountOf(call, word);
}

export function amountOf(text: string | undefined): Amount {
  const value = text === undefined ? undefined : parseItc(text);
  if (value === undefined || value === 0n)
    throw new UsageError('expected an amount above 0 in ITC, such as 5 or 0.25');
  return amount(value);
}

/** From now on. */
export function untilOption(call: Call, fallback: string): Millis {
  const text = textOption(call, 'for') ?? fallback;
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  if (match === null) throw new UsageError(`--for takes a duration such as 90s, 30m, 12h or 7d, got ${text}`);
  return millis(Date.now() + Number(match[1]) * (UNITS[match[2] as string] as number));
}

export function timeoutOption(call: Call): number {
  return 1_000 * integerOption(call, 'timeout', 120, { min: 1, max: 86_400 });
}

/** Numbers of orders only grow. Who signs readings with the same key counts on from their numbers instead. */
export function sequenceOption(call: Call): number {
  return integerOption(call, 'sequence', Date.now(), { min: 1, max: Number.MAX_SAFE_INTEGER });
}

export async function walletOf(call: Call): Promise<Wallet> {
  return Wallet.open(call.api, await openKey(call.dataDir, textOption(call, 'key') ?? 'owner'));
}

export function clientOf(call: Call): Client {
  return openClient(call.api);
}

/** Signs and sends an order, and waits until it has reached the level asked for, 3 when none was. Throws when it is ignored. */
export async function order(
  call: Call,
  o: { readonly wallet: Wallet; readonly subnet: Hash; readonly order: ValueOrder; readonly holder?: Signer },
): Promise<PayloadLevel> {
  const { wallet, subnet } = o;
  const signed = await buildOrder({
    chain: wallet.chain,
    subnet,
    signer: o.holder ?? wallet.signer,
    sequence: sequenceOption(call),
    order: o.order,
  });
  return settle(call, wallet.client, subnet, await wallet.client.sendOrder(subnet, signed));
}

const levelOption = (call: Call): 0 | 1 | 2 | 3 =>
  integerOption(call, 'level', 3, { min: 0, max: 3 }) as 0 | 1 | 2 | 3;

export async function settle(call: Call, client: Client, subnet: Hash, payload: Hash): Promise<PayloadLevel> {
  // Without --level it is what the owner of the holder has asked for at this gateway, and else final.
  const chosen = textOption(call, 'level') === undefined ? {} : { level: levelOption(call) };
  const status = await client.waitForLevel(
    { subnet, payload, ...chosen },
    { timeoutMs: timeoutOption(call) },
  );
  if (status.state === 'ignored')
    throw new LedgerError('request.malformed', `without effect: ${status.reason ?? status.code ?? ''}`, {
      payload: status.payload,
      code: status.code,
    });
  return status;
}

const LEVELS = ['seen', 'approved by most stake and work', 'approved by two thirds of the stake', 'final'];

/** For people: how far it is, and what that is worth. */
export function levelLine(status: PayloadLevel): string {
  const { level = 0, checkpoint, height } = status;
  const where = checkpoint === undefined ? '' : ` with checkpoint ${checkpoint}`;
  const block = height === undefined ? '' : `, in block ${height}`;
  const rest = level < 3 ? '; whether it is covered shows the checkpoint' : '';
  return `level ${level}: ${LEVELS[level] as string}${where}${block}${rest}`;
}
