/** Says whether what stands beside it was proved in this browser, and what is true where the node said something else. */
import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { formatAbsolute, formatInteger, shorten } from '../format.ts';
import { askLight } from '../light-client.ts';
import { SUBJECTS_MAX, type LightQuestion, type LightReply, type ProofLine } from '../light-protocol.ts';
import {
  deviceDifferences,
  failureOf,
  payloadDifferences,
  readingDifferences,
  recordVerdict,
  settledVerdict,
  type Difference,
  type Standing,
  type Told,
  type Verdict,
} from '../light-verdict.ts';
import type { PayloadState, Reading } from '../wire.ts';
import { Icon } from './icon.tsx';
import { useResource } from './resource.ts';

const EVERY_MS = 10_000;
const UNSETTLED_EVERY_MS = 2_000;

/** Ownership, origin and grants of a device, proved again while they are shown. */
export function VerifiedDevice({ device, told }: { readonly device: string; readonly told: Told }): VNode {
  const subjects = told.grants.slice(0, SUBJECTS_MAX).map(({ subject }) => subject);
  const standing = useRef<Standing | undefined>(undefined);
  const [hurry, setHurry] = useState(false);
  const { reply, again } = useLight(
    { kind: 'device', device, subjects },
    hurry ? UNSETTLED_EVERY_MS : EVERY_MS,
  );
  let verdict: Verdict =
    reply === undefined ? { kind: 'pending' } : (failureOf(reply) ?? { kind: 'pending' });
  let next: Standing | undefined;
  if (reply?.kind === 'device') {
    const judged = recordVerdict(reply.proof, deviceDifferences(told, reply), standing.current);
    verdict = judged.verdict;
    next = judged.standing;
  }
  const isUnsettled = verdict.kind === 'unsettled';
  useEffect(() => {
    if (reply?.kind === 'device') standing.current = next;
    setHurry(isUnsettled);
  });
  const grants = told.grants.length > SUBJECTS_MAX ? `the first ${SUBJECTS_MAX} grants` : 'the grants shown';
  return <Verified verdict={verdict} what={`Owner, batch, model and ${grants}`} again={again} />;
}

/** A payload and such readings of it as are shown. */
export function VerifiedPayload({
  payload,
  readings,
}: {
  readonly payload: PayloadState;
  readonly readings: readonly Reading[];
}): VNode {
  const { reply, again } = useLight({ kind: 'payload', payload: payload.id }, 0);
  const verdict =
    reply?.kind === 'payload'
      ? settledVerdict(reply.proof, payloadDifferences(payload, readings, reply))
      : ((reply && failureOf(reply)) ?? { kind: 'pending' as const });
  return <Verified verdict={verdict} what="Payload and readings" again={again} />;
}

export function VerifiedReading({ reading }: { readonly reading: Reading }): VNode {
  const { reply, again } = useLight({ kind: 'payload', payload: reading.payload }, 0);
  const verdict =
    reply?.kind === 'payload'
      ? settledVerdict(reply.proof, readingDifferences(reading, reply))
      : ((reply && failureOf(reply)) ?? { kind: 'pending' as const });
  return <Verified verdict={verdict} what="This reading" again={again} />;
}

function useLight(
  question: LightQuestion,
  everyMs: number,
): { readonly reply: LightReply | undefined; readonly again: () => void } {
  const answer = useResource(JSON.stringify(question), () => askLight(question), everyMs);
  return { reply: answer.value, again: answer.reload };
}

function Verified({
  verdict,
  what,
  again,
}: {
  readonly verdict: Verdict;
  readonly what: string;
  readonly again: () => void;
}): VNode {
  return (
    <div class={`verified verified-${verdict.kind}`}>
      {/* Heard once when the verdict changes, not with every block. */}
      <span class="off-screen" role="status">
        {what}: {TITLES[verdict.kind]}
      </span>
      <Body verdict={verdict} what={what} again={again} />
    </div>
  );
}

const TITLES: Readonly<Record<Verdict['kind'], string>> = {
  pending: 'Not verified yet',
  proved: 'Verified by this browser',
  unsettled: 'Differs from what is proved so far',
  differs: 'The node says something that is not so',
  failed: 'Not verified',
};

