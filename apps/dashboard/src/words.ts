/** What the system's states mean, in words an owner or operator can act on. Pure. */
import { formatAbsolute, levelPercent } from './format.ts';
import type { Grant, PayloadStatus, Process, Status, SubnetState } from './wire.ts';

export type Tone = 'good' | 'warn' | 'bad' | 'idle';

export interface Sentence {
  readonly tone: Tone;
  readonly title: string;
  readonly detail: string;
}

function list(names: readonly string[]): string {
  if (names.length <= 1) return names.join('');
  return `${names.slice(0, -1).join(', ')} and ${names[names.length - 1]}`;
}

const ISO_TIME = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g;

/**
 * A node's reason as a sentence. A name at its head (`lamp-1`, `validator-2`) keeps its spelling; moments in
 * UTC become local time, as everywhere on the page.
 */
export function asSentence(text: string): string {
  const trimmed = text.trim().replace(ISO_TIME, (time) => formatAbsolute(Date.parse(time)).slice(0, 19));
  const named = /^\S*[-\d]/.test(trimmed);
  const capital = named ? trimmed : trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}

/** What the chain is called; a node that does not say it goes by its own name. */
export function chainName(status: Status | undefined): string | undefined {
  return status === undefined ? undefined : (status.chainName ?? status.name);
}

/** The one question of the overview: is it ready, and if not, why not. */
export function readiness(status: Status): Sentence {
  const { quorum, validators } = status;
  const missing = validators.filter((v) => !v.connected).map((v) => v.name ?? `validator ${v.index}`);
  if (!status.ready) {
    const why = status.reason ?? quorum.reason ?? 'the node gives no reason';
    return { tone: 'bad', title: 'Not ready', detail: asSentence(why) };
  }
  // Weight that may still go before blocks stop; compared with the lightest connected validator's.
  const spare = quorum.connected - quorum.strong;
  const lightest = Math.min(...validators.filter((v) => v.connected).map((v) => v.weight));
  const troubled = status.subnets.find((subnet) => isStuck(subnet, status.time));
  if (missing.length > 0) {
    const verb = missing.length === 1 ? 'is' : 'are';
    const rest =
      spare < lightest
        ? 'Blocks still become final, but one more failure would stop them.'
        : 'Blocks still become final.';
    return {
      tone: 'warn',
      title: 'Ready, with a fault',
      detail: `${list(missing)} ${verb} not connected. ${rest}`,
    };
  }
  if (troubled !== undefined)
    return {
      tone: 'warn',
      title: 'Ready, with a fault',
      detail: `Subnet ${troubled.name}: ${asSentence(troubled.reason ?? '')}`,
    };
  return {
    tone: 'good',
    title: 'Ready',
    detail: 'Every validator is connected and blocks become final.',
  };
}

export function quorumSentence(status: Status): string {
  const { connected, strong, total } = status.quorum;
  if (connected < strong)
    return `${connected} of ${total} weight connected; ${strong} needed, ${strong - connected} missing`;
  return `${connected} of ${total} weight connected; ${strong} needed`;
}

/** A checkpoint always waits for something for a moment; only a lasting wait is a fault. */
const SUBNET_PATIENCE_MS = 10_000;

function isStuck(subnet: SubnetState, now: number): boolean {
  return subnet.reason !== undefined && now - (subnet.checkpointTime ?? 0) > SUBNET_PATIENCE_MS;
}

/** `now` is the node's time. */
export function subnetSentence(subnet: SubnetState, now: number): Sentence {
  const away = subnet.members.filter((m) => !m.connected).map((m) => m.name ?? `member ${m.index}`);
  if (isStuck(subnet, now))
    return { tone: 'bad', title: subnet.name, detail: asSentence(subnet.reason ?? '') };
  if (away.length > 0)
    return {
      tone: 'warn',
      title: subnet.name,
      detail: `${list(away)} ${away.length === 1 ? 'is' : 'are'} not connected.`,
    };
  return { tone: 'good', title: subnet.name, detail: 'Every member is connected.' };
}

export function processTone(process: Process): Tone {
  switch (process.state) {
    case 'running':
      return process.reason === undefined ? 'good' : 'warn';
    case 'stopped':
      return 'idle';
    case 'exited':
      return 'bad';
  }
}

/** What to type is of no use beside a button that does it. */
const COMMAND_HINT = /; start it again with: .*$/;

export function processDetail(process: Process): string {
  const again =
    process.restarts === 0
      ? ''
      : `, restarted ${process.restarts === 1 ? 'once' : `${process.restarts} times`}`;
  if (process.reason !== undefined) return `${process.reason.replace(COMMAND_HINT, '')}${again}`;
  switch (process.state) {
    case 'running':
      return `running${again}`;
    case 'stopped':
      return `stopped on purpose${again}`;
    case 'exited':
      return `exited by itself${again}`;
  }
}

export const STATUS_ORDER: readonly PayloadStatus[] = ['received', 'in-dag', 'accepted', 'final'];

export const STATUS_WORDS: Readonly<
  Record<PayloadStatus, { readonly label: string; readonly meaning: string }>
