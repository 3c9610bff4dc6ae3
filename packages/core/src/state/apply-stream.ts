/** Streams: payments that go on by themselves (spec STATE-20). Checks come before the first write. */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { asHash, type Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import { streamId } from '../ledger/bodies/stream.ts';
import type { BodyOf } from '../ledger/body.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { amount, AMOUNT_MAX, millis, type Amount, type Millis } from '../ledger/ids.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import type { Expiry } from './collect-expired.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import { dropExpiring, setExpiring } from './expiry.ts';
import { STATE_LIMITS } from './limits.ts';
import { holdDeposit, NO_DEPOSIT } from './record-deposit.ts';
import { idBytes, idText } from './record-map.ts';
import { recordBytes } from './records.ts';
import type { Rules } from './rules.ts';
import { accrued, endsAt, type Stream } from './stream-record.ts';

export function streamFlaw(sender: Address, body: BodyOf<'open-stream'>): Flaw {
  if (equalBytes(body.payee, sender)) return refused('stream.malformed', 'nobody pays himself');
  if (body.rate === 0n || body.period === 0) return refused('stream.malformed', 'expected a rate above 0');
  if (body.amount === 0n) return refused('stream.malformed', 'expected an amount above 0');
  if (body.start >= body.end)
    return refused('stream.malformed', 'expected a stream that starts before it ends');
  if (body.notice > STATE_LIMITS.streamNoticeMaxMs)
    return refused('stream.malformed', `expected a notice of at most ${STATE_LIMITS.streamNoticeMaxMs} ms`);
  return undefined;
}

function applyOpen(
  draft: Draft,
  context: Pick<BlockContext, 'time'>,
  sender: Address,
  body: BodyOf<'open-stream'>,
): Result<LedgerEventBody, ErrorCode> {
  const { number, payee, rate, period, amount: funded, end, notice, device } = body;
  const stream = streamId(sender, number);
  const id = idText(stream);
  if (draft.get('stream', id) !== undefined)
    return refused('stream.exists', `the sender has a stream of number ${number}`);
  if (end <= context.time) return refused('stream.malformed', 'expected a stream that ends later');
  const record: Stream = {
    payer: sender,
    payee,
    rate,
    period,
    funded,
    paid: amount(0n),
    start: body.start > context.time ? body.start : context.time,
    end,
    notice,
    device,
    deposit: NO_DEPOSIT,
  };
  // The payee's account is paid for now: what a stream pays at its end nobody is there to pay for.
  const deposit = holdDeposit(draft, sender, recordBytes('stream', record), {
    value: funded,
    accounts: [payee],
  });
  if (!deposit.ok) return deposit;
  draft.debit(sender, funded);
  setExpiring(draft, 'stream', id, { ...record, deposit: deposit.value });
  return ok({
    kind: 'stream-opened',
    stream,
    from: sender,
    to: payee,
    amount: funded,
    rate,
    period,
    start: record.start,
    end: endsAt(record),
    device,
  });
}

function applyFund(
  draft: Draft,
  sender: Address,
  body: BodyOf<'fund-stream'>,
): Result<LedgerEventBody, ErrorCode> {
  const { stream, amount: value } = body;
  const id = idText(stream);
  const record = draft.get('stream', id);
  if (record === undefined) return refused('stream.unknown', 'no such stream');
  const { balance } = draft.account(sender);
  if (balance < value)
    return refused(
      'transaction.balance',
      `expected at least ${value} after the fee, the balance is ${balance}`,
    );
  const funded = record.funded + value;
  // Out of what the supply allows only over the years of one stream.
  if (funded > AMOUNT_MAX) return refused('stream.malformed', 'expected less in one stream');
  draft.debit(sender, value);
  const next = { ...record, funded: amount(funded) };
  setExpiring(draft, 'stream', id, next);
  return ok({
    kind: 'stream-funded',
    stream,
    from: sender,
    to: record.payee,
    amount: value,
    end: endsAt(next),
    device: record.device,
  });
}

function applySettle(
  draft: Draft,
  context: Pick<BlockContext, 'time'>,
  sender: Address,
  body: BodyOf<'settle-stream'>,
): Result<LedgerEventBody, ErrorCode> {
  const found = partyTo(draft, sender, body.stream);
  if (!found.ok) return found;
  const { payer, payee, device } = found.value;
  const id = idText(body.stream);
  const { paid, record } = settle(draft, found.value, context.time);
  setExpiring(draft, 'stream', id, record);
  return ok({ kind: 'stream-settled', stream: body.stream, from: payer, to: payee, amount: paid, device });
}

/** The payee may waive what would come; the payer promised it for as long as its notice runs. */
function applyClose(
  draft: Draft,
  context: Pick<BlockContext, 'time'>,
  sender: Address,
  body: BodyOf<'close-stream'>,
): Result<LedgerEventBody, ErrorCode> {
  const found = partyTo(draft, sender, body.stream);
  if (!found.ok) return found;
  const record = found.value;
  const { payer, payee, device } = record;
  const id = idText(body.stream);
  const isNotice = equalBytes(sender, payer) && record.notice > 0 && context.time < record.end;
  if (!isNotice) return ok(endStream(draft, context.time, id, record));
  const noticed = Math.max(context.time, record.start) + record.notice;
  const end = millis(Math.min(record.end, noticed));
  setExpiring(draft, 'stream', id, { ...record, end });
  const last = endsAt({ ...record, end });
  return ok({ kind: 'stream-closing', stream: body.stream, from: payer, to: payee, end: last, device });
}

/** Whoever is neither payer nor payee has no say. */
function partyTo(draft: Draft, sender: Address, stream: Hash): Result<Stream, ErrorCode> {
  const record = draft.get('stream', idText(stream));
  if (record === undefined) return refused('stream.unknown', 'no such stream');
  if (!equalBytes(record.payer, sender) && !equalBytes(record.payee, sender))
    return refused('stream.not-party', 'only payer and payee settle and close it');
  return ok(record);
}

/** What is due is paid; the record is for the caller to write. */
function settle(
  draft: Draft,
  record: Stream,
  at: Millis,
): { readonly paid: Amount; readonly record: Stream } {
  const total = accrued(record, at);
  // What was due once stays due: neither notice nor funding takes any of it back.
  const paid = amount(total > record.paid ? total - record.paid : 0n);
  if (paid > 0n) draft.credit(record.payee, paid);
  return { paid, record: { ...record, paid: amount(record.paid + paid) } };
}

/** The rest returns to the payer, whose record it was. */
function endStream(draft: Draft, at: Millis, id: string, before: Stream): LedgerEventBody {
  const { paid, record } = settle(draft, before, at);
  const rest = amount(record.funded - record.paid);
  if (rest > 0n) draft.credit(record.payer, rest);
  dropExpiring(draft, 'stream', id, record);
  return {
    kind: 'stream-ended',
    stream: asHash(idBytes(id)),
    from: record.payer,
    to: record.payee,
    amount: paid,
    rest,
    device: record.device,
  };
}

export const STREAM_EXPIRY: Expiry<'stream'> = {
  stream: (draft, context, id, record) => endStream(draft, context.time, id, record),
};

export const STREAM_RULES: Rules<'open-stream' | 'fund-stream' | 'settle-stream' | 'close-stream'> = {
  'open-stream': {
    flaw: (sender, body) => streamFlaw(sender, body),
    apply: (draft, context, { sender }, body) => applyOpen(draft, context, sender, body),
  },
  'fund-stream': { apply: (draft, _, { sender }, body) => applyFund(draft, sender, body) },
  'settle-stream': {
    apply: (draft, context, { sender }, body) => applySettle(draft, context, sender, body),
  },
  'close-stream': {
    apply: (draft, context, { sender }, body) => applyClose(draft, context, sender, body),
  },
};