function Body({
  verdict,
  what,
  again,
}: {
  readonly verdict: Verdict;
  readonly what: string;
  readonly again: () => void;
}): VNode {
  switch (verdict.kind) {
    case 'pending':
      return (
        <p class="verified-line">
          <Icon name="shield" size={16} /> Not verified yet <span class="muted">checking the proof …</span>
        </p>
      );
    case 'proved':
      return (
        <details>
          <summary>
            <Icon name="shield" size={16} /> Verified by this browser
            <span class="muted"> block {formatInteger(verdict.proof.height)}</span>
          </summary>
          <p>
            {what}: proved, not believed. {proofWords(verdict.proof)}
          </p>
        </details>
      );
    case 'unsettled':
      return (
        <>
          <p class="verified-line">
            <Icon name="warning" size={16} /> Differs from what is proved so far
          </p>
          <Differences differences={verdict.differences} />
          <p>
            It may have changed in the last blocks. Block {formatInteger(verdict.until)} decides.{' '}
            {proofWords(verdict.proof)}
          </p>
        </>
      );
    case 'differs':
      return (
        <div role="alert">
          <p class="verified-line">
            <Icon name="warning" size={16} /> The node says something that is not so
          </p>
          <Differences differences={verdict.differences} />
          <p>Do not rely on this node. {proofWords(verdict.proof)}</p>
        </div>
      );
    case 'failed':
      return <Failed reply={verdict.reply} again={again} />;
  }
}

function Failed({
  reply,
  again,
}: {
  readonly reply: Extract<Verdict, { kind: 'failed' }>['reply'];
  readonly again: () => void;
}): VNode {
  const { code, message, check, chains, last } = reply;
  const anew = (): void => {
    void askLight({ kind: 'trust-anew' }).then(again);
  };
  return (
    <details open={code === 'conflict' || code === 'untrue' || code === 'other-chain'}>
      <summary>
        <Icon name={code === 'unreachable' || code === 'behind' ? 'shield' : 'warning'} size={16} />{' '}
        {FAILURES[code] ?? 'Not verified'}
      </summary>
      <p>
        {message}
        {check === undefined ? '' : ` (${check})`}.
        {last === undefined ? '' : ` Verified before: ${proofWords(last.proof)}`}
      </p>
      {chains === undefined ? null : (
        <p>
          This browser trusts chain <code title={chains.trusted}>{shorten(chains.trusted)}</code>; the other
          is <code title={chains.shown}>{shorten(chains.shown)}</code>.{' '}
          <button type="button" class="link" onClick={anew}>
            Trust the other one instead
          </button>
        </p>
      )}
      {code === 'conflict' || chains !== undefined ? null : (
        <button type="button" class="link" onClick={again}>
          Try again
        </button>
      )}
    </details>
  );
}

const FAILURES: Readonly<Record<string, string>> = {
  unreachable: 'Not verified: no gateway answers',
  behind: 'Not verified: this node is behind what was verified before',
  missing: 'Not verified: the node shows no proof',
  untrue: 'Not verified: the proof the node shows does not hold',
  conflict: 'Validators signed two headers that contradict each other',
  'other-chain': 'Not verified: this is another chain',
};

function Differences({ differences }: { readonly differences: readonly Difference[] }): VNode {
  return (
    <table class="differences">
      <thead>
        <tr>
          <th scope="col">Field</th>
          <th scope="col">The node says</th>
          <th scope="col">Proved</th>
        </tr>
      </thead>
      <tbody>
        {differences.map(({ field, told, proved }) => (
          <tr key={field}>
            <th scope="row">{field}</th>
            <td>{told}</td>
            <td>{proved}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function proofWords({ height, time, signers, weight, total }: ProofLine): string {
  const who = signers.length === 1 ? `validator ${signers[0]}` : `validators ${signers.join(', ')}`;
  return `Block ${formatInteger(height)} of ${formatAbsolute(time)}, signed by ${who}: ${formatInteger(weight)} of ${formatInteger(total)} weight.`;
}
