import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { apiPost, ApiError } from '../api.ts';
import {
  formatBytes,
  formatClock,
  formatCompact,
  formatDuration,
  formatInteger,
  quantile,
} from '../format.ts';
import { nodeRows, type NodeRole, type NodeRow } from '../nodes.ts';
import { Bars } from '../parts/spark.tsx';
import { Card, Empty, Failure, Loading, Page } from '../parts/surface.tsx';
import { Ago, Badge, CountUp, Dot } from '../parts/text.tsx';
import { href } from '../route.ts';
import { blocks, devices, live, nodeNow, refreshStatus, status, statusError } from '../store.ts';
import type { BlockSummary, Status, SubnetState, ValidatorState } from '../wire.ts';
import { chainName, quorumSentence, readiness, subnetSentence } from '../words.ts';
import { byName, deviceName, glance, isRecorded } from './devices.tsx';
import { GraphStrip } from './graph.tsx';

export function OverviewPage(): VNode {
  const now = status.value;
  const error = statusError.value;
  return (
    <Page
      title="Overview"
      lead={
        now === undefined
          ? undefined
          : `${chainName(now) ?? ''}, version ${now.version}, as a ${now.role} sees it.`
      }
    >
      {error !== undefined && now === undefined ? (
        <Failure error={error} retry={() => void refreshStatus()} />
      ) : null}
      {now === undefined ? (
        error === undefined ? (
          <Card>
            <Loading lines={4} label="Loading the status of the chain" />
          </Card>
        ) : null
      ) : (
        <>
          <Readiness status={now} />
          <BlockStrip validators={now.validators} />
          {now.subnets[0] === undefined ? null : <GraphStrip subnet={now.subnets[0]} />}
          <div class="columns columns-wide">
            <Nodes status={now} />
            <div class="stack">
              {now.subnets.map((subnet) => (
                <Subnet key={subnet.id} subnet={subnet} />
              ))}
              <Measured />
              {now.subnets.length === 0 ? (
                <Card title="Subnets">
                  <Empty icon="graph" title="No subnet here">
                    This node follows the main chain only.
                  </Empty>
                </Card>
              ) : null}
            </div>
          </div>
        </>
      )}
    </Page>
  );
}

function Readiness({ status: now }: { readonly status: Status }): VNode {
  const verdict = readiness(now);
  const stale = statusError.value !== undefined;
  const { finality } = live.value;
  const median = quantile(finality, 0.5);
  const p90 = quantile(finality, 0.9);
  const newest = blocks.value[0];
  const payloads = now.subnets.reduce((sum, subnet) => sum + subnet.payloads, 0);
  const waiting = now.subnets.reduce((sum, subnet) => sum + (subnet.pending?.envelopes ?? 0), 0);
  return (
    <section class={stale ? 'hero hero-stale' : `hero hero-${verdict.tone}`} aria-label="Readiness">
      <div class="hero-verdict" role="status">
        <h2>
          <Dot tone={stale ? 'idle' : verdict.tone} />
          {stale ? `Was: ${verdict.title.toLowerCase()}` : verdict.title}
        </h2>
        <p>{verdict.detail}</p>
        <Quorum status={now} />
      </div>
      <dl class="metrics">
        <Metric
          label="Block height"
          note={newest === undefined ? 'no block yet' : <Ago time={newest.time} />}
        >
          <CountUp value={now.finalisedHeight} />
        </Metric>
        <Metric
          label="Time to finality"
          note={
            p90 === undefined
              ? 'as envelopes become final'
              : `p90 ${formatDuration(p90)}, ${formatInteger(finality.length)} seen`
          }
        >
          {median === undefined ? (
            <span class="muted">measuring</span>
          ) : (
            <span class="number">{formatDuration(median)}</span>
          )}
        </Metric>
        <Metric
          label="Payloads final"
          note={`${formatInteger(waiting)} envelope${waiting === 1 ? '' : 's'} open`}
        >
          {payloads < 100_000_000 ? (
            <CountUp value={payloads} />
          ) : (
            <span class="number">{formatCompact(payloads)}</span>
          )}
        </Metric>
        <Metric label="Blocks per minute" note={`view ${now.view}, epoch ${now.epoch}`}>
          <span class="number">{formatInteger(now.blocksPerMinute)}</span>
        </Metric>
      </dl>
    </section>
  );
}

function Metric({
  label,
  note,
  children,
}: {
  readonly label: string;
  readonly note: VNode | string;
  readonly children: VNode;
}): VNode {
  return (
    <div class="metric">
      <dt>{label}</dt>
      <dd>
        {children}
        <small>{note}</small>
      </dd>
    </div>
  );
}

