import type { VNode } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { GraphCanvas, GraphPicture } from '../graph/canvas.tsx';
import { buildGraph, futureCone, pastCone, type GraphModel } from '../graph/layout.ts';
import { formatClock, formatDuration, formatInteger, formatPercent, shorten } from '../format.ts';
import type { SeenVertex } from '../live-state.ts';
import { Icon } from '../parts/icon.tsx';
import { Card, Empty, Facts, Loading, Page } from '../parts/surface.tsx';
import { Badge, Id } from '../parts/text.tsx';
import { href } from '../route.ts';
import { currentNodeTime, live, status } from '../store.ts';
import type { SubnetState, VertexState } from '../wire.ts';

const SPANS = [
  { ms: 5_000, label: '5 s' },
  { ms: 10_000, label: '10 s' },
  { ms: 30_000, label: '30 s' },
  { ms: 60_000, label: '1 min' },
] as const;

const NO_VERTICES: readonly SeenVertex[] = [];

export function GraphPage({ subnet: wanted }: { readonly subnet?: string }): VNode {
  const subnets = status.value?.subnets;
  const subnet = subnets?.find((s) => s.id === wanted || s.name === wanted) ?? subnets?.[0];
  return (
    <Page
      title="Live DAG"
      lead="Envelopes of readings as the members issue and approve them, until a checkpoint makes them final."
      actions={
        subnets !== undefined && subnets.length > 1 ? (
          <label class="select">
            Subnet
            <select
              value={subnet?.id ?? ''}
              onChange={(event) => (location.hash = href.graph(event.currentTarget.value))}
            >
              {subnets.map((s) => (
                <option key={s.id} value={s.id}>
                  {s.name}
                </option>
              ))}
            </select>
          </label>
        ) : undefined
      }
    >
      {subnets === undefined ? (
        <Card>
          <Loading lines={6} label="Loading the DAG" />
        </Card>
      ) : subnet === undefined ? (
        <Card>
          <Empty icon="graph" title="No subnet here">
            This node follows the main chain only. Open the dashboard of a gateway to see its DAG.
          </Empty>
        </Card>
      ) : (
        <LiveGraph key={subnet.id} subnet={subnet} />
      )}
    </Page>
  );
}

function useGraph(
  subnet: SubnetState,
  shown: readonly SeenVertex[],
): { readonly model: GraphModel; readonly labels: readonly string[] } {
  const memberKey = subnet.members.map((member) => member.index).join();
  const model = useMemo(
    () =>
      buildGraph(
        shown,
        memberKey
          .split(',')
          .filter((part) => part !== '')
          .map(Number),
      ),
    [shown, memberKey],
  );
  const labels = model.rows.map((row) => {
    const name = memberName(subnet, row.issuer);
    return model.rows.some((other) => other.issuer === row.issuer && other.lane !== row.lane)
      ? `${name}, lane ${row.lane}`
      : name;
  });
  return { model, labels };
}

const narrow = (): boolean => typeof innerWidth === 'number' && innerWidth < 700;

/** The DAG as it grows, for the overview; to look closer one opens its page. */
export function GraphStrip({ subnet }: { readonly subnet: SubnetState }): VNode | null {
  const vertices = live.value.subnets.get(subnet.id)?.vertices ?? NO_VERTICES;
  const { model, labels } = useGraph(subnet, vertices);
  if (vertices.length === 0) return null;
  return (
    <Card title="Live DAG" aside={<Legend />} class="graph-strip">
      <a href={href.graph(subnet.id)} aria-label={`Open the live DAG of subnet ${subnet.name}`}>
        <GraphPicture model={model} labels={labels} spanMs={narrow() ? 5_000 : 12_000} />
      </a>
    </Card>
  );
}

function LiveGraph({ subnet }: { readonly subnet: SubnetState }): VNode {
  const vertices = live.value.subnets.get(subnet.id)?.vertices ?? NO_VERTICES;
  const [spanMs, setSpan] = useState<number>(narrow() ? 5_000 : 10_000);
  const [paused, setPaused] = useState<{ at: number; vertices: readonly SeenVertex[] } | undefined>(
    undefined,
  );
  const [selected, setSelected] = useState<string | undefined>(undefined);
  const [hovered, setHovered] = useState<string | undefined>(undefined);

  // A paused picture keeps its envelopes, whatever the bound drops meanwhile; their states go on.
  const shown = useMemo(() => {
    if (paused === undefined) return vertices;
    const now = new Map(vertices.map((vertex) => [vertex.hash, vertex]));
    return paused.vertices.map((vertex) => now.get(vertex.hash) ?? vertex);
  }, [paused, vertices]);
  const { model, labels } = useGraph(subnet, shown);

  const pause = (): void => setPaused({ at: currentNodeTime(), vertices });
  const toggle = (): void => {
    if (paused === undefined) pause();
    else {
      setPaused(undefined);
      setSelected(undefined);
    }
  };
  const select = (hash: string | undefined): void => {
    setSelected(hash);
    // What one looks at should stand still.
    if (hash !== undefined && paused === undefined) pause();
  };
  useEffect(() => {
    if (selected !== undefined && !model.indexOf.has(selected)) setSelected(undefined);
  }, [selected, model]);

  const shownHash = hovered ?? selected;
  const index = shownHash === undefined ? undefined : model.indexOf.get(shownHash);
  return (
    <div class="graph">
      <Card class="graph-card">
        <div class="graph-bar">
          <button type="button" class="button" aria-pressed={paused !== undefined} onClick={toggle}>
            <Icon name={paused === undefined ? 'pause' : 'play'} size={16} />
            {paused === undefined ? 'Pause' : 'Resume'}
          </button>
          <div class="segments" role="group" aria-label="Time shown">
            {SPANS.map(({ ms, label }) => (
              <button key={ms} type="button" aria-pressed={spanMs === ms} onClick={() => setSpan(ms)}>
                {label}
              </button>
            ))}
          </div>
          <Legend />
          {paused === undefined ? null : (
            <span class="muted graph-paused">Paused at {formatClock(paused.at).slice(0, 8)}</span>
          )}
        </div>
        <GraphCanvas
          model={model}
          labels={labels}
          spanMs={spanMs}
          pausedAt={paused?.at}
          selected={shownHash}
          onHover={setHovered}
          onSelect={select}
          onTogglePause={toggle}
          describedBy="graph-details"
        />
        {vertices.length === 0 ? (
          <p class="graph-none muted">No envelope yet. They appear when devices publish or members vote.</p>
        ) : null}
      </Card>
      <Card title="Envelope" class="graph-details">
        <div id="graph-details" aria-live={paused === undefined ? 'off' : 'polite'}>
          {index === undefined ? (
            <Hint subnet={subnet} count={model.vertices.length} />
          ) : (
            <Details model={model} index={index} subnet={subnet} onSelect={select} />
          )}
        </div>
      </Card>
    </div>
  );
}

