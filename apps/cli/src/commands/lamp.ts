/** `itc lamp`: switches a lamp. The lamp itself decides whether it obeys, and its signed answer is what is shown. */
import { parseHash } from '@itc/client/client.js';
import { KELVIN_MAX, KELVIN_MIN, type Action } from '@itc/core/ledger/command.js';
import type { CommandStatus } from '@itc/client/api.js';
import { integerOption, textOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { formatDuration } from '../terminal/output.ts';
import { levelOption } from '../grant-terms.ts';
import { Wallet } from '../wallet.ts';
import { openKey } from '../keys.ts';

/** Words for the lamp's reasons. */
const REFUSALS: Readonly<Record<string, string>> = {
  malformed: 'it could not read the command',
  'wrong-device': 'the command is for another device',
  signature: 'the signature does not verify',
  expired: 'the command or the grant is past its time',
  replayed: 'it has obeyed this command before',
  'not-granted': 'this key is neither the owner nor granted access',
  'not-allowed': 'the grant does not allow this',
  proof: 'the proof that came with the command does not hold',
  'stale-proof': 'the proof is older than what it knows',
  'not-begun': 'the rental has not begun, or has ended; begin it with: itc rent start',
  stolen: 'it was reported stolen',
  retired: 'it was retired',
  'off-schedule': 'the grant holds at other hours of the week',
  'used-up': 'the commands of the grant were given',
};

export const lamp: Command = {
  name: 'lamp',
  help: `itc lamp on DEVICE
itc lamp off DEVICE
itc lamp level DEVICE LEVEL      0 to 254, or as 60%
itc lamp colour DEVICE KELVIN    colour temperature, 1000 to 20000

Signs a command with your key and shows what the lamp answers. The lamp checks signature, ownership or grant, expiry and
replay itself. DEVICE is an address or the name the device has at the gateway.

Options:
  --key NAME        key to sign with (default owner)
  --timeout MS      how long to wait for the lamp (default 5000)
  --final           wait until the command is final on the main chain, too

Example:
  itc lamp level lamp-1 120 --key guest`,
  options: { key: { type: 'string' }, timeout: { type: 'string' }, final: { type: 'boolean' } },
  run: async (call) => {
    const { device, action } = parse(call.arguments);
    const timeoutMs = integerOption(call, 'timeout', 5_000, { min: 1, max: 600_000 });
    const wallet = await Wallet.open(
      call.api,
      await openKey(call.dataDir, textOption(call, 'key') ?? 'owner'),
    );
    const address = await wallet.device(device);
    const started = performance.now();
    let status = await wallet.command(address, action, timeoutMs);
    const roundTripMs = performance.now() - started;
    if (call.options['final'] === true) status = await untilFinal(wallet, status, timeoutMs);
    return tell(call, device, status, roundTripMs);
  },
};

const USAGE = 'expected: on DEVICE, off DEVICE, level DEVICE LEVEL or colour DEVICE KELVIN';

function parse(words: readonly string[]): { readonly device: string; readonly action: Action } {
  const [verb, device, value, ...rest] = words;
  if (device === undefined || rest.length > 0) throw new UsageError(USAGE);
  if ((verb === 'on' || verb === 'off') && value === undefined) return { device, action: { kind: verb } };
  if (verb === 'level') {
    const level = levelOption(value, 'level');
    if (level !== undefined) return { device, action: { kind: 'level', level } };
  }
  const kelvin = Number(value);
  if (verb !== 'colour' || !Number.isInteger(kelvin) || kelvin < KELVIN_MIN || kelvin > KELVIN_MAX)
    throw new UsageError(USAGE);
  return { device, action: { kind: 'colour-temperature', kelvin } };
}

async function untilFinal(wallet: Wallet, status: CommandStatus, timeoutMs: number): Promise<CommandStatus> {
  const deadline = performance.now() + Math.max(timeoutMs, 15_000);
  let latest = status;
  while (latest.stages.final === undefined && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    latest = await wallet.client.command(parseHash(latest.id));
  }
  return latest;
}

function tell(call: Call, device: string, status: CommandStatus, roundTripMs: number): number {
  const { outcome, state, stages } = status;
  const done = outcome?.kind === 'done';
  const answer = { ok: done, roundTripMs: Math.round(roundTripMs * 10) / 10, ...status };
  const { sent } = stages;
  const stage = (name: string, time: number | undefined): string => {
    if (time === undefined) return `  ${name.padEnd(13)}not yet`;
    return `  ${name.padEnd(13)}${sent === undefined || time <= sent ? 'at once' : `after ${formatDuration(time - sent)}`}`;
  };
  const head = done
    ? `${device} is ${state?.on === false ? 'off' : `on at level ${state?.level ?? '?'}${state?.kelvin === undefined ? '' : `, ${state.kelvin} K`}`}  (${formatDuration(roundTripMs)})`
    : outcome?.kind === 'refused'
      ? `${device} REFUSED: ${REFUSALS[outcome.reason] ?? outcome.reason} (${outcome.reason})`
      : `${device} has not answered: ${status.waiting ?? 'no word from it yet'}`;
  call.output.result(answer, [
    head,
    stage('sent', stages.sent),
    stage('acknowledged', stages.acknowledged),
    stage('in the DAG', stages.inDag),
    stage('final', stages.final),
  ]);
  return done ? 0 : 1;
}
