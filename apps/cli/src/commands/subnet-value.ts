/** ITC inside subnets: deposit, pay, balance, withdraw, move, and vouchers that work offline. */
import { moveBalance, withdrawalBody } from '@itc/client/move.js';
import { buildOrder, judgeBalance, readVoucherNote } from '@itc/client/value.js';
import { fromBase64Url, toBase64Url } from '@itc/client/base64url.js';
import { toHex } from '@itc/core/bytes/hex.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { formatItc } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { openKey } from '../keys.ts';
import { integerOption, textOption, UsageError, type Call } from '../terminal/command.ts';
import {
  addressOfWord,
  amountOf,
  clientOf,
  levelLine,
  order,
  sequenceOption,
  settle,
  subnetOf,
  timeoutOption,
  untilOption,
  walletOf,
} from './subnet-call.ts';
import type { Wallet } from '../wallet.ts';

const NOTE_PREFIX = 'itc-note:';
const POLL_MS = 250;

const itc = (value: bigint): string => `${formatItc(value)} ITC`;

function noMore(words: readonly string[]): void {
  if (words.length > 0) throw new UsageError(`did not expect ${words[0] as string}`);
}

/** Who is named, or else the wallet's own account. */
async function receiverOption(call: Call, wallet: Wallet): Promise<Address> {
  const word = textOption(call, 'to');
  return word === undefined ? wallet.signer.address : addressOfWord(call, word);
}

export async function deposit(call: Call, words: readonly string[]): Promise<number> {
  const [where, text, ...rest] = words;
  noMore(rest);
  const value = amountOf(text);
  const wallet = await walletOf(call);
  const subnet = await subnetOf(wallet.client, where);
  const to = await receiverOption(call, wallet);
  const before = await balanceIn(call, subnet.id, to);
  const sent = await wallet.send({ kind: 'deposit', subnet: subnet.id, to, amount: value });
  call.output.note(`final in block ${sent.height}; the subnet credits it with its next checkpoint`);
  const balance = await untilBalance(call, subnet.id, to, before + value);
  call.output.result(
    {
      ok: true,
      ...sent,
      subnet: toHex(subnet.id),
      to: formatAddress(to),
      amount: String(value),
      balance: String(balance),
    },
    [`${itc(value)} are in ${subnet.name}, for ${formatAddress(to)}, who has ${itc(balance)} there`],
  );
  return 0;
}

export async function pay(call: Call, words: readonly string[]): Promise<number> {
  const [where, whom, text, ...rest] = words;
  noMore(rest);
  const value = amountOf(text);
  const to = addressOfWord(call, whom);
  const wallet = await walletOf(call);
  const subnet = await subnetOf(wallet.client, where);
  const status = await order(call, {
    wallet,
    subnet: subnet.id,
    order: { kind: 'transfer', to, amount: value, expiresAt: untilOption(call, '1h') },
  });
  call.output.result(
    { ok: true, subnet: toHex(subnet.id), to: formatAddress(to), amount: String(value), ...status },
    [`${itc(value)} to ${formatAddress(to)} in ${subnet.name}: ${levelLine(status)}`],
  );
  return 0;
}

async function balanceIn(call: Call, subnet: Hash, of: Address): Promise<bigint> {
  const client = clientOf(call);
  try {
    const judged = judgeBalance(of, await client.subnetBalance(subnet, of));
    if (judged === undefined) throw new LedgerError('peer.message', 'the proof of the balance does not hold');
    return judged.balance;
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'not-found') return 0n;
    throw error;
  }
}

