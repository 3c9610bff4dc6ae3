import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hashTagged, type Hash } from '@itc/core/crypto/hash.js';
import { asAddress, formatAddress, type Address } from '@itc/core/ledger/address.js';
import { amount, height, millis } from '@itc/core/ledger/ids.js';
import type { Receipt } from '@itc/core/ledger/receipt.js';
import type { LedgerEvent } from '@itc/core/state/events.js';
import { MemoryTables } from '../storage/memory-tables.ts';
import { EventLog, type LoggedBlock, type PlacedEntry } from './event-log.ts';

const someone = (n: number): Address => asAddress(hashTagged('address', Uint8Array.of(n)));
const idOf = (at: number, n: number): Hash => hashTagged('transaction', Uint8Array.of(at, n));

interface Drawn {
  readonly from: number;
  readonly to: number;
  readonly ok: boolean;
}

function blockOf(at: number, drawn: readonly Drawn[]): LoggedBlock {
  const receipts = drawn.map(({ from, ok }, index): Receipt => ({
    transaction: idOf(at, index),
    account: someone(from),
    height: height(at),
    index,
    kind: 'transfer',
    fee: amount(7n),
    outcome: ok ? { ok: true } : { ok: false, code: 'transaction.balance', message: 'too little' },
  }));
  const events = drawn.flatMap(({ from, to, ok }, index): LedgerEvent[] =>
    ok
      ? [
          {
            kind: 'transferred',
            from: someone(from),
            to: someone(to),
            amount: amount(5n),
            height: height(at),
            at: millis(1000 * at),
            transaction: idOf(at, index),
            index,
          },
        ]
      : [],
  );
  const senders = drawn.map(({ from }) => ({ sender: someone(from) }));
  return { height: height(at), time: 1000 * at, receipts, events, senders };
}

const drawnBlocks = fc.array(
  fc.array(fc.record({ from: fc.nat(3), to: fc.nat(3), ok: fc.boolean() }), { maxLength: 4 }),
  { maxLength: 8 },
);

async function written(blocks: readonly LoggedBlock[]): Promise<{ tables: MemoryTables; log: EventLog }> {
  const tables = new MemoryTables();
  const log = new EventLog(tables);
  for (const block of blocks) await tables.commit(log.changesOf(block));
  return { tables, log };
}

const placeOf = ({ height: at, position }: PlacedEntry): string => `${at}.${position}`;

test('NODE-21.1: the log tells of everybody what they sent, were sent or were refused, newest first, page by page', async () => {
  await fc.assert(
    fc.asyncProperty(drawnBlocks, fc.integer({ min: 1, max: 3 }), async (drawn, limit) => {
      const { log } = await written(drawn.map((block, i) => blockOf(i + 1, block)));
      for (const who of [0, 1, 2, 3]) {
        const expected = drawn
          .flatMap((block, i) =>
            block.flatMap(({ from, to, ok }, n) =>
              from === who || (ok && to === who) ? [`${i + 1}.${n}`] : [],
            ),
          )
          .reverse();
        const told: string[] = [];
        for (let before: PlacedEntry | undefined; ;) {
          const page = log.find({ about: someone(who), limit, ...(before && { before }) });
          told.push(...page.map(placeOf));
          if (page.length < limit) break;
          before = page.at(-1);
        }
        assert.deepEqual(told, expected);
      }
    }),
    { numRuns: 40 },
  );
});

test('NODE-21.2: an entry says what happened, who paid, and why not', async () => {
  const { log } = await written([
    blockOf(1, [
      { from: 0, to: 1, ok: true },
      { from: 0, to: 2, ok: false },
    ]),
  ]);
  const [refused, sent] = log.find({ about: someone(0), limit: 9 });
  assert.deepEqual(refused?.refused, { code: 'transaction.balance', message: 'too little' });
  assert.equal(refused?.event, undefined);
  assert.deepEqual(sent?.event, {
    kind: 'transferred',
    from: formatAddress(someone(0)),
    to: formatAddress(someone(1)),
    amount: '5',
  });
  assert.equal(sent?.fee, '7');
  assert.deepEqual(log.find({ about: someone(2), limit: 9 }), []);
});

test('NODE-21.3: attack name as address: text that a sender chooses concerns nobody', async () => {
  const { log } = await written([
    {
      ...blockOf(1, [{ from: 0, to: 1, ok: true }]),
      events: [
        {
          kind: 'maker-registered',
          maker: someone(0),
          name: formatAddress(someone(3)),
          height: height(1),
          at: millis(1),
          transaction: idOf(1, 0),
          index: 0,
        },
      ],
    },
  ]);
  assert.deepEqual(log.find({ about: someone(3), limit: 9 }), []);
  assert.equal(log.find({ about: someone(0), limit: 9 }).length, 1);
});

test('NODE-21.4: what goes with its block leaves nothing behind', async () => {
  await fc.assert(
    fc.asyncProperty(drawnBlocks, async (drawn) => {
      const { tables, log } = await written(drawn.map((block, i) => blockOf(i + 1, block)));
      for (let at = 1; at <= drawn.length; at += 1) await tables.commit(log.removalOf(at));
      assert.equal(tables.table('event-log').count(), 0);
      assert.equal(tables.table('event-index').count(), 0);
    }),
    { numRuns: 30 },
  );
});
