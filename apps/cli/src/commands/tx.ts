/** `itc tx`: what became of a transaction, a payload or an envelope, and why; transactions that several keys sign. */
import { parseHash } from '@itc/client/client.js';
import { requestJson } from '@itc/client/http.js';
import { runVerb, UsageError, type Call, type Command } from '../terminal/command.ts';
import { formatDuration, table } from '../terminal/output.ts';
import { openClient } from '../wallet.ts';
import { draft, send, SHARED_HELP, SHARED_OPTIONS, show, sign } from './tx-shared.ts';

interface Explained {
  readonly id: string;
  readonly kind: string;
  readonly state: string;
  readonly reason: string;
  readonly expectedMs?: number;
  readonly height?: number;
  readonly checkpoint?: number;
  readonly envelope?: string;
  readonly approvedBy?: readonly string[];
}

export const tx: Command = {
  name: 'tx',
  help: `itc tx explain ID
${SHARED_HELP}

ID is 64 hex digits: of a transaction, of a payload (the part of a reading's id before the colon), or of an envelope.
Tells where it stands (waiting, pending, lazy, unsolid, accepted, evicted, ignored, refused, final), why, and when it is
to be expected. Exit code 0 when something is known of it, 1 when nothing is.

Where several keys act for an account, one holder drafts what any other command would send, each holder signs the file, and
anybody sends it. Holders may sign offline and in any order; the key that drafts signs at once.

Options:
  --account ACCOUNT  whom it is for, where that is not the account of the key COMMAND names
  --lane N           of nonces, 0 to 15 (default 0): drafts of one lane are sent in their order
  --key NAME         who signs (default owner)

Example:
  itc tx draft pay.json --account itc1… -- transfer bob 5 --key alice
  itc tx sign pay.json --key carol && itc tx send pay.json`,
  options: SHARED_OPTIONS,
  run: (call) => runVerb(call, { explain, draft, sign, show, send }),
};

async function explain(call: Call, words: readonly string[]): Promise<number> {
  const [text, ...rest] = words;
  const match = /^([0-9a-f]{64})(?::\d{1,3})?$/.exec(text ?? '');
  if (match === null || rest.length > 0) throw new UsageError('expected: explain ID, an id of 64 hex digits');
  const id = match[1] as string;
  const url = `${call.api}/api/v1/explain/${id}`;
  let answer = (await requestJson(fetch, url, { method: 'GET', headers: {} })) as Explained;
  if (answer.state === 'unknown') answer = (await fromVault(call.api, id)) ?? answer;
  const { kind, state, reason, expectedMs, height, checkpoint, envelope, approvedBy } = answer;
  const facts = [
    ...(height === undefined ? [] : [['block', String(height)]]),
    ...(checkpoint === undefined ? [] : [['checkpoint', String(checkpoint)]]),
    ...(envelope === undefined ? [] : [['envelope', envelope]]),
    ...(approvedBy === undefined ? [] : [['approved by', approvedBy.join(', ')]]),
    ...(expectedMs === undefined
      ? []
      : [['expected', `final ${formatDuration(expectedMs)} after it was sent`]]),
  ];
  call.output.result(answer, [
    `${state === 'unknown' ? '' : `${kind} `}${state}: ${reason}`,
    ...table(facts),
  ]);
  return state === 'unknown' ? 1 : 0;
}

/** A gateway's vault has what never reached the DAG, and remembers longer than the member. */
async function fromVault(api: string, id: string): Promise<Explained | undefined> {
  const client = openClient(api);
  const { statuses, final } = await client.payloadStatuses([parseHash(id)]).catch(() => ({
    statuses: {} as Record<string, string>,
    final: {} as Record<string, { height: number }>,
  }));
  const status = statuses[id];
  if (status === undefined || status === 'unknown') return undefined;
  const height = final[id]?.height;
  if (status === 'final')
    return {
      id,
      kind: 'payload',
      state: 'final',
      reason: `final${height === undefined ? '' : ` in block ${height}`}; its proof is not kept by this node any more`,
      ...(height === undefined ? {} : { height }),
    };
  return {
    id,
    kind: 'payload',
    state: 'waiting',
    reason: 'it is in the vault of the gateway, which offers it to the subnet again and again',
  };
}