async function untilBalance(call: Call, subnet: Hash, of: Address, least: bigint): Promise<bigint> {
  for (const end = Date.now() + timeoutOption(call); ;) {
    const balance = await balanceIn(call, subnet, of);
    if (balance >= least) return balance;
    if (Date.now() > end)
      throw new LedgerError(
        'peer.timeout',
        'it is final on the main chain, and the subnet has not credited it yet',
      );
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

export async function balance(call: Call, words: readonly string[]): Promise<number> {
  const [where, whom, ...rest] = words;
  noMore(rest);
  const client = clientOf(call);
  const subnet = await subnetOf(client, where);
  const of = addressOfWord(call, whom ?? textOption(call, 'key') ?? 'owner');
  const value = await balanceIn(call, subnet.id, of);
  const { withdrawals } = await client.subnetWithdrawals(subnet.id, of);
  const waiting = withdrawals.reduce((sum, one) => sum + BigInt(one.amount), 0n);
  call.output.result(
    {
      ok: true,
      subnet: toHex(subnet.id),
      address: formatAddress(of),
      balance: String(value),
      waiting: String(waiting),
      withdrawals,
    },
    [
      `${formatAddress(of)} has ${itc(value)} in ${subnet.name}`,
      ...(waiting === 0n
        ? []
        : [`${itc(waiting)} wait on the main chain: itc subnet withdraw ${subnet.name} --fetch`]),
    ],
  );
  return 0;
}

/** With an amount: orders it out and fetches it. With `--fetch`: fetches what waits, whoever ordered it. */
export async function withdraw(call: Call, words: readonly string[]): Promise<number> {
  const [where, text, ...rest] = words;
  noMore(rest);
  const isFetch = call.options['fetch'] === true;
  if (isFetch === (text !== undefined)) throw new UsageError('expected an amount, or --fetch');
  const wallet = await walletOf(call);
  const subnet = await subnetOf(wallet.client, where);
  const to = await receiverOption(call, wallet);
  if (!isFetch) {
    const value = amountOf(text);
    const status = await order(call, {
      wallet,
      subnet: subnet.id,
      order: { kind: 'withdraw', to, amount: value, expiresAt: untilOption(call, '1h') },
    });
    call.output.note(levelLine(status));
  }
  const { withdrawals } = await wallet.client.subnetWithdrawals(subnet.id, to);
  const fetched = [];
  let sum = 0n;
  for (const waiting of withdrawals) {
    const sent = await wallet.send(withdrawalBody(subnet.id, to, waiting));
    fetched.push({ ...waiting, ...sent });
    sum += BigInt(waiting.amount);
    call.output.note(`${itc(BigInt(waiting.amount))} fetched in block ${sent.height}`);
  }
  call.output.result(
    { ok: true, subnet: toHex(subnet.id), to: formatAddress(to), amount: String(sum), fetched },
    [
      sum === 0n
        ? `nothing waits for ${formatAddress(to)}`
        : `${itc(sum)} are on the main chain, at ${formatAddress(to)}`,
    ],
  );
  return 0;
}

export async function move(call: Call, words: readonly string[]): Promise<number> {
  const [source, target, text, ...rest] = words;
  noMore(rest);
  const value = text === undefined ? undefined : amountOf(text);
  const wallet = await walletOf(call);
  const { client } = wallet;
  const [from, to] = [await subnetOf(client, source), await subnetOf(client, target)];
  const holderName = textOption(call, 'holder');
  const holder = holderName === undefined ? wallet.signer : await openKey(call.dataDir, holderName);
  const steps: object[] = [];
  const moved = await moveBalance({
    chain: wallet.chain,
    from: from.id,
    to: to.id,
    fromClient: client,
    toClient: client,
    holder,
    payer: wallet.signer.address,
    sequence: sequenceOption(call),
    ...(value === undefined ? {} : { amount: value }),
    send: (body) => wallet.send(body),
    timeoutMs: timeoutOption(call),
    onStep: (step) => {
      steps.push(
        JSON.parse(
          JSON.stringify(step, (_, one: unknown) => (typeof one === 'bigint' ? String(one) : one)),
        ) as object,
      );
      call.output.note(STEP_WORDS[step.step]);
    },
  });
  call.output.result(
    {
      ok: true,
      from: toHex(from.id),
      to: toHex(to.id),
      holder: formatAddress(holder.address),
      amount: String(moved),
      steps,
    },
    [`${itc(moved)} of ${formatAddress(holder.address)} are in ${to.name} now`],
  );
  return 0;
}

const STEP_WORDS: Readonly<Record<'ordered' | 'left' | 'fetched' | 'deposited' | 'arrived', string>> = {
  ordered: '1/5 the order to leave is in the DAG of the first subnet',
  left: '2/5 a checkpoint has let it out; it waits on the main chain',
  fetched: '3/5 fetched, by its proof',
  deposited: '4/5 deposited into the second subnet',
  arrived: '5/5 credited there',
};

export async function voucher(call: Call, words: readonly string[]): Promise<number> {
  const [verb, ...rest] = words;
  if (verb === 'set-aside') return setAside(call, rest);
  if (verb === 'write') return write(call, rest);
  if (verb === 'read') return read(call, rest);
  if (verb === 'cash') return cash(call, rest);
  if (verb === 'release') return release(call, rest);
  throw new UsageError('expected: voucher set-aside, write, read, cash or release');
}

const laneOption = (call: Call): number =>
  integerOption(call, 'lane', 0, { min: 0, max: LIMITS.voucherLanesMax - 1 });

async function setAside(call: Call, words: readonly string[]): Promise<number> {
  const [where, text, ...rest] = words;
  noMore(rest);
  const value = amountOf(text);
  const payee =
    textOption(call, 'payee') === undefined ? undefined : addressOfWord(call, textOption(call, 'payee'));
  const wallet = await walletOf(call);
  const subnet = await subnetOf(wallet.client, where);
  const until = untilOption(call, '7d');
  const lane = laneOption(call);
  const status = await order(call, {
    wallet,
    subnet: subnet.id,
    order: { kind: 'set-aside', lane, amount: value, until, payee },
  });
  call.output.result({ ok: true, subnet: toHex(subnet.id), lane, amount: String(value), until, ...status }, [
    `${itc(value)} are set aside in lane ${lane} until ${new Date(until).toISOString()}: ${levelLine(status)}`,
    payee === undefined
      ? 'for anybody: whoever is handed a voucher trusts that no other one empties the lane first'
      : `for ${formatAddress(payee)} alone: such a voucher is certain offline`,
  ]);
  return 0;
}

/** Needs no network beyond the chain's id, which a device holds. */
async function write(call: Call, words: readonly string[]): Promise<number> {
  const [where, whom, text, ...rest] = words;
  noMore(rest);
  const value = amountOf(text);
  const to = addressOfWord(call, whom);
  const wallet = await walletOf(call);
  const subnet = await subnetOf(wallet.client, where);
  const expiresAt = untilOption(call, '6d');
  const signed = await buildOrder({
    chain: wallet.chain,
    subnet: subnet.id,
    signer: wallet.signer,
    sequence: integerOption(call, 'number', 1, { min: 1, max: Number.MAX_SAFE_INTEGER }),
    order: { kind: 'voucher', lane: laneOption(call), to, amount: value, expiresAt },
  });
  const note = NOTE_PREFIX + toBase64Url(signed.bytes);
  call.output.result({ ok: true, voucher: note, to: formatAddress(to), amount: String(value), expiresAt }, [
    note,
  ]);
  return 0;
}

function noteBytes(text: string | undefined): Uint8Array {
  const bytes =
    text?.startsWith(NOTE_PREFIX) === true ? fromBase64Url(text.slice(NOTE_PREFIX.length)) : undefined;
  if (bytes?.ok !== true) throw new UsageError(`expected a voucher: a text that begins with ${NOTE_PREFIX}`);
  return bytes.value;
}

async function read(call: Call, words: readonly string[]): Promise<number> {
  const [where, text, ...rest] = words;
  noMore(rest);
  const bytes = noteBytes(text);
  const client = clientOf(call);
  const subnet = await subnetOf(client, where);
  const { chain } = await client.genesis();
  const note = readVoucherNote({ chain, subnet: subnet.id, verify: verifySignature }, bytes);
  if (!note.ok) throw new LedgerError(note.code, note.message);
  const { from, to, lane, number, amount: value, expiresAt } = note.value;
  call.output.result(
    {
      ok: true,
      from: formatAddress(from),
      to: formatAddress(to),
      lane,
      number,
      amount: String(value),
      expiresAt,
    },
    [
      `${itc(value)} from ${formatAddress(from)} to ${formatAddress(to)}, number ${number} of lane ${lane}`,
      `until ${new Date(expiresAt).toISOString()}; whether it is covered only the subnet knows`,
    ],
  );
  return 0;
}

async function cash(call: Call, words: readonly string[]): Promise<number> {
  const [where, text, ...rest] = words;
  noMore(rest);
  const bytes = noteBytes(text);
  const client = clientOf(call);
  const subnet = await subnetOf(client, where);
  const status = await settle(call, client, subnet.id, await client.sendOrder(subnet.id, { bytes }));
  call.output.result({ ok: true, subnet: toHex(subnet.id), ...status }, [
    `cashed in ${subnet.name}: ${levelLine(status)}`,
  ]);
  return 0;
}

async function release(call: Call, words: readonly string[]): Promise<number> {
  const [where, ...rest] = words;
  noMore(rest);
  const wallet = await walletOf(call);
  const subnet = await subnetOf(wallet.client, where);
  const lane = laneOption(call);
  const status = await order(call, { wallet, subnet: subnet.id, order: { kind: 'release', lane } });
  call.output.result({ ok: true, subnet: toHex(subnet.id), lane, ...status }, [
    `what was left in lane ${lane} is back: ${levelLine(status)}`,
  ]);
  return 0;
}