function memberName(subnet: SubnetState, issuer: number): string {
  return subnet.members.find((member) => member.index === issuer)?.name ?? `member ${issuer}`;
}

const STATE_WORDS: Readonly<Record<VertexState, { readonly label: string; readonly meaning: string }>> = {
  pending: { label: 'Pending', meaning: 'issued, not yet approved by two thirds of the stake' },
  accepted: { label: 'Accepted', meaning: 'two thirds of the stake approve it' },
  final: { label: 'Final', meaning: 'covered by a checkpoint in a certified block' },
};

function Legend(): VNode {
  return (
    <ul class="legend" aria-label="Legend">
      {(Object.keys(STATE_WORDS) as VertexState[]).map((state) => (
        <li key={state} title={STATE_WORDS[state].meaning}>
          <i class={`mark mark-${state}`} />
          {STATE_WORDS[state].label}
        </li>
      ))}
      <li title="Everything to the left of it is final">
        <i class="mark-boundary" />
        Checkpoint
      </li>
    </ul>
  );
}

function Hint({ subnet, count }: { readonly subnet: SubnetState; readonly count: number }): VNode {
  return (
    <>
      <p class="muted">
        Point at an envelope, tap it, or use the arrow keys. Its <span class="ink-past">past</span> is what it
        approves, its <span class="ink-future">future</span> is what approves it.
      </p>
      <Facts
        rows={[
          ['Shown', `${formatInteger(count)} envelopes`],
          ...(subnet.tips === undefined ? [] : [['Tips', formatInteger(subnet.tips)] as const]),
          ['Proof of work', `${subnet.powBits} bits`],
          ...(subnet.pending === undefined
            ? []
            : [['Pending', `${formatInteger(subnet.pending.envelopes)} envelopes`] as const]),
        ]}
      />
    </>
  );
}

function Details({
  model,
  index,
  subnet,
  onSelect,
}: {
  readonly model: GraphModel;
  readonly index: number;
  readonly subnet: SubnetState;
  readonly onSelect: (hash: string) => void;
}): VNode | null {
  const vertex = model.vertices[index];
  if (vertex === undefined) return null;
  const past = pastCone(model, index).size;
  const future = futureCone(model, index).size;
  const tone = vertex.state === 'final' ? 'good' : vertex.state === 'accepted' ? 'accent' : 'warn';
  return (
    <>
      <p class="details-head">
        <Badge tone={tone} title={STATE_WORDS[vertex.state].meaning}>
          {STATE_WORDS[vertex.state].label}
        </Badge>
        <Id value={vertex.hash} label="envelope hash" />
      </p>
      <Facts
        rows={[
          ['Issuer', `${memberName(subnet, vertex.issuer)}, lane ${vertex.lane}`],
          ['Sequence', formatInteger(vertex.sequence)],
          ['Time', formatClock(vertex.time)],
          ['Payloads', formatInteger(vertex.payloads)],
          ['Approved by', `${formatPercent(vertex.weight)} of the stake`],
          ...(vertex.checkpoint === undefined
            ? []
            : [['Checkpoint', `#${formatInteger(vertex.checkpoint)}`] as const]),
          ...(vertex.state === 'final' && vertex.checkpoint !== undefined
            ? [['Seen to final', formatDuration(vertex.changedAt - vertex.seenAt)] as const]
            : []),
          ['Past', <span class="ink-past">{formatInteger(past)} envelopes here</span>],
          ['Future', <span class="ink-future">{formatInteger(future)} envelopes here</span>],
        ]}
      />
      <h3>Parents</h3>
      <ul class="parents">
        {vertex.parents.map((hash) => (
          <li key={hash}>
            {model.indexOf.has(hash) ? (
              <button type="button" class="link" onClick={() => onSelect(hash)}>
                <code>{shorten(hash)}</code>
              </button>
            ) : (
              <span class="muted">
                <code>{shorten(hash)}</code> earlier
              </span>
            )}
          </li>
        ))}
      </ul>
    </>
  );
}