function Quorum({ status: now }: { readonly status: Status }): VNode {
  const { connected, strong, total } = now.quorum;
  const tone = connected < strong ? 'bad' : connected < total ? 'warn' : 'good';
  return (
    <div class="quorum">
      <div
        class={`meter meter-${tone}`}
        role="meter"
        aria-label="Quorum weight connected"
        aria-valuenow={connected}
        aria-valuemin={0}
        aria-valuemax={total}
        aria-valuetext={quorumSentence(now)}
      >
        <i style={{ width: `${(connected / Math.max(1, total)) * 100}%` }} />
        <b style={{ left: `${(strong / Math.max(1, total)) * 100}%` }} title={`${strong} needed`} />
      </div>
      <p class="muted">{quorumSentence(now)}</p>
    </div>
  );
}

function BlockStrip({ validators }: { readonly validators: readonly ValidatorState[] }): VNode {
  const list = blocks.value.slice(0, 24);
  return (
    <Card title="Blocks" aside={<a href={href.explorer}>All blocks</a>}>
      {list.length === 0 ? (
        <Empty icon="explorer" title="No block yet">
          The first one appears here when the validators have agreed on it.
        </Empty>
      ) : (
        <ol class="strip" aria-label="Latest blocks, newest first">
          {list.map((block) => (
            <BlockTile key={block.height} block={block} validators={validators} />
          ))}
        </ol>
      )}
    </Card>
  );
}

/** One small square per transaction, up to a full tile; the count stands below. */
const CELLS_MAX = 20;

function BlockTile({
  block,
  validators,
}: {
  readonly block: BlockSummary;
  readonly validators: readonly ValidatorState[];
}): VNode {
  const signed = new Set(block.signers);
  const count = validators.length === 0 ? block.signers.length : validators.length;
  const transactions = `${block.transactions} transaction${block.transactions === 1 ? '' : 's'}`;
  return (
    <li class="tile">
      <a
        href={href.block(block.height)}
        title={`${formatClock(block.time)} · ${formatBytes(block.bytes)} · view ${block.view}`}
      >
        <span class="tile-cells" aria-hidden="true">
          {Array.from({ length: Math.min(CELLS_MAX, block.transactions) }, (_, i) => (
            <i key={i} />
          ))}
        </span>
        <strong>{formatInteger(block.height)}</strong>
        <span class="tile-count">{block.transactions === 0 ? 'empty' : `${block.transactions} tx`}</span>
        <span
          class="signers"
          role="img"
          aria-label={`${transactions}, signed by ${block.signers.length} of ${count} validators`}
        >
          {validators.length > 12
            ? `${block.signers.length}/${count}`
            : Array.from({ length: count }, (_, i) => (
                <i key={i} class={validators.length === 0 || signed.has(i) ? 'on' : ''} />
              ))}
        </span>
      </a>
    </li>
  );
}

const ROLE_TITLES: Readonly<Record<NodeRole, string>> = {
  validator: 'Validators',
  gateway: 'Gateways',
  member: 'Subnet members',
  home: 'Simulated devices',
  other: 'Other processes',
};

function Nodes({ status: now }: { readonly status: Status }): VNode {
  const rows = nodeRows(now);
  const up = rows.filter((row) => row.tone === 'good').length;
  const roles = (Object.keys(ROLE_TITLES) as NodeRole[]).filter((role) =>
    rows.some((row) => row.role === role),
  );
  return (
    <Card
      title="Nodes"
      aside={
        <>
          <span class="muted">{`${up} of ${rows.length} well`}</span>{' '}
          <a href={href.gateways}>Compare gateways</a>
        </>
      }
    >
      {roles.map((role) => (
        <div key={role} class="node-group">
          <h3>{ROLE_TITLES[role]}</h3>
          <ul class="nodes">
            {rows
              .filter((row) => row.role === role)
              .map((row) => (
                <NodeLine key={row.name} row={row} />
              ))}
          </ul>
        </div>
      ))}
    </Card>
  );
}

