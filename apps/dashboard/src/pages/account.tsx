import type { VNode } from 'preact';
import { apiGet, ApiError } from '../api.ts';
import { formatAmount, formatInteger } from '../format.ts';
import { useResource } from '../parts/resource.ts';
import { Card, Empty, Facts, Failure, Loading, Page } from '../parts/surface.tsx';
import { Id } from '../parts/text.tsx';
import { href } from '../route.ts';
import { devices } from '../store.ts';
import type { Account } from '../wire.ts';
import { deviceName, Presence } from './devices.tsx';

export function AccountPage({ address }: { readonly address: string }): VNode {
  const answer = useResource(
    `account/${address}`,
    (signal) => apiGet<Account>(`/accounts/${encodeURIComponent(address)}`, signal),
    5_000,
  );
  const account = answer.value;
  const owned = [...devices.value.values()].filter((device) => device.owner === address);
  const unknown =
    answer.error instanceof ApiError &&
    (answer.error.code === 'account.unknown' || answer.error.code === 'not-found');
  return (
    <Page
      title="Account"
      back={{ href: href.explorer, label: 'Blocks' }}
      lead={<Id value={address} label="address" full />}
    >
      <Card title="Balance">
        {account === undefined ? (
          answer.error === undefined ? (
            <Loading lines={2} label="Loading the account" />
          ) : unknown ? (
            <Empty icon="key" title="Nothing on the chain yet">
              The address is valid, but no transaction has touched it.
            </Empty>
          ) : (
            <Failure error={answer.error} retry={answer.reload} />
          )
        ) : (
          <Facts
            rows={[
              ['Balance', <span class="number big">{formatAmount(account.balance)}</span>],
              ...Object.entries(account.nonces).map(
                ([lane, next]) => [`Next nonce, lane ${lane}`, formatInteger(next)] as const,
              ),
            ]}
          />
        )}
      </Card>
      {owned.length === 0 ? null : (
        <Card title="Owns" aside={<span class="muted">{formatInteger(owned.length)}</span>}>
          <ul class="plain-list">
            {owned.map((device) => (
              <li key={device.address}>
                <a href={href.device(device.address)}>{deviceName(device)}</a>
                <span class="muted">
                  <Presence device={device} />
                </span>
              </li>
            ))}
          </ul>
        </Card>
      )}
    </Page>
  );
}
