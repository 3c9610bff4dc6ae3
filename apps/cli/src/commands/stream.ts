/** `itc stream`: payments that go on by themselves (spec STATE-20). */
import { toHex } from '@itc/core/bytes/hex.js';
import { formatItc, millis } from '@itc/core/ledger/ids.js';
import type { StreamStatus } from '@itc/client/api.js';
import { parseHash } from '@itc/client/client.js';
import { closeStream, fundStream, openStream, settleStream, streamId } from '@itc/client/streams.js';
import { openKey } from '../keys.ts';
import { accountOf, amountOption, duration } from '../options.ts';
import { integerOption, textOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { table } from '../terminal/output.ts';
import { openClient, Wallet } from '../wallet.ts';

export const stream: Command = {
  name: 'stream',
  help: `itc stream open TO --rate ITC [--per-minute] --funds ITC [OPTIONS]
itc stream settle ID
itc stream fund ID --funds ITC
itc stream close ID
itc stream list [ACCOUNT]

open     pays TO by the second (or minute) until the money or the time is used up; prints the ID
settle   pays what is due now, by either side
close    by who is paid: at once; by who pays: when the notice is over
list     streams an account pays or is paid by, with what is due

Options:
  --rate ITC          per second, or per minute with --per-minute
  --funds ITC         what is paid in
  --for DURATION      ends then at the latest
  --notice DURATION   from the payer's wish to end it until it ends (default none)
  --device DEVICE     what is paid for
  --number N          tells two streams of one payer apart (default: the time)
  --key NAME          who sends it (default owner)`,
  options: {
    key: { type: 'string' },
    rate: { type: 'string' },
    'per-minute': { type: 'boolean' },
    funds: { type: 'string' },
    for: { type: 'string' },
    notice: { type: 'string' },
    device: { type: 'string' },
    number: { type: 'string' },
  },
  run: async (call) => {
    const [verb, subject, ...rest] = call.arguments;
    if (rest.length > 0) throw new UsageError('expected one TO or ID');
    if (verb === 'list') return list(call, subject ?? textOption(call, 'key') ?? 'owner');
    if (subject === undefined)
      throw new UsageError('expected: open TO, settle ID, fund ID, close ID or list');
    const wallet = await Wallet.open(
      call.api,
      await openKey(call.dataDir, textOption(call, 'key') ?? 'owner'),
    );
    if (verb === 'open') return open(call, wallet, subject);
    const id = parseHash(subject);
    if (verb !== 'settle' && verb !== 'close' && verb !== 'fund')
      throw new UsageError('expected: open, settle, fund, close or list');
    const body =
      verb === 'settle'
        ? settleStream(id)
        : verb === 'close'
          ? closeStream(id)
          : fundStream(id, amountOption(call, 'funds'));
    const sent = await wallet.send(body);
    call.output.result({ ok: true, ...sent }, [`final in block ${sent.height}`]);
    return 0;
  },
};

async function open(call: Call, wallet: Wallet, to: string): Promise<number> {
  const number = integerOption(call, 'number', Date.now(), { min: 0, max: Number.MAX_SAFE_INTEGER });
  const lasts = textOption(call, 'for');
  const notice = textOption(call, 'notice');
  const device = textOption(call, 'device');
  const sent = await wallet.send(
    openStream({
      number,
      payee: accountOf(call, to),
      rate: amountOption(call, 'rate'),
      period: call.options['per-minute'] === true ? 60 : 1,
      amount: amountOption(call, 'funds'),
      ...(lasts !== undefined && { end: millis(Date.now() + duration(lasts, '--for')) }),
      ...(notice !== undefined && { notice: duration(notice, '--notice') }),
      ...(device !== undefined && { device: await wallet.device(device) }),
    }),
  );
  const id = toHex(streamId(wallet.signer.address, number));
  call.output.result({ ok: true, ...sent, stream: id }, [id, `final in block ${sent.height}`]);
  return 0;
}

async function list(call: Call, of: string): Promise<number> {
  const streams = await openClient(call.api).streams(accountOf(call, of));
  call.output.result({ streams }, streams.length === 0 ? ['no streams'] : table(streams.map(row)));
  return 0;
}

function row(one: StreamStatus): string[] {
  const itc = (text: string): string => formatItc(BigInt(text));
  return [
    one.stream,
    `${itc(one.rate)} ITC / ${one.period} s`,
    `due ${itc(one.due)}`,
    `paid ${itc(one.paid)} of ${itc(one.funded)}`,
    `${one.payer} → ${one.payee}`,
  ];
}