> = {
  unknown: { label: 'Unknown', meaning: 'This node has not seen it.' },
  received: {
    label: 'Received',
    meaning: 'A gateway checked its signature and stored it. It is not shared yet.',
  },
  'in-dag': {
    label: 'In the DAG',
    meaning: 'It travels in an envelope of the subnet; other members have it.',
  },
  accepted: {
    label: 'Accepted',
    meaning: 'Two thirds of the stake approve it. It still awaits its checkpoint.',
  },
  final: { label: 'Final', meaning: 'Its checkpoint is in a certified block. Anyone can verify the proof.' },
};

const ACTION_WORDS: Readonly<Record<string, string>> = {
  onOff: 'switch on and off',
  level: 'dim',
  colour: 'set the colour',
  read: 'read',
};

/** What a grant allows: `switch on and off, dim up to 50 %, read`. */
export function grantWords(grant: Pick<Grant, 'actions' | 'levelMax'>): string {
  const limit = grant.levelMax < 254 ? ` up to ${levelPercent(grant.levelMax)} %` : '';
  return grant.actions
    .map((action) => `${ACTION_WORDS[action] ?? action}${action === 'level' ? limit : ''}`)
    .join(', ');
}

/** Why a device said no, and what to do about it. Reasons: core/ledger/command.ts REFUSALS. */
const REFUSAL_WORDS: Readonly<Record<string, { readonly what: string; readonly next: string }>> = {
  malformed: {
    what: 'The lamp could not read the command.',
    next: 'Its firmware may be older than this page. Update the lamp, then try again.',
  },
  'wrong-device': {
    what: 'The command was addressed to another device.',
    next: 'Reload the page and try again.',
  },
  signature: {
    what: 'The signature on the command did not verify.',
    next: 'Reload the page, then pair this browser again.',
  },
  expired: {
    what: 'The command came too late: its time limit had passed.',
    next: 'Try again. If it keeps happening, compare the clocks of this computer and the lamp.',
  },
  replayed: {
    what: 'The lamp has seen this command number before.',
    next: 'Try again; a fresh number is used each time.',
  },
  'not-granted': {
    what: 'The owner has not granted this browser’s key any right to this lamp.',
    next: 'Pair this browser, or ask the owner for a grant.',
  },
  'not-allowed': {
    what: 'The grant of this browser does not cover this action or this brightness.',
    next: 'Stay within the granted limit, or ask the owner to raise it.',
  },
  proof: {
    what: 'The proof of the right did not verify against the chain.',
    next: 'Try again; the gateway will fetch a fresh proof.',
  },
  'stale-proof': {
    what: 'The proof was older than the chain state the lamp already knows.',
    next: 'The gateway may be behind. Wait a moment and try again.',
  },
  stolen: {
    what: 'The lamp was reported stolen. It obeys nobody.',
    next: 'Its owner can report it found again.',
  },
  retired: {
    what: 'The lamp was retired by its owner.',
    next: 'It cannot come back; claim another one.',
  },
  'off-schedule': {
    what: 'The grant of this browser holds at other hours.',
    next: 'Try again within those hours, or ask the owner to change them.',
  },
  'used-up': {
    what: 'The grant of this browser was for a number of commands, and all were given.',
    next: 'Ask the owner for another grant.',
  },
  'not-begun': {
    what: 'The rental has not begun on the lamp, or has ended there.',
    next: 'Begin the rental first, or rent it again.',
  },
  'below-threshold': {
    what: 'The account has several keys, and this one is not enough alone.',
    next: 'Command it together with another holder: itc lamp draft.',
  },
};

export function refusalWords(reason: string): { readonly what: string; readonly next: string } {
  return (
    REFUSAL_WORDS[reason] ?? {
      what: `The lamp refused the command (${reason}).`,
      next: 'Try again, or look the reason up in the documentation.',
    }
  );
}

/** Where the name of the kind does not read well by itself: the others are told by it. */
const KIND_WORDS: Readonly<Record<string, string>> = {
  transfers: 'Transfers to many',
  'register-batch': 'Register device batch',
  claim: 'Claim device',
  'mark-device': 'Report on device',
  'recover-device': 'Ask for lost device',
  grant: 'Grant access',
  revoke: 'Revoke access',
  delegate: 'Pass access on',
  'leave-subnet': 'Ask stake back',
  'admit-member': 'Vote for member',
  checkpoint: 'Subnet checkpoint',
  deposit: 'Deposit into subnet',
  withdraw: 'Withdrawal from subnet',
  evidence: 'Evidence of fault',
  restart: 'Restart of validator',
  'co-sign': 'Register co-signing key',
  recover: 'Ask for other keys',
  rent: 'Rent device',
  'roll-out': 'Roll out firmware',
};

/** Kinds with words of their own; another one is told by its name. */
export const KNOWN_KINDS: readonly string[] = Object.keys(KIND_WORDS);

export function kindLabel(kind: string): string {
  return KIND_WORDS[kind] ?? kind.charAt(0).toUpperCase() + kind.slice(1).replace(/-/g, ' ');
}

/** The outcome of a transaction in a block. */
export function outcomeWords(item: {
  readonly ok: boolean;
  readonly code?: string;
  readonly message?: string;
}): {
  readonly tone: Tone;
  readonly text: string;
} {
  if (item.ok) return { tone: 'good', text: 'done' };
  const why = item.message === undefined ? '' : `: ${item.message}`;
  return { tone: 'bad', text: `refused, ${item.code ?? 'no code'}${why}` };
}