function NodeLine({ row }: { readonly row: NodeRow }): VNode {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | undefined>(undefined);
  const { process } = row;
  const running = process?.state === 'running';
  const change = async (): Promise<void> => {
    if (process === undefined) return;
    setBusy(true);
    setFailure(undefined);
    try {
      await apiPost(`/devnet/processes/${encodeURIComponent(process.name)}/${running ? 'stop' : 'start'}`);
      await refreshStatus();
    } catch (error) {
      setFailure(error instanceof ApiError ? `${error.message}. ${error.detail}` : String(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <li class="node">
      <Dot tone={row.tone} />
      <span class="node-name">
        {row.name}
        {row.primary ? (
          <Badge tone="accent" title="Proposes the blocks of this view">
            primary
          </Badge>
        ) : null}
      </span>
      <span class="node-detail">{failure ?? row.detail}</span>
      <span class="node-figure">
        {row.rttMs !== undefined
          ? formatDuration(row.rttMs)
          : row.weight !== undefined && row.tone !== 'good'
            ? `weight ${formatInteger(row.weight)}`
            : ''}
      </span>
      {process === undefined ? (
        <span />
      ) : (
        <button
          type="button"
          class="button button-quiet"
          disabled={busy}
          aria-label={`${running ? 'Stop' : 'Start'} ${row.name}`}
          onClick={() => void change()}
        >
          {busy ? 'Wait' : running ? 'Stop' : 'Start'}
        </button>
      )}
    </li>
  );
}

const MEASURED_MAX = 8;

/** What the devices say right now. In order of name, so that nothing jumps while values change. */
function Measured(): VNode | null {
  const online = [...devices.value.values()].filter(
    (device) => device.online && device.latest.length > 0 && !isRecorded(device),
  );
  if (online.length === 0) return null;
  const shown = online.sort(byName).slice(0, MEASURED_MAX);
  return (
    <Card
      title="Devices"
      aside={<a href={href.devices}>{`All ${formatInteger(devices.value.size)} devices`}</a>}
    >
      <ul class="measured">
        {shown.map((device) => (
          <li key={device.address}>
            <a href={href.device(device.address)}>{deviceName(device)}</a>
            <span class="number">{glance(device)}</span>
            <span class="muted">
              <Ago time={device.lastSeen} />
            </span>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Subnet({ subnet }: { readonly subnet: SubnetState }): VNode {
  const verdict = subnetSentence(subnet, nodeNow.value);
  const checkpoints = live.value.subnets.get(subnet.id)?.checkpoints ?? [];
  const gaps = checkpoints.slice(0, -1).map((checkpoint, i) => ({
    checkpoint,
    gap: Math.max(0, checkpoint.time - (checkpoints[i + 1]?.time ?? checkpoint.time)),
  }));
  const cadence = quantile(
    gaps.map((entry) => entry.gap),
    0.5,
  );
  const bars = [...gaps].reverse().map(({ checkpoint, gap }) => ({
    // One long pause must not flatten all others; its true length is in the title.
    value: Math.min(gap, 4 * (cadence ?? gap)),
    title: `Checkpoint ${formatInteger(checkpoint.sequence)}: ${formatDuration(gap)} after the one before, ${formatInteger(checkpoint.payloads)} payloads`,
  }));
  const newest = checkpoints[0];
  return (
    <Card title={`Subnet ${subnet.name}`} aside={<a href={href.graph(subnet.id)}>Live DAG</a>}>
      <p class="verdict-line">
        <Dot tone={verdict.tone} /> {verdict.detail}
      </p>
      <dl class="metrics metrics-small">
        <Metric label="Checkpoints" note={<Ago time={subnet.checkpointTime ?? newest?.time} />}>
          <CountUp value={subnet.checkpoint} />
        </Metric>
        <Metric label="Cadence" note="median">
          {cadence === undefined ? (
            <span class="muted">none yet</span>
          ) : (
            <span class="number">{formatDuration(cadence)}</span>
          )}
        </Metric>
        {subnet.pending === undefined ? null : (
          <Metric label="Pending" note={`envelopes, ${formatInteger(subnet.tips ?? 0)} tips`}>
            <span class="number">{formatInteger(subnet.pending.envelopes)}</span>
          </Metric>
        )}
        <Metric label="Newest" note={newest?.payloads === 1 ? 'payload' : 'payloads'}>
          <span class="number">{newest === undefined ? '0' : formatInteger(newest.payloads)}</span>
        </Metric>
      </dl>
      {bars.length < 2 ? null : (
        <figure class="cadence">
          <Bars values={bars} label={`Time between the last ${bars.length} checkpoints`} />
          <figcaption class="muted">Time between checkpoints, newest at the right</figcaption>
        </figure>
      )}
      <ul class="members" aria-label="Members">
        {subnet.members.map((member) => (
          <li key={member.address} title={member.connected ? 'connected' : 'not connected'}>
            <Dot tone={member.connected ? 'good' : 'bad'} />
            {member.name ?? `member ${member.index}`}
            {member.connected ? null : <span class="muted"> away</span>}
          </li>
        ))}
      </ul>
    </Card>
  );
}
