import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { apiGet, apiPost } from '../api.ts';
import {
  formatAbsolute,
  formatBytes,
  formatQuantity,
  formatWhen,
  levelPercent,
  quantityLabel,
  unitLabel,
} from '../format.ts';
import { lampState } from '../lamp-state.ts';
import { Chart } from '../parts/chart.tsx';
import { Icon } from '../parts/icon.tsx';
import { useResource } from '../parts/resource.ts';
import { Card, Empty, Facts, Failure, Loading, Page } from '../parts/surface.tsx';
import { Ago, CopyButton, Id, PayloadProgress } from '../parts/text.tsx';
import { VerifiedDevice, VerifiedReading } from '../parts/verified-later.tsx';
import { proofFile, type BatchProof, type ProofFile } from '../proof-file.ts';
import { href } from '../route.ts';
import { devices, nodeNow } from '../store.ts';
import type { DeviceDetail, Grant, PayloadStatus, Reading, Series } from '../wire.ts';
import { grantWords } from '../words.ts';
import { deviceName, Presence, Trust } from './devices.tsx';

export function DevicePage({ device: wanted }: { readonly device: string }): VNode {
  const detail = useResource(
    `device/${wanted}`,
    (signal) => apiGet<DeviceDetail>(`/devices/${encodeURIComponent(wanted)}`, signal),
    5_000,
  );
  const known = devices.value.get(detail.value?.address ?? wanted);
  const device = detail.value === undefined ? undefined : { ...detail.value, ...known };
  const lit = device === undefined ? undefined : lampState(device);
  const back = { href: href.devices, label: 'Devices' };
  if (device === undefined)
    return (
      <Page title={known === undefined ? 'Device' : deviceName(known)} back={back}>
        {detail.error === undefined ? (
          <Card>
            <Loading lines={6} label="Loading the device" />
          </Card>
        ) : (
          <Failure error={detail.error} retry={detail.reload} />
        )}
      </Page>
    );
  return (
    <Page
      title={deviceName(device)}
      back={back}
      lead={<Presence device={device} />}
      actions={
        device.kind === 'lamp' ? (
          <a class="button" href={href.lamps}>
            Switch this lamp
          </a>
        ) : undefined
      }
    >
      {device.latest.length === 0 ? null : (
        <div class="columns">
          {device.latest
            .filter((latest) => typeof latest.value === 'number')
            .map((latest) => (
              <Card
                key={latest.name}
                title={quantityLabel(latest.name)}
                aside={<span class="number big">{formatQuantity(latest)}</span>}
              >
                <SeriesChart device={device.address} name={latest.name} />
              </Card>
            ))}
        </div>
      )}
      <div class="columns columns-wide">
        <Readings device={device.address} />
        <div class="stack">
          <Card title="Identity" aside={<Trust device={device} />}>
            <VerifiedDevice device={device.address} told={device} />
            <Facts
              rows={[
                ['Address', <Id value={device.address} label="address" />],
                ['Kind', device.kind ?? 'not stated'],
                ...(lit === undefined
                  ? []
                  : [['State', lit.on ? `on, ${levelPercent(lit.level)} %` : 'off'] as const]),
                [
                  'Owner',
                  device.owner === undefined ? (
                    'none'
                  ) : (
                    <Id value={device.owner} link={href.account(device.owner)} label="owner" />
                  ),
                ],
                ['Last seen', <Ago time={device.lastSeen} />],
                ...(device.claimedAt === undefined
                  ? []
                  : [
                      [
                        'Claimed',
                        <time title={formatAbsolute(device.claimedAt)}>
                          {formatAbsolute(device.claimedAt).slice(0, 19)}
                        </time>,
                      ] as const,
                    ]),
                ...(device.maker === undefined ? [] : [['Maker', device.maker] as const]),
                ...(device.batch === undefined
                  ? []
                  : [['Batch', <Id value={device.batch} label="batch" />] as const]),
                ...(device.model === undefined
                  ? []
                  : [['Model', <Id value={device.model} label="model" />] as const]),
              ]}
            />
          </Card>
          <Grants grants={device.grants} />
        </div>
      </div>
    </Page>
  );
}

