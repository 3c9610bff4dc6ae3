/** What people tell a lamp, and what it answers, in words. */
import { parseHash, type Client } from '@itc/client/client.js';
import type { CommandStatus } from '@itc/client/api.js';
import { KELVIN_MAX, KELVIN_MIN, type Action } from '@itc/core/ledger/command.js';
import { levelOption } from './grant-terms.ts';
import { UsageError, type Call } from './terminal/command.ts';
import { formatDuration } from './terminal/output.ts';

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
  'below-threshold': 'it takes more keys of this account; begin with: itc lamp draft',
};

const USAGE = 'expected: on DEVICE, off DEVICE, level DEVICE LEVEL or colour DEVICE KELVIN';

export interface Order {
  /** As it was called. */
  readonly device: string;
  readonly action: Action;
}

export function parseOrder(words: readonly string[]): Order {
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

/** As a person would say it. */
export function actionWords(action: Action): string {
  switch (action.kind) {
    case 'on':
    case 'off':
    case 'begin':
    case 'end':
      return action.kind;
    case 'level':
      return `level ${action.level}`;
    case 'colour-temperature':
      return `colour ${action.kelvin}`;
  }
}

/** The command's state once it is final on the main chain, or as it was when the time was over. */
export async function untilFinal(
  client: Client,
  status: CommandStatus,
  timeoutMs: number,
): Promise<CommandStatus> {
  const deadline = performance.now() + Math.max(timeoutMs, 15_000);
  let latest = status;
  while (latest.stages.final === undefined && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    latest = await client.command(parseHash(latest.id));
  }
  return latest;
}

/** Prints the lamp's answer; the exit code. */
export function tell(call: Call, device: string, status: CommandStatus, roundTripMs: number): number {
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
