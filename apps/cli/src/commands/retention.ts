/** `itc retention`: what a gateway or member keeps of its subnet's past, until when, and for which devices longer. */
import { requestJson } from '@itc/client/http.js';
import { signRequest } from '@itc/client/requests.js';
import { formatAddress, parseAddress } from '@itc/core/ledger/address.js';
import { millis } from '@itc/core/ledger/ids.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { openKey } from '../keys.ts';
import { textOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { formatCount, table } from '../terminal/output.ts';
import { openClient, Wallet } from '../wallet.ts';

interface Retention {
  readonly bytesTarget?: number;
  readonly keepMs?: number;
  readonly bytes: Readonly<Record<'bodies' | 'rows' | 'pins' | 'log' | 'total', number>>;
  readonly oldest?: { readonly checkpoint: number; readonly time: number };
  readonly newest?: { readonly checkpoint: number; readonly time: number };
  readonly bytesPerDay?: number;
  readonly keptUntil?: number;
  readonly pins: readonly Pin[];
  readonly reason?: string;
}

interface Pin {
  readonly device: string;
  readonly until: number;
  readonly readings: number;
  readonly bytes: number;
  readonly missed: number;
}

const PATH = '/api/v1/retention';
const UNITS: Readonly<Record<string, number>> = { h: 3_600_000, d: 86_400_000, y: 365 * 86_400_000 };

export const retention: Command = {
  name: 'retention',
  help: `itc retention [DEVICE]
itc retention pin DEVICE --for DURATION | --until DATE [--key NAME]
itc retention unpin DEVICE [--key NAME]

What the node keeps of its subnet's past: bytes and target, the oldest checkpoint, until when a reading that becomes
final now is expected to be kept. A pinned device's readings are kept with their proofs until the date given, whatever
else is pruned. Its owner pins it, at each gateway that is to keep it (--api).

Options:
  --for DURATION   such as 12h, 30d, 2y
  --until DATE     such as 2030-01-31 or 2030-01-31T12:00Z
  --key NAME       signs the request (default owner)

Examples:
  itc retention pin sensor-1 --for 2y
  itc retention sensor-1`,
  options: { for: { type: 'string' }, until: { type: 'string' }, key: { type: 'string' } },
  run: async (call) => {
    const [verb, device, ...rest] = call.arguments;
    if (rest.length > 0) throw new UsageError('expected: nothing, DEVICE, pin DEVICE, or unpin DEVICE');
    if (verb === 'pin' || verb === 'unpin') {
      if (device === undefined) throw new UsageError('expected the name or address of a device');
      return change(call, device, verb === 'pin' ? dateOf(call) : 0);
    }
    if (device !== undefined) throw new UsageError(`expected pin or unpin, got ${String(verb)}`);
    return show(call, verb);
  },
};

function dateOf(call: Call): number {
  const [span, date] = [textOption(call, 'for'), textOption(call, 'until')];
  if ((span === undefined) === (date === undefined))
    throw new UsageError('either --for or --until is needed');
  if (date !== undefined) {
    const until = Date.parse(date);
    if (Number.isNaN(until)) throw new UsageError(`--until takes a date such as 2030-01-31, got ${date}`);
    return until;
  }
  const match = /^(\d{1,5})([hdy])$/.exec(span ?? '');
  if (match === null)
    throw new UsageError(`--for takes a duration such as 12h, 30d or 2y, got ${String(span)}`);
  return Date.now() + Number(match[1]) * (UNITS[match[2] as string] ?? 0);
}

async function change(call: Call, who: string, until: number): Promise<number> {
  const signer = await openKey(call.dataDir, textOption(call, 'key') ?? 'owner');
  const wallet = await Wallet.open(call.api, signer);
  const device = formatAddress(await wallet.device(who));
  const body = JSON.stringify({ device, until });
  const path = `${PATH}/pins`;
  const authorization = await signRequest({
    chain: wallet.chain,
    signer,
    method: 'POST',
    path,
    body: utf8Encode(body),
    time: millis(Date.now()),
  });
  const pin = (await requestJson(fetch, `${call.api}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization },
    body,
  })) as Pin;
  call.output.result(pin, [
    until === 0
      ? `${who} is pinned no longer; what was kept for it alone is gone`
      : `${who} is pinned until ${day(pin.until)}: ${formatCount(pin.readings)} readings are kept already`,
  ]);
  return 0;
}

async function show(call: Call, who: string | undefined): Promise<number> {
  const kept = (await requestJson(fetch, `${call.api}${PATH}`, { method: 'GET', headers: {} })) as Retention;
  if (who !== undefined) {
    const { address: device } = parseAddress(who).ok
      ? { address: who }
      : await openClient(call.api).device(who);
    const pin = kept.pins.find((one) => one.device === device);
    const until = pin?.until ?? kept.keptUntil;
    call.output.result(
      { device, ...(pin === undefined ? {} : { pin }), ...(until === undefined ? {} : { until }) },
      [
        pin === undefined
          ? `${who} is not pinned: what it sends now is kept ${untilText(kept.keptUntil)}`
          : `${who} is pinned until ${day(pin.until)}: ${formatCount(pin.readings)} readings with their proofs, ${bytes(pin.bytes)}`,
      ],
    );
    return 0;
  }
  const { oldest, newest, bytesTarget, keepMs, bytesPerDay, pins, reason } = kept;
  call.output.result(kept, [
    ...table([
      [
        'kept',
        `${bytes(kept.bytes.total)}${bytesTarget === undefined ? ', no target' : ` of ${bytes(bytesTarget)}`}`,
      ],
      ...(keepMs === undefined ? [] : [['at most', `${(keepMs / 86_400_000).toFixed(1)} days`]]),
      ...(oldest === undefined || newest === undefined
        ? []
        : [['checkpoints', `${oldest.checkpoint} (${day(oldest.time)}) to ${newest.checkpoint}`]]),
      ...(bytesPerDay === undefined ? [] : [['growth', `${bytes(bytesPerDay)} a day`]]),
      ['a reading of now', `is kept ${untilText(kept.keptUntil)}`],
    ]),
    ...(pins.length === 0 ? [] : ['', 'Pinned:']),
    ...table(
      pins.map((pin) => [
        pin.device,
        `until ${day(pin.until)}`,
        `${formatCount(pin.readings)} readings`,
        bytes(pin.bytes),
      ]),
    ),
    ...(reason === undefined ? [] : ['', reason]),
  ]);
  return reason === undefined ? 0 : 1;
}

const day = (time: number): string => new Date(time).toISOString().slice(0, 16).replace('T', ' ');

const untilText = (time: number | undefined): string =>
  time === undefined ? 'without end' : `until about ${day(time)}`;

function bytes(count: number): string {
  return count < 10 * 1_048_576
    ? `${(count / 1_024).toFixed(0)} KiB`
    : `${(count / 1_048_576).toFixed(1)} MiB`;
}
