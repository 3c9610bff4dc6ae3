/** `itc replay`: recorded sensor data, sent through a gateway's broker by signing devices, followed until it is final. */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { DeviceClient } from '@itc/edge/device/device-client.js';
import { SILENT } from '@itc/edge/log.js';
import { gatewayPlaces } from '../devnet/home.ts';
import { ownDevices, type Wanted } from '../devnet/bootstrap.ts';
import { layoutOf, readDevnet } from '../devnet/layout.ts';
import { keyNamed } from '../keys.ts';
import { FinalityWatch } from '../replay/finality-watch.ts';
import { loadRecordings, packRecording, type Packed } from '../replay/recording.ts';
import { integerOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { formatCount, formatDuration } from '../terminal/output.ts';
import { openClient } from '../wallet.ts';

/** Payloads that are not final, over all devices: more would only wait in the gateway. */
const OPEN_MAX = 2_000;
/** Of one file. */
const READINGS_MAX = 1_000_000_000;
/** A payload acknowledged but not final after this long is sent again: its gateway may have died with it. */
const RESEND_MS = 15_000;

interface Sender {
  readonly client: DeviceClient;
  readonly payloads: readonly Packed[];
}

export const replay: Command = {
  name: 'replay',
  help: `itc replay FOLDER [OPTIONS]

FOLDER holds files NAME.csv of lines "UNIX seconds <tab> value". Each file becomes a device with a key of its own, owned by
the devnet's owner, that signs its readings and sends them over MQTT. Ends when every reading is final on the main
chain. Running it again sends the same signed payloads: nothing is counted twice.

Options:
  --chunk N      readings in one signed payload, 1 to 128 (default 32)
  --window N     payloads under way at a time, 1 to 20000 (default ${OPEN_MAX})
  --limit N      readings of each file, in whole payloads (default all)
  --timeout S    give up when nothing has become final for so long (default 180)`,
  options: {
    chunk: { type: 'string' },
    window: { type: 'string' },
    limit: { type: 'string' },
    timeout: { type: 'string' },
  },
  run: async (call) => run(call),
};

async function run(call: Call): Promise<number> {
  const [folder, ...rest] = call.arguments;
  if (folder === undefined || rest.length > 0) throw new UsageError('expected one folder');
  const chunk = integerOption(call, 'chunk', 32, { min: 1, max: 128 });
  const window = integerOption(call, 'window', OPEN_MAX, { min: 1, max: 20_000 });
  // A payload always holds the same readings under the same number; a part of one would be another in its place.
  const given = integerOption(call, 'limit', READINGS_MAX, { min: 1, max: READINGS_MAX });
  const limit = Math.max(chunk, wholeChunks(given, chunk));
  const patienceMs = integerOption(call, 'timeout', 180, { min: 1, max: 86_400 }) * 1_000;
  const layout = layoutOf(call.dataDir);
  const network = readDevnet(layout);
  if (network === undefined)
    throw new LedgerError('not-found', `no devnet in ${call.dataDir}; start one with: npm start`);
  const { output } = call;
  const recordings = loadRecordings(folder, limit);
  const { chain } = await openClient(call.api).genesis();
  const wanted: Wanted[] = [];
  for (const { name } of recordings)
    wanted.push({ name: deviceName(name), kind: 'sensor', keys: await keyNamed(layout, deviceName(name)) });
  await ownDevices(layout, { ...network, api: call.api }, wanted, (line) => output.note(line));

  const places = (await gatewayPlaces(layout, network)).map(({ url, keys }) => ({
    url,
    address: keys.address,
  }));
  const signing = output.progress('Signing ', recordings.length);
  const senders: Sender[] = [];
  for (const [i, recording] of recordings.entries()) {
    const { keys } = wanted[i] as Wanted;
    const gateways = [...places.slice(i % places.length), ...places.slice(0, i % places.length)];
    senders.push({
      payloads: packRecording(chain, keys, recording, chunk),
      client: new DeviceClient({
        chain,
        signer: keys,
        gateways,
        work: WORK,
        random: Math.random,
        log: SILENT,
      }),
    });
    signing.update(i + 1);
    // Signing is synchronous; the bar is drawn in between.
    await new Promise((resolve) => setImmediate(resolve));
  }
  signing.end();

  const total = senders.reduce(
    (sum, { payloads }) => sum + payloads.reduce((count, { readings }) => count + readings, 0),
    0,
  );
  const watch = new FinalityWatch(openClient(call.api));
  const known = await watch.alreadyKnown(senders.flatMap(({ payloads }) => payloads.map(({ id }) => id)));
  const result = await send({ call, senders, total, window, patienceMs, watch, known });
  return result.sent === result.final ? 0 : 1;
}

function wholeChunks(readings: number, chunk: number): number {
  return readings === READINGS_MAX ? readings : readings - (readings % chunk);
}

/** A replay is in a hurry, and runs on more than a chip. */
const WORK = { bitsMax: 22, sliceMs: 20, attemptsMax: 8 } as const;

function deviceName(recording: string): string {
  return `replay-${recording.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`.slice(0, 60);
}

async function send(job: {
  readonly call: Call;
  readonly senders: readonly Sender[];
  readonly total: number;
  readonly window: number;
  readonly patienceMs: number;
  readonly watch: FinalityWatch;
  readonly known: ReadonlySet<string>;
}): Promise<{ readonly sent: number; readonly final: number }> {
  const { call, senders, total, window, patienceMs, watch, known } = job;
  const { output } = call;
  const bar = output.progress('Replaying', total);
  const started = performance.now();
  let sent = 0;
  let duplicates = 0;
  let refused = 0;
  const reasons = new Map<string, number>();
  const draw = (): void => {
    const seconds = (performance.now() - started) / 1_000;
    bar.update(
      watch.final,
      `${formatCount(watch.final / Math.max(0.001, seconds))} readings/s  ${formatCount(sent)} sent`,
    );
  };
  for (const { client } of senders) client.start();
  watch.start(draw);
  try {
    const one = async (client: DeviceClient, payload: Packed): Promise<void> => {
      const sentAt = Date.now();
      const delivered = await client.resend(payload.bytes, false);
      sent += payload.readings;
      if (delivered.code !== undefined) {
        refused += payload.readings;
        reasons.set(delivered.code, (reasons.get(delivered.code) ?? 0) + 1);
        return;
      }
      if (known.has(toHex(payload.id))) duplicates += payload.readings;
      await untilFinal(watch, client, payload, sentAt);
    };
    const lanes = senders.map(async ({ client, payloads }) => {
      const share = Math.max(1, Math.floor(window / senders.length));
      const under = new Set<Promise<void>>();
      for (const payload of payloads) {
        while (under.size >= share) await Promise.race(under);
        const job = one(client, payload).finally(() => under.delete(job));
        under.add(job);
      }
      await Promise.all(under);
    });
    await Promise.race([Promise.all(lanes), stalled(watch, patienceMs)]);
  } finally {
    draw();
    bar.end();
    watch.stop();
    await Promise.all(senders.map(({ client }) => client.stop()));
  }
  const seconds = (performance.now() - started) / 1_000;
  const finality = watch.latencies();
  const answer = {
    ok: sent === watch.final && sent === total,
    sent,
    final: watch.final,
    readingsPerSecond: Math.round((watch.final / seconds) * 10) / 10,
    finalityMs: finality,
    duplicates,
    refused,
    reasons: Object.fromEntries(reasons),
    payloads: senders.reduce((sum, { payloads }) => sum + payloads.length, 0),
    devices: senders.length,
    seconds: Math.round(seconds * 10) / 10,
  };
  output.result(answer, [
    `sent        ${formatCount(sent)} readings of ${senders.length} devices in ${formatCount(answer.payloads)} signed payloads`,
    `final       ${formatCount(watch.final)}${sent === watch.final ? '  (all of them)' : ''}`,
    `rate        ${formatCount(answer.readingsPerSecond)} readings/s over ${formatDuration(seconds * 1_000)}`,
    `finality    p50 ${formatDuration(finality.p50)}  p99 ${formatDuration(finality.p99)}`,
    `duplicates  ${formatCount(duplicates)}${duplicates > 0 ? '  (known from before; counted once)' : ''}`,
    `refused     ${formatCount(refused)}${[...reasons].map(([code, count]) => `  ${code} ×${count}`).join('')}`,
  ]);
  return { sent, final: watch.final };
}

async function untilFinal(
  watch: FinalityWatch,
  client: DeviceClient,
  payload: Packed,
  sentAt: number,
): Promise<void> {
  for (;;) {
    const final = await watch.wait({
      id: payload.id as Hash,
      readings: payload.readings,
      sentAt,
      timeoutMs: RESEND_MS,
    });
    if (final) return;
    // Perhaps to another gateway than before: the client has changed over when its own was gone.
    await client.resend(payload.bytes, false);
  }
}

/** Rejects when nothing has become final for `patienceMs`. */
async function stalled(watch: FinalityWatch, patienceMs: number): Promise<never> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 500).unref());
    if (watch.idleMs > patienceMs) {
      throw new LedgerError(
        'peer.timeout',
        `nothing has become final for ${Math.round(patienceMs / 1_000)} s; see: itc status --why`,
      );
    }
  }
}
