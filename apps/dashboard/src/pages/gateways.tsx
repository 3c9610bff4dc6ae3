/** This node beside others that somebody named: whether they show one chain, which of them lag, and what was found against validators. */
import type { VNode } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { formatAbsolute, formatInteger, shorten } from '../format.ts';
import { askLight } from '../light-client.ts';
import {
  OTHERS_MAX,
  type ComparedGateway,
  type ComparedGateways,
  type GatewayConflict,
  type LightReply,
} from '../light-protocol.ts';
import { rememberOthers, otherGateways, originOf } from '../other-gateways.ts';
import { Icon } from '../parts/icon.tsx';
import { useResource } from '../parts/resource.ts';
import { Card, Loading, Page } from '../parts/surface.tsx';
import { Dot } from '../parts/text.tsx';
import { href } from '../route.ts';

const EVERY_MS = 10_000;

export function GatewaysPage(): VNode {
  const [others, setOthers] = useState(otherGateways);
  const answer = useResource(JSON.stringify(others), () => askLight({ kind: 'compare', others }), EVERY_MS);
  const change = (next: readonly string[]): void => {
    rememberOthers(next);
    setOthers(next);
  };
  return (
    <Page
      title="Gateways"
      back={{ href: href.overview, label: 'Overview' }}
      lead="What this browser verifies needs no honest gateway. That it is the newest nobody can prove: two gateways that agree have to fail together."
    >
      <Card title="Compared">
        {answer.value === undefined ? (
          <Loading lines={2} label="Asking the gateways for their newest header" />
        ) : (
          <Comparison
            reply={answer.value}
            remove={(gateway) => change(others.filter((one) => one !== gateway))}
          />
        )}
      </Card>
      <Card title="Another gateway">
        <Add others={others} add={(origin) => change([...others, origin])} />
      </Card>
    </Page>
  );
}

function Comparison({
  reply,
  remove,
}: {
  readonly reply: LightReply;
  readonly remove: (gateway: string) => void;
}): VNode {
  switch (reply.kind) {
    case 'compared':
      return <Compared reply={reply} remove={remove} />;
    case 'contradicted':
      return <Contradicted reply={reply} />;
    case 'failed':
      return (
        <p class="verdict-line compared-failed">
          <Dot tone="bad" /> Not compared: {reply.message}
        </p>
      );
    case 'device':
    case 'payload':
    case 'done':
      return <p class="muted">Nothing was compared.</p>;
  }
}

function Compared({
  reply: { proof, gateways },
  remove,
}: {
  readonly reply: ComparedGateways;
  readonly remove: (gateway: string) => void;
}): VNode {
  const agreeing = gateways.filter(({ kind }) => kind === 'agrees').length;
  const summary =
    gateways.length === 1
      ? 'Only this node was asked'
      : agreeing === gateways.length
        ? `All ${gateways.length} show the same chain`
        : `${agreeing} of ${gateways.length} show the newest header`;
  return (
    <>
      <p class="verdict-line" role="status">
        <Dot tone={agreeing === gateways.length && agreeing > 1 ? 'good' : agreeing > 1 ? 'warn' : 'idle'} />{' '}
        {summary}: block {formatInteger(proof.height)} of {formatAbsolute(proof.time)}.
      </p>
      <ul class="nodes">
        {gateways.map((one) => (
          <li key={one.gateway} class="node">
            <Dot tone={TONES[one.kind]} />
            <span class="node-name">{one.gateway === location.origin ? 'This node' : one.gateway}</span>
            <span class="node-detail">{wordsOf(one)}</span>
            <span class="node-figure" />
            {one.gateway === location.origin ? (
              <span />
            ) : (
              <button
                type="button"
                class="button button-quiet"
                aria-label={`Forget ${one.gateway}`}
                onClick={() => remove(one.gateway)}
              >
                Forget
              </button>
            )}
          </li>
        ))}
      </ul>
    </>
  );
}

const TONES = { agrees: 'good', behind: 'warn', failed: 'bad' } as const;

function wordsOf(one: ComparedGateway): string {
  switch (one.kind) {
    case 'agrees':
      return one.isFresh ? 'Agrees, and signed that it knows nothing newer' : 'Agrees';
    case 'behind':
      return `Same chain, ${formatInteger(one.blocks)} blocks behind`;
    case 'failed':
      return `${FAILURES[one.code] ?? 'Shows nothing that holds'}: ${one.message}`;
  }
}

const FAILURES: Readonly<Record<string, string>> = {
  unreachable: 'No answer',
  behind: 'Behind what was verified before',
  untrue: 'What it shows does not hold',
};

function Contradicted({ reply }: { readonly reply: GatewayConflict }): VNode {
  const { height, convicted, reported } = reply;
  return (
    <div class="verified verified-differs" role="alert">
      <p class="verified-line">
        <Icon name="warning" size={16} /> Validators signed two headers that contradict each other, at block{' '}
        {formatInteger(height)}
      </p>
      <p>
        More than a third of the weight misbehaved. Nothing newer is believed until a person decides which
        chain to follow.
      </p>
      {convicted.length === 0 ? (
        <p>They did so in different views, which convicts nobody by itself. Both headers are kept.</p>
      ) : (
        <p>
          Who signed both:{' '}
          {convicted.map((key) => (
            <code key={key} title={key}>
              {shorten(key)}{' '}
            </code>
          ))}
        </p>
      )}
      <p>
        {reported.length === 0
          ? 'No gateway has taken the evidence yet.'
          : `Reported to ${reported.map((one) => (one === location.origin ? 'this node' : one)).join(', ')}.`}
      </p>
    </div>
  );
}

function Add({
  others,
  add,
}: {
  readonly others: readonly string[];
  readonly add: (origin: string) => void;
}): VNode {
  const field = useRef<HTMLInputElement>(null);
  const [flaw, setFlaw] = useState<string | undefined>(undefined);
  const submit = (event: Event): void => {
    event.preventDefault();
    const origin = originOf(field.current?.value ?? '');
    if (origin === undefined) return setFlaw('An address begins with http:// or https://.');
    if (origin === location.origin || others.includes(origin)) return setFlaw('This one is asked already.');
    if (others.length >= OTHERS_MAX) return setFlaw(`At most ${OTHERS_MAX} others are compared.`);
    setFlaw(undefined);
    if (field.current !== null) field.current.value = '';
    return add(origin);
  };
  return (
    <form class="select gateway-form" onSubmit={submit}>
      <input
        ref={field}
        type="url"
        name="gateway"
        aria-label="Address of another gateway"
        aria-describedby="gateway-flaw"
        placeholder="https://another-gateway.example"
        autocomplete="off"
        spellcheck={false}
      />
      <button type="submit" class="button">
        Compare
      </button>
      <p id="gateway-flaw" class="muted" role="status">
        {flaw ?? 'It is asked for headers only, and believed in nothing.'}
      </p>
    </form>
  );
}
