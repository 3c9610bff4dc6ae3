/** The four honest stages of a command to a lamp, ready to draw. Pure. */
import { startedAt } from './live-state.ts';
import { asSentence } from './words.ts';
import type { CommandState } from './wire.ts';

export interface Stage {
  readonly key: 'sent' | 'acknowledged' | 'in-dag' | 'final';
  readonly label: string;
  readonly state: 'done' | 'active' | 'ahead' | 'refused';
  readonly at?: number;
  /** Milliseconds since the earliest stage; undefined for that one and for those still ahead. */
  readonly after?: number;
}

/** Past this the page says what it waits for, and why. */
export const PATIENCE_MS = 2_500;

export function commandStages(command: CommandState): Stage[] {
  const { stages, outcome } = command;
  const refused = outcome?.kind === 'refused';
  const start = startedAt(command) ?? 0;
  const rows: { key: Stage['key']; label: string; at: number | undefined }[] = [
    { key: 'sent', label: 'Sent', at: stages.sent },
    {
      key: 'acknowledged',
      label: refused ? 'Refused by lamp' : 'Acknowledged by lamp',
      at: stages.acknowledged,
    },
    { key: 'in-dag', label: 'In the DAG', at: stages.inDag },
    { key: 'final', label: 'Final', at: stages.final },
  ];
  // Acknowledgement and the way to finality are independent: a sleeping lamp's command can become final
  // before the lamp hears it. So every stage without a time is ahead, and only the first of them is active.
  const origin = rows.findIndex((row) => row.at === start);
  const first = rows.findIndex((row) => row.at === undefined);
  return rows.map(({ key, label, at }, i) => {
    if (at === undefined) return { key, label, state: i === first ? 'active' : 'ahead' };
    const state = refused && key === 'acknowledged' ? 'refused' : 'done';
    // A command for a lamp that is away reaches the DAG before it is sent to the lamp.
    return i === origin
      ? { key, label, state, at }
      : { key, label, state, at, after: Math.max(0, at - start) };
  });
}

/** The lamp has had its time to answer and did not. */
export function isLate(command: CommandState, now: number): boolean {
  return command.stages.acknowledged === undefined && now - (startedAt(command) ?? now) > PATIENCE_MS;
}

export function isSettled(command: CommandState): boolean {
  return command.stages.acknowledged !== undefined && command.stages.final !== undefined;
}

/** One line for assistive technology and for narrow places. */
export function commandSummary(command: CommandState, now: number): string {
  if (command.outcome?.kind === 'refused') return 'The lamp refused';
  if (command.stages.final !== undefined && command.stages.acknowledged !== undefined)
    return 'Done, and final on the chain';
  if (command.stages.acknowledged !== undefined) return 'The lamp did it; becoming final';
  if (isLate(command, now)) return asSentence(command.waiting ?? 'No answer from the lamp yet');
  return 'Waiting for the lamp';
}

const ACTION_LABELS: Readonly<Record<string, string>> = {
  on: 'Switch on',
  off: 'Switch off',
  begin: 'Begin the rental',
  end: 'End the rental',
};

export function actionLabel(action: CommandState['action']): string {
  if (action.kind === 'level')
    return `Brightness ${Math.max(action.level === 0 ? 0 : 1, Math.round(((action.level ?? 0) / 254) * 100))} %`;
  if (action.kind === 'colour-temperature') return `Colour ${action.kelvin ?? ''} K`;
  return ACTION_LABELS[action.kind] ?? action.kind;
}
