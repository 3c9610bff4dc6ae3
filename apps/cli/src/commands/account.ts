/** `itc account` and `itc transfer`: what an account has, where it came from and went, and paying somebody. */
import { createWriteStream } from 'node:fs';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import { formatItc, type Amount } from '@itc/core/ledger/ids.js';
import { statement, statementCsv, statementJson, type Statement } from '@itc/client/statement.js';
import { transfer as transferBody, transfers } from '@itc/client/transactions.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { openKey } from '../keys.ts';
import { namedAccount } from '../names.ts';
import { accountOf, itcAmount, momentOption } from '../options.ts';
import { textOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { table } from '../terminal/output.ts';
import { openClient, Wallet } from '../wallet.ts';

const signed = (value: bigint): string => (value < 0n ? `-${formatItc(-value)}` : formatItc(value));

export const account: Command = {
  name: 'account',
  help: `itc account [show] [ACCOUNT]
itc account statement [ACCOUNT] [--from DATE] [--to DATE] [--csv FILE] [--json]

ACCOUNT is an address or the name of a key on this machine (default owner).
show        balance, next nonces, and what it has left as deposits for records
statement   opening and closing balance of a period and every movement between, with its reason: fee, who paid it
            instead, deposit held or returned, transfer, rent, stream, sale. Needs a node that keeps a log of events.

Options:
  --from DATE   first moment (default 30 days ago)
  --to DATE     end (default now)
  --csv FILE    writes the statement as CSV, - for standard output`,
  options: { from: { type: 'string' }, to: { type: 'string' }, csv: { type: 'string' } },
  run: async (call) => {
    const [first, second, ...rest] = call.arguments;
    const isVerb = first === 'show' || first === 'statement';
    if (rest.length > 0 || (!isVerb && second !== undefined))
      throw new UsageError('expected: show or statement, ACCOUNT');
    const address = accountOf(call, (isVerb ? second : first) ?? 'owner');
    return first === 'statement' ? printStatement(call, address) : show(call, address);
  },
};

async function show(call: Call, address: Address): Promise<number> {
  const client = openClient(call.api);
  const { balance, nonces } = await client.account(address);
  // What is held is the sum of what was held and returned since the beginning, as far as the log goes.
  const made = await statementOf(call, address, 0, Number.MAX_SAFE_INTEGER).catch(() => undefined);
  const deposits = made?.deposits;
  const facts = [
    ['address', formatAddress(address)],
    ['balance', `${formatItc(balance)} ITC`],
    ...(deposits === undefined ? [] : [['held as deposits', `${signed(deposits)} ITC`]]),
    [
      'next nonces',
      Object.entries(nonces)
        .map(([lane, next]) => `${lane}: ${next}`)
        .join(', ') || 'none used',
    ],
  ];
  call.output.result(
    {
      address: formatAddress(address),
      balance: String(balance),
      nonces,
      ...(deposits !== undefined && { deposits: String(deposits) }),
    },
    table(facts),
  );
  return 0;
}

async function statementOf(call: Call, address: Address, from: number, to: number): Promise<Statement> {
  const client = openClient(call.api);
  for (let tries = 0; ; tries += 1) {
    const { balance } = await client.account(address);
    const entries = [];
    for await (const entry of client.history(address, from)) entries.push(entry);
    // A movement between the two answers would be missing from one of them.
    if ((await client.account(address)).balance === balance || tries >= 3)
      return statement({ account: formatAddress(address), from, to, balance, entries });
  }
}

async function printStatement(call: Call, address: Address): Promise<number> {
  const now = Date.now();
  const from = momentOption(call, 'from', now - 30 * 86_400_000);
  const to = momentOption(call, 'to', now + 1);
  if (from >= to) throw new UsageError('expected --from before --to');
  const made = await statementOf(call, address, from, to);
  const file = textOption(call, 'csv');
  if (file === '-') process.stdout.write(statementCsv(made));
  else if (file !== undefined) await written(file, statementCsv(made));
  if (file === '-') return 0;
  const lines = made.lines.map(({ time, reason, kind, change, balance, sponsored }) => [
    new Date(time).toISOString(),
    reason,
    kind,
    sponsored === undefined ? signed(change) : `(${formatItc(sponsored)} out of a sponsorship)`,
    signed(balance),
  ]);
  call.output.result(JSON.parse(statementJson(made)) as object, [
    `opening balance ${signed(made.opening)} ITC`,
    ...(lines.length === 0
      ? ['nothing came or went']
      : table([['TIME', 'REASON', 'KIND', 'CHANGE', 'BALANCE'], ...lines])),
    `closing balance ${signed(made.closing)} ITC; fees paid by sponsors ${formatItc(made.sponsored)} ITC`,
  ]);
  return 0;
}

function written(file: string, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = createWriteStream(file);
    stream.on('error', (cause) =>
      reject(new LedgerError('storage.failed', `${file}: ${cause.message}`, { file }, cause)),
    );
    stream.end(text, () => resolve());
  });
}

export const transfer: Command = {
  name: 'transfer',
  help: `itc transfer TO AMOUNT [TO AMOUNT …] [--key NAME]

Pays AMOUNT (in ITC, such as 1.5) to an address or to the account of a key on this machine; to many in one transaction, all
or none. An account that is not there yet costs the price of one besides.`,
  options: { key: { type: 'string' } },
  run: async (call) => {
    const outputs = await outputsIn(call);
    const [first] = outputs;
    if (first === undefined) throw new UsageError('expected: TO AMOUNT');
    const wallet = await Wallet.open(
      call.api,
      await openKey(call.dataDir, textOption(call, 'key') ?? 'owner'),
    );
    const body = outputs.length === 1 ? transferBody(first.to, first.amount) : transfers(outputs);
    const sent = await wallet.send(body);
    const paid = outputs.map((one) => ({ to: formatAddress(one.to), amount: String(one.amount) }));
    const answer = paid.length === 1 ? { ...sent, ...paid[0] } : { ...sent, outputs: paid };
    call.output.result({ ok: true, ...answer }, [
      ...outputs.map((one) => `${formatItc(one.amount)} ITC to ${one.name}`),
      `final in block ${sent.height}, fee ${formatItc(BigInt(sent.fee))} ITC`,
    ]);
    return 0;
  },
};

interface Payment {
  readonly to: Address;
  /** For people. */
  readonly name: string;
  readonly amount: Amount;
}

async function outputsIn(call: Call): Promise<readonly Payment[]> {
  const words = call.arguments;
  if (words.length === 0 || words.length % 2 !== 0)
    throw new UsageError('expected TO AMOUNT, such as: itc transfer alice 1.5');
  const outputs = [];
  for (let i = 0; i < words.length; i += 2) {
    const amount = itcAmount(words[i + 1], 'AMOUNT');
    const to = accountOf(call, words[i] as string);
    outputs.push({ to, name: namedAccount(words[i], to), amount });
  }
  return outputs;
}
