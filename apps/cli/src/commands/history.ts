/** `itc history`: what the log of a node tells about anything that has an id. */
import { existsSync } from 'node:fs';
import { formatAddress, parseAddress } from '@itc/core/ledger/address.js';
import { ACTIONS } from '@itc/core/ledger/bodies/access.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { formatItc } from '@itc/core/ledger/ids.js';
import type { LogEntry } from '@itc/client/statement.js';
import { layoutOf } from '../devnet/layout.ts';
import { keyPath } from '../keys.ts';
import { localNames } from '../names.ts';
import { accountOf } from '../options.ts';
import { integerOption, textOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { table } from '../terminal/output.ts';
import { openClient } from '../wallet.ts';

interface Page {
  readonly entries: readonly LogEntry[];
  /** Absent on the last one. */
  readonly next?: string;
}

const PAGE_MAX = 200;
/** Asked for with `--all`: what is older is asked for by its cursor. */
const ALL_MAX = 100_000;
/** Fields of events that are not worth a line's room. */
const LEFT_OUT = new Set(['kind', 'moves', 'terms']);
/** A greater number is a time: of 2001, in milliseconds. */
const EARLIEST_MS = 1e12;

export const history: Command = {
  name: 'history',
  help: `itc history ID [--limit N] [--before CURSOR] [--all]

What happened to an account, a device, a subnet or anything else that has an id (a batch, a rental, a sponsorship), newest
first: what it sent, also what was refused; what others did; what time brought. ID is an address, 64 hex digits, the name of
a key on this machine, or the name a device has at the gateway. Needs a node that keeps a log of events.

Options:
  --limit N          entries of the page (default 20, at most ${PAGE_MAX})
  --before CURSOR    the page that follows the one that ended with this cursor
  --all              page after page, to the beginning`,
  options: { limit: { type: 'string' }, before: { type: 'string' }, all: { type: 'boolean' } },
  run: async (call) => {
    const [word, ...rest] = call.arguments;
    if (word === undefined || rest.length > 0) throw new UsageError('expected one ID');
    const isAll = call.options['all'] === true;
    const limit = isAll ? PAGE_MAX : integerOption(call, 'limit', 20, { min: 1, max: PAGE_MAX });
    const about = await idOf(call, word);
    const client = openClient(call.api);
    const entries: LogEntry[] = [];
    let before = textOption(call, 'before');
    do {
      const page: Page = await client.get('/log', { about, limit, before });
      entries.push(...page.entries);
      before = page.next;
    } while (isAll && before !== undefined && entries.length < ALL_MAX);
    call.output.result({ about, entries, ...(before !== undefined && { next: before }) }, [
      ...(entries.length === 0
        ? ['nothing is told of it']
        : table(entries.map((entry) => row(entry, localNames(call.dataDir))))),
      ...(before === undefined ? [] : [`more: itc history ${word} --before ${before}`]),
    ]);
    return 0;
  },
};

async function idOf(call: Call, word: string): Promise<string> {
  if (/^[0-9a-f]{64}$/.test(word) || parseAddress(word).ok) return word;
  if (/^[\w.-]+$/.test(word) && existsSync(keyPath(layoutOf(call.dataDir), word)))
    return formatAddress(accountOf(call, word));
  try {
    return (await openClient(call.api).device(word)).address;
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'not-found')
      throw new LedgerError(
        'not-found',
        `${word} is no id, no key of this machine and no device of the gateway`,
      );
    throw error;
  }
}

function row(
  { height, time, event, refused, fee, sponsorship }: LogEntry,
  names: ReadonlyMap<string, string>,
): string[] {
  const what = refused === undefined ? (event?.kind ?? 'refused') : `refused: ${refused.code}`;
  const price =
    fee === undefined ? '' : `fee ${formatItc(BigInt(fee))}${sponsorship === undefined ? '' : ', sponsored'}`;
  return [new Date(time).toISOString(), `block ${height}`, what, price, fieldsOf(event, names)];
}

function fieldsOf(event: LogEntry['event'], names: ReadonlyMap<string, string>): string {
  if (event === undefined) return '';
  return Object.entries(event)
    .filter(([name]) => !LEFT_OUT.has(name))
    .flatMap(([name, value]) =>
      typeof value === 'string' || typeof value === 'number'
        ? [`${name} ${valueText(name, value, names)}`]
        : [],
    )
    .join('  ');
}

/** Times, amounts (decimal strings), actions and accounts as people write them. */
function valueText(name: string, value: string | number, names: ReadonlyMap<string, string>): string {
  if (name === 'actions' && typeof value === 'number') return actionNames(value);
  if (typeof value === 'number') return value > EARLIEST_MS ? new Date(value).toISOString() : String(value);
  if (/^\d+$/.test(value)) return `${formatItc(BigInt(value))} ITC`;
  return names.get(value) ?? shortened(value);
}

function actionNames(bits: number): string {
  const known = Object.entries(ACTIONS).filter(([, bit]) => (bits & bit) === bit);
  return known.map(([name]) => (name === 'onOff' ? 'on-off' : name)).join(', ') || 'none';
}

/** Hashes and addresses are told apart by their beginning and end. */
function shortened(text: string): string {
  return text.length > 32 ? `${text.slice(0, 8)}…${text.slice(-4)}` : text;
}
