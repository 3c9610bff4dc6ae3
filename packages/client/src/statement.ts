/**
 * Billing statements: what came to an account and left it in a period, with its reason, made of the log of events (spec
 * CLIENT-9). Sums are exact: opening balance and movements add up to the closing one, base unit by base unit.
 */
import { formatItc } from '@itc/core/ledger/ids.js';

/** What the log says of a transaction or of the end of a block; amounts are decimal text in base units. */
export interface LogEntry {
  /** Height, a dot, and the position among the entries of the block. */
  readonly cursor: string;
  readonly height: number;
  readonly time: number;
  readonly transaction?: string;
  readonly sender?: string;
  readonly fee?: string;
  readonly sponsorship?: string;
  readonly refused?: { readonly code: string; readonly message: string };
  readonly event?: { readonly kind: string; readonly [field: string]: unknown };
}

export interface StatementLine {
  /** Milliseconds, of the block. */
  readonly time: number;
  readonly height: number;
  readonly transaction?: string;
  readonly reason: Reason;
  /** Of the event; `refused` for the fee of what the ledger did not do. */
  readonly kind: string;
  /** Base units; below 0 what was paid. */
  readonly change: bigint;
  /** After it. */
  readonly balance: bigint;
  /** The other side, where there is one. */
  readonly other?: string;
  readonly device?: string;
  /** Who paid instead, and how much: the balance did not change. A sponsor's own budget, where the reason is another. */
  readonly sponsorship?: string;
  readonly sponsored?: bigint;
}

export type Reason =
  | 'fee'
  | 'sponsored'
  | 'transfer'
  | 'reward'
  | 'bond'
  | 'stake'
  | 'deposit held'
  | 'deposit returned'
  | 'account opened'
  | 'sponsorship'
  | 'stream'
  | 'rent'
  | 'sale'
  | 'built-in ITC'
  | 'subnet'
  | 'other';

export interface Statement {
  readonly account: string;
  /** Of the first and behind the last moment, in milliseconds. */
  readonly from: number;
  readonly to: number;
  readonly opening: bigint;
  readonly closing: bigint;
  /** Oldest first. */
  readonly lines: readonly StatementLine[];
  /** By reason; sums of `change`, without what a sponsor paid. */
  readonly totals: Readonly<Partial<Record<Reason, bigint>>>;
  /** Fees that sponsors paid for the account. */
  readonly sponsored: bigint;
  /** Deposits of records held in the period less those that came back. */
  readonly deposits: bigint;
}

export interface StatementOptions {
  readonly account: string;
  readonly from: number;
  readonly to: number;
  /** Now, in base units: what all entries have led to. */
  readonly balance: bigint;
  /** All that the log has about the account since `from`, in any order. */
  readonly entries: readonly LogEntry[];
}

type Change = Omit<StatementLine, 'balance' | 'time' | 'height' | 'transaction'>;

export function statement(o: StatementOptions): Statement {
  const { account, from, to } = o;
  const ordered = o.entries
    .filter(({ time }) => time >= from)
    .toSorted((a, b) => a.height - b.height || positionOf(a) - positionOf(b))
    .map((entry) => ({ entry, changes: changesOf(account, entry) }));
  const sum = (all: typeof ordered): bigint =>
    all.reduce((total, { changes }) => changes.reduce((rest, { change }) => rest + change, total), 0n);
  const after = ordered.filter(({ entry }) => entry.time >= to);
  const during = ordered.filter(({ entry }) => entry.time < to);
  const closing = o.balance - sum(after);
  const opening = closing - sum(during);
  let balance = opening;
  const lines = during.flatMap(({ entry, changes }) =>
    changes.map((change): StatementLine => {
      balance += change.change;
      const { time, height, transaction } = entry;
      return { time, height, ...(transaction !== undefined && { transaction }), ...change, balance };
    }),
  );
  const totals: Partial<Record<Reason, bigint>> = {};
  for (const { reason, change } of lines) if (change !== 0n) totals[reason] = (totals[reason] ?? 0n) + change;
  return {
    account,
    from,
    to,
    opening,
    closing,
    lines,
    totals,
    sponsored: lines.reduce(
      (total, { reason, sponsored = 0n }) => (reason === 'sponsored' ? total + sponsored : total),
      0n,
    ),
    deposits: -((totals['deposit held'] ?? 0n) + (totals['deposit returned'] ?? 0n)),
  };
}

function positionOf({ cursor }: LogEntry): number {
  return Number(cursor.split('.')[1] ?? 0);
}

