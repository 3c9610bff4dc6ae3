import type { VNode } from 'preact';
import { apiGet, ApiError } from '../api.ts';
import { formatAmount, formatInteger } from '../format.ts';
import { useResource } from '../parts/resource.ts';
import { Card, Empty, Facts, Failure, Loading, Page } from '../parts/surface.tsx';
import { Id } from '../parts/text.tsx';
import { href } from '../route.ts';
import { devices, status } from '../store.ts';
import { identity } from '../switching.ts';
import type { Account } from '../wire.ts';
import { byName, deviceName, Presence } from './devices.tsx';

/** Whose address it is, as far as this page can tell. */
function holderOf(address: string, owned: number): string | undefined {
  const now = status.value;
  if (now?.address === address) return `${now.role} ${now.name}`;
  const node =
    now?.validators.find((validator) => validator.address === address) ??
    now?.peers.find((peer) => peer.address === address) ??
    now?.subnets.flatMap((subnet) => subnet.members).find((member) => member.address === address);
  if (node !== undefined) return node.name ?? 'a node of this chain';
  const device = devices.value.get(address);
  if (device !== undefined) return `device ${deviceName(device)}`;
  if (identity.value?.address === address) return 'the key of this browser';
  return owned === 0 ? undefined : `owner of ${formatInteger(owned)} device${owned === 1 ? '' : 's'}`;
}

export function AccountPage({ address }: { readonly address: string }): VNode {
  const answer = useResource(
    `account/${address}`,
    (signal) => apiGet<Account>(`/accounts/${encodeURIComponent(address)}`, signal),
    5_000,
  );
  const account = answer.value;
  const owned = [...devices.value.values()].filter((device) => device.owner === address).sort(byName);
  const who = holderOf(address, owned.length);
  const unknown =
    answer.error instanceof ApiError &&
    (answer.error.code === 'account.unknown' || answer.error.code === 'not-found');
  return (
    <Page
      title="Account"
      back={{ href: href.explorer, label: 'Blocks' }}
      lead={<Id value={address} label="address" full />}
    >
      <Card title="Account" {...(who === undefined ? {} : { aside: <span class="muted">{who}</span> })}>
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
