import type { VNode } from 'preact';
import { useEffect } from 'preact/hooks';
import { apiGet } from '../api.ts';
import { useResource } from '../parts/resource.ts';
import { Card, Empty, Failure, Loading, Page } from '../parts/surface.tsx';
import { classifyQuery, href } from '../route.ts';
import { blocks } from '../store.ts';
import type { Device, PayloadState, TransactionState } from '../wire.ts';
import { byName, deviceName, glance } from './devices.tsx';

/** Finds where a query leads and goes there, leaving no stop in between for the back button. */
export function SearchPage({ query }: { readonly query: string }): VNode {
  const answer = useResource(`search/${query}`, (signal) => resolve(query, signal));
  const target = answer.value?.target;
  const matches = answer.value?.matches ?? [];
  useEffect(() => {
    if (target !== undefined) location.replace(target);
  }, [target]);
  return (
    <Page title="Search" back={{ href: href.explorer, label: 'Blocks' }} lead={<code>{query}</code>}>
      <Card>
        {answer.error !== undefined ? (
          <Failure error={answer.error} retry={answer.reload} />
        ) : answer.value === undefined || target !== undefined ? (
          <Loading lines={3} label="Searching" />
        ) : matches.length > 0 ? (
          <ul class="plain-list">
            {matches.map((device) => (
              <li key={device.address}>
                <a href={href.device(device.address)}>{deviceName(device)}</a>
                <span class="muted">{glance(device)}</span>
              </li>
            ))}
          </ul>
        ) : (
          <Empty icon="search" title="Nothing found">
            Search for a block height, a transaction or payload id (64 hex digits), an itc1… address, or a
            device’s name.
          </Empty>
        )}
      </Card>
    </Page>
  );
}

/** Where the query leads; or, when several devices bear such a name, which. */
interface Found {
  readonly target: string | undefined;
  readonly matches?: readonly Device[];
}

const MATCHES_MAX = 50;

async function resolve(query: string, signal: AbortSignal): Promise<Found> {
  const meant = classifyQuery(query);
  switch (meant.kind) {
    case 'empty':
      return { target: href.explorer };
    case 'height':
      return { target: href.block(meant.height) };
    case 'address': {
      const device = await optional(apiGet<Device>(`/devices/${meant.address}`, signal));
      return { target: device === undefined ? href.account(meant.address) : href.device(meant.address) };
    }
    case 'hash': {
      const known = blocks.value.find((block) => block.hash === meant.hash);
      if (known !== undefined) return { target: href.block(known.height) };
      const transaction = await optional(apiGet<TransactionState>(`/transactions/${meant.hash}`, signal));
      if (transaction !== undefined && transaction.status !== 'unknown')
        return { target: href.transaction(meant.hash) };
      const payload = await optional(apiGet<PayloadState>(`/payloads/${meant.hash}`, signal));
      if (payload !== undefined && payload.status !== 'unknown') return { target: href.payload(meant.hash) };
      return { target: undefined };
    }
    case 'name': {
      const { devices } = await apiGet<{ devices: Device[] }>('/devices', signal);
      const wanted = meant.name.toLowerCase();
      const exact = devices.find((device) => device.name?.toLowerCase() === wanted);
      if (exact !== undefined) return { target: href.device(exact.address) };
      const matches = devices
        .filter((device) => device.name?.toLowerCase().includes(wanted) === true)
        .sort(byName)
        .slice(0, MATCHES_MAX);
      const only = matches.length === 1 ? matches[0] : undefined;
      return only === undefined ? { target: undefined, matches } : { target: href.device(only.address) };
    }
  }
}

/** A node says 404 for what it does not know; everything else is a failure to report. */
async function optional<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (
      error instanceof Error &&
      'status' in error &&
      typeof error.status === 'number' &&
      error.status >= 400 &&
      error.status < 500
    )
      return undefined;
    throw error;
  }
}

export function MissingPage({ path }: { readonly path: string }): VNode {
  return (
    <Page title="No such page" lead={<code>{path}</code>}>
      <Card>
        <Empty icon="search" title="Nothing lives at this address">
          Use the navigation, or search for what you meant.
        </Empty>
      </Card>
    </Page>
  );
}