/** Of one entry for one account: the fee first, then what the event moved. */
function changesOf(account: string, entry: LogEntry): readonly Change[] {
  const { sender, fee = '0', sponsorship, event } = entry;
  const changes: Change[] = [];
  const kind = event?.kind ?? 'refused';
  const device = textOf(event?.['device']);
  const about = { kind, ...(device !== undefined && { device }) };
  if (sender === account && BigInt(fee) > 0n)
    changes.push(
      sponsorship === undefined
        ? { ...about, reason: 'fee', change: -BigInt(fee) }
        : { ...about, reason: 'sponsored', change: 0n, sponsorship, sponsored: BigInt(fee) },
    );
  if (event !== undefined) changes.push(...told(account, event).map((change) => ({ ...about, ...change })));
  return changes;
}

type Told = Pick<Change, 'reason' | 'change' | 'other' | 'sponsorship' | 'sponsored'>;

function told(account: string, event: NonNullable<LogEntry['event']>): readonly Told[] {
  const { kind } = event;
  if (kind === 'transferred') return between(account, event, event);
  if (kind === 'distributed')
    return listOf(event['outputs']).flatMap((output) => between(account, event, output));
  if (kind === 'rewards-paid')
    return listOf(event['shares'])
      .filter(({ validator }) => validator === account)
      .map((share): Told => ({ reason: 'reward', change: amountOf(share['amount']) }));
  const moves = listOf(event['moves'])
    .filter((move) => move['account'] === account)
    .map((move) => moved(kind, move));
  if (kind === 'bond-released' && event['validator'] === account)
    return [{ reason: 'bond', change: amountOf(event['amount']) }, ...moves];
  return moves;
}

type Fields = Readonly<Record<string, unknown>>;

/** A transfer to oneself comes and goes. */
function between(account: string, { from }: Fields, { to, amount }: Fields): readonly Told[] {
  const change = amountOf(amount);
  const [payer, payee] = [textOf(from), textOf(to)];
  return [
    ...(payer === account
      ? [{ reason: 'transfer' as const, change: -change, ...(payee !== undefined && { other: payee }) }]
      : []),
    ...(payee === account
      ? [{ reason: 'transfer' as const, change, ...(payer !== undefined && { other: payer }) }]
      : []),
  ];
}

function moved(eventKind: string, move: Fields): Told {
  const amount = amountOf(move['amount']);
  const sponsorship = textOf(move['sponsorship']);
  const kind = textOf(move['kind']) ?? '';
  const reason = MOVE_REASONS[kind] ?? reasonOf(eventKind);
  if (sponsorship !== undefined) return { reason, change: 0n, sponsorship, sponsored: amount };
  const comes = kind === 'received' || kind === 'deposit-returned';
  return { reason, change: comes ? amount : -amount };
}

const MOVE_REASONS: Readonly<Record<string, Reason>> = {
  'deposit-held': 'deposit held',
  'deposit-returned': 'deposit returned',
  'account-opened': 'account opened',
};

/** By how the kind of an event begins. */
const EVENT_REASONS: readonly (readonly [prefix: string, reason: Reason])[] = [
  ['sponsor', 'sponsorship'],
  ['stream', 'stream'],
  ['rent', 'rent'],
  ['damage', 'rent'],
  ['device-transferred', 'sale'],
  ['device', 'built-in ITC'],
  ['batch', 'built-in ITC'],
  ['validator', 'bond'],
  ['member', 'stake'],
  ['stake', 'stake'],
  ['subnet-created', 'stake'],
  ['deposited', 'subnet'],
  ['withdrawn', 'subnet'],
];

function reasonOf(kind: string): Reason {
  return EVENT_REASONS.find(([prefix]) => kind.startsWith(prefix))?.[1] ?? 'other';
}

function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? (value as readonly Fields[]) : [];
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function amountOf(value: unknown): bigint {
  return typeof value === 'string' && /^\d+$/.test(value) ? BigInt(value) : 0n;
}

const COLUMNS = [
  'time',
  'height',
  'transaction',
  'reason',
  'kind',
  'change',
  'balance',
  'other',
  'device',
  'sponsorship',
  'sponsored',
] as const;

/** One line per movement between opening and closing balance; amounts in ITC. Fields hold no commas and need no quotes. */
export function statementCsv(made: Statement): string {
  const itc = (value: bigint): string => (value < 0n ? `-${formatItc(-value)}` : formatItc(value));
  const cell = (line: StatementLine, column: (typeof COLUMNS)[number]): string => {
    if (column === 'time') return new Date(line.time).toISOString();
    const value = line[column];
    return typeof value === 'bigint' ? itc(value) : String(value ?? '');
  };
  const bound = (reason: string, time: number, balance: bigint): string =>
    [new Date(time).toISOString(), '', '', reason, '', '', itc(balance), '', '', '', ''].join(',');
  return [
    COLUMNS.join(','),
    bound('opening balance', made.from, made.opening),
    ...made.lines.map((line) => COLUMNS.map((column) => cell(line, column)).join(',')),
    bound('closing balance', made.to, made.closing),
    '',
  ].join('\r\n');
}

/** The same as JSON: amounts are decimal text in base units. */
export function statementJson(made: Statement): string {
  return JSON.stringify(made, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value), 2);
}