function SeriesChart({ device, name }: { readonly device: string; readonly name: string }): VNode {
  const series = useResource(
    `${device}/${name}/120`,
    (signal) =>
      apiGet<Series>(`/devices/${device}/series?name=${encodeURIComponent(name)}&points=120`, signal),
    5_000,
  );
  if (series.value !== undefined) return <Chart series={series.value} />;
  if (series.error !== undefined) return <Failure error={series.error} retry={series.reload} />;
  return <Loading lines={4} label="Loading the chart" />;
}

function Grants({ grants }: { readonly grants: readonly Grant[] }): VNode {
  return (
    <Card title="Grants">
      {grants.length === 0 ? (
        <Empty icon="key" title="Nobody but the owner">
          A grant lets another key act on this device until a date.
        </Empty>
      ) : (
        <ul class="grants">
          {grants.map((grant) => (
            <li key={grant.subject}>
              <Id value={grant.subject} link={href.account(grant.subject)} label="subject" />
              <span>{grantWords(grant)}</span>
              <span class="muted">
                until{' '}
                <time title={formatAbsolute(grant.expiresAt)}>
                  {formatAbsolute(grant.expiresAt).slice(0, 16)}
                </time>
              </span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

const PAGE_READINGS = 30;

/** A page ends between two moments, never within one: the next page asks for what is earlier than its last. */
function wholeMoments(readings: readonly Reading[], full: boolean): readonly Reading[] {
  const oldest = readings[readings.length - 1]?.time;
  const whole = full ? readings.filter((reading) => reading.time !== oldest) : readings;
  return whole.length === 0 ? readings : whole;
}

function Readings({ device }: { readonly device: string }): VNode {
  const [before, setBefore] = useState<number | undefined>(undefined);
  const page = before === undefined ? '' : `&before=${before}`;
  // Older pages do not change under the reader; the first one follows.
  const answer = useResource(
    `readings/${device}${page}`,
    (signal) =>
      apiGet<{ readings: Reading[] }>(`/devices/${device}/readings?limit=${PAGE_READINGS}${page}`, signal),
    before === undefined ? 2_500 : 0,
  );
  const full = answer.value?.readings.length === PAGE_READINGS;
  const readings = answer.value === undefined ? undefined : wholeMoments(answer.value.readings, full);
  const statuses = usePayloadStatuses(readings ?? []);
  const oldest = readings?.[readings.length - 1]?.time;
  return (
    <Card
      title="Readings"
      aside={
        before === undefined ? (
          <span class="muted">newest first</span>
        ) : (
          <button type="button" class="link" onClick={() => setBefore(undefined)}>
            Back to the newest
          </button>
        )
      }
    >
      {readings === undefined ? (
        answer.error === undefined ? (
          <Loading lines={6} label="Loading the readings" />
        ) : (
          <Failure error={answer.error} retry={answer.reload} />
        )
      ) : readings.length === 0 ? (
        <Empty icon="sensor" title="No reading yet">
          It appears here as soon as the gateway has checked and stored it.
        </Empty>
      ) : (
        <>
          <ReadingTable readings={readings} statuses={statuses} />
          {!full || oldest === undefined ? null : (
            <button type="button" class="button more" onClick={() => setBefore(oldest)}>
              Older readings
            </button>
          )}
        </>
      )}
    </Card>
  );
}

export function ReadingTable({
  readings,
  statuses,
}: {
  readonly readings: readonly Reading[];
  readonly statuses?: ReadonlyMap<string, PayloadStatus>;
}): VNode {
  return (
    <div class="scroll">
      <table class="table readings">
        <thead>
          <tr>
            <th scope="col">Time</th>
            <th scope="col">Quantity</th>
            <th scope="col" class="right">
              Value
            </th>
            <th scope="col">Status</th>
            <th scope="col">
              <span class="off-screen">Proof</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {readings.map((reading) => (
            <ReadingRow
              key={reading.id}
              reading={reading}
              status={statuses?.get(reading.payload) ?? reading.status}
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Asks for the payloads on screen that are not final yet; what is final stays final. */
function usePayloadStatuses(readings: readonly Reading[]): ReadonlyMap<string, PayloadStatus> {
  const [known, setKnown] = useState<ReadonlyMap<string, PayloadStatus>>(new Map());
  const open = useRef<readonly string[]>([]);
  open.current = [
    ...new Set(
      readings
        .filter((reading) => (known.get(reading.payload) ?? reading.status) !== 'final')
        .map((reading) => reading.payload),
    ),
  ];
  useEffect(() => {
    const timer = setInterval(() => {
      if (open.current.length === 0 || document.hidden) return;
      apiPost<{ statuses: Record<string, PayloadStatus> }>('/payloads/status', {
        ids: open.current.slice(0, 200),
      })
        .then((answer) =>
          setKnown((old) => new Map([...[...old].slice(-400), ...Object.entries(answer.statuses)])),
        )
        .catch(() => undefined);
    }, 1_200);
    return () => clearInterval(timer);
  }, []);
  return known;
}

function ReadingRow({
  reading,
  status,
}: {
  readonly reading: Reading;
  readonly status: PayloadStatus;
}): VNode {
  const [open, setOpen] = useState(false);
  return (
    <>
      <tr>
        <td>
          <a href={href.payload(reading.payload)} title={formatAbsolute(reading.time)}>
            {formatWhen(reading.time, nodeNow.value)}
          </a>
        </td>
        <td title={unitLabel(reading.unit)}>{quantityLabel(reading.name)}</td>
        <td class="right number">{formatQuantity(reading)}</td>
        <td>
          <PayloadProgress status={status} />
        </td>
        <td class="right">
          <button
            type="button"
            class="button button-quiet"
            aria-expanded={open}
            disabled={status !== 'final'}
            title={status === 'final' ? 'Proof of this reading' : 'There is a proof once it is final'}
            onClick={() => setOpen(!open)}
          >
            Proof
          </button>
        </td>
      </tr>
      {open ? (
        <tr class="proof-row">
          <td colSpan={5}>
            <ProofPanel reading={reading} />
          </td>
        </tr>
      ) : null}
    </>
  );
}

function ProofPanel({ reading }: { readonly reading: Reading }): VNode {
  const answer = useResource(`proof/${reading.id}`, async (signal) => {
    const { payload, index } = reading;
    const proof = await apiGet<{ proof: string; genesis: string }>(`/proofs/reading/${payload}`, signal);
    if (reading.batch !== true) return proofFile(reading, proof);
    const path = `/payloads/${payload}/readings/${index}`;
    return proofFile(reading, proof, await apiGet<BatchProof>(path, signal));
  });
  if (answer.error !== undefined) return <Failure error={answer.error} retry={answer.reload} />;
  if (answer.value === undefined) return <Loading lines={2} label="Fetching the proof" />;
  return (
    <>
      <VerifiedReading reading={reading} />
      <Proof file={answer.value} />
    </>
  );
}

function Proof({ file }: { readonly file: ProofFile }): VNode {
  const [link, setLink] = useState('');
  useEffect(() => {
    const url = URL.createObjectURL(new Blob([file.text], { type: 'application/json' }));
    setLink(url);
    return () => URL.revokeObjectURL(url);
  }, [file]);
  return (
    <div class="proof">
      <p>
        Anyone can check this reading without trusting this node: the proof leads from the device’s signature
        to a block that the validators certified.
      </p>
      <a class="button" href={link} download={file.name}>
        <Icon name="download" size={16} />
        Download {file.name} ({formatBytes(file.bytes)} of proof)
      </a>
      <div class="command">
        <code>{file.command}</code>
        <CopyButton text={file.command} label="command" />
      </div>
    </div>
  );
}
