import type { VNode } from 'preact';
import { apiGet } from '../api.ts';
import { formatAbsolute, formatDuration, formatInteger } from '../format.ts';
import { useResource } from '../parts/resource.ts';
import { Card, Facts, Failure, Loading, Page } from '../parts/surface.tsx';
import { Id, PayloadProgress } from '../parts/text.tsx';
import { VerifiedPayload } from '../parts/verified-later.tsx';
import { href } from '../route.ts';
import { devices } from '../store.ts';
import type { PayloadState, Reading } from '../wire.ts';
import { STATUS_WORDS } from '../words.ts';
import { ReadingTable } from './device.tsx';
import { deviceName } from './devices.tsx';

export function PayloadPage({ id }: { readonly id: string }): VNode {
  const answer = useResource(
    `payload/${id}`,
    (signal) => apiGet<PayloadState>(`/payloads/${encodeURIComponent(id)}`, signal),
    1_500,
  );
  const found = answer.value;
  return (
    <Page
      title="Payload"
      back={
        found === undefined
          ? { href: href.devices, label: 'Devices' }
          : { href: href.device(found.device), label: nameOf(found.device) }
      }
      lead={<Id value={id} label="payload id" full />}
    >
      {found === undefined ? (
        answer.error === undefined ? (
          <Card>
            <Loading lines={6} label="Loading the payload" />
          </Card>
        ) : (
          <Failure error={answer.error} retry={answer.reload} />
        )
      ) : (
        <>
          <Card title="Status" aside={<PayloadProgress status={found.status} />}>
            <p>{STATUS_WORDS[found.status].meaning}</p>
            <Facts
              rows={[
                ['Device', <a href={href.device(found.device)}>{nameOf(found.device)}</a>],
                [
                  'Signed by',
                  found.attested ? (
                    <span>
                      a gateway, <Id value={found.signer} label="signer" />
                    </span>
                  ) : (
                    <span>
                      the device, <Id value={found.signer} label="signer" />
                    </span>
                  ),
                ],
                [
                  'Content',
                  `${found.contentType}, ${formatInteger(found.readings)} reading${found.readings === 1 ? '' : 's'}`,
                ],
                ['Sequence', formatInteger(found.sequence)],
                ['Received', formatAbsolute(found.receivedAt)],
                ...(found.finalAt === undefined
                  ? []
                  : [
                      [
                        'Final',
                        `${formatAbsolute(found.finalAt)}, ${formatDuration(found.finalAt - found.receivedAt)} later`,
                      ] as const,
                    ]),
                ...(found.envelope === undefined
                  ? []
                  : [['Envelope', <Id value={found.envelope} label="envelope hash" />] as const]),
                ...(found.checkpoint === undefined
                  ? []
                  : [['Checkpoint', `#${formatInteger(found.checkpoint)}`] as const]),
                ...(found.height === undefined
                  ? []
                  : [
                      [
                        'Block',
                        <a href={href.block(found.height)}>{formatInteger(found.height)}</a>,
                      ] as const,
                    ]),
              ]}
            />
          </Card>
          <PayloadReadings payload={found} />
        </>
      )}
    </Page>
  );
}

/** Of a replayed device there are thousands; more pages than this are not worth the wait. */
const PAGES_MAX = 6;
const PAGE = 1_000;

/** The readings lie with their device, by their own time: those of this payload are among the ones before it came. */
async function readingsOf(payload: PayloadState, signal: AbortSignal): Promise<Reading[]> {
  const found: Reading[] = [];
  let before = payload.receivedAt + 2_000;
  for (let page = 0; page < PAGES_MAX && found.length < payload.readings; page += 1) {
    const limit = page === 0 ? 100 : PAGE;
    const { readings } = await apiGet<{ readings: Reading[] }>(
      `/devices/${payload.device}/readings?limit=${limit}&before=${before}`,
      signal,
    );
    found.push(...readings.filter((reading) => reading.payload === payload.id));
    const oldest = readings[readings.length - 1]?.time;
    if (oldest === undefined || readings.length < limit) break;
    before = oldest;
  }
  return found;
}

/** Readings as the node tells them, and whether that is what was signed. */
function PayloadReadings({ payload }: { readonly payload: PayloadState }): VNode {
  const { id, status } = payload;
  const answer = useResource(`payload-readings/${id}/${status}`, (signal) => readingsOf(payload, signal));
  const readings = answer.value ?? [];
  return (
    <Card title={readings.length === 0 ? 'Proof' : 'Readings'}>
      {status === 'final' ? (
        <VerifiedPayload payload={payload} readings={readings} />
      ) : (
        <p class="muted">Not verified yet: there is a proof once it is final.</p>
      )}
      {readings.length === 0 ? null : <ReadingTable readings={readings} />}
    </Card>
  );
}

function nameOf(address: string): string {
  return deviceName(devices.value.get(address) ?? { address });
}
