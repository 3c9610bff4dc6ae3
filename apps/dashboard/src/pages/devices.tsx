import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { apiGet } from '../api.ts';
import { formatInteger, formatValue, quantityLabel, shorten } from '../format.ts';
import { Icon, type IconName } from '../parts/icon.tsx';
import { useResource } from '../parts/resource.ts';
import { Spark } from '../parts/spark.tsx';
import { Card, Empty, Loading, Page } from '../parts/surface.tsx';
import { Ago, Badge, Dot } from '../parts/text.tsx';
import { href } from '../route.ts';
import { connection, devices, live } from '../store.ts';
import type { Device, Series } from '../wire.ts';
import { levelPercent } from '../format.ts';

export function deviceName(device: { readonly name?: string; readonly address: string }): string {
  return device.name ?? shorten(device.address);
}

function deviceIcon(kind: string | undefined): IconName {
  return kind === 'lamp' ? 'lamps' : kind === 'sensor' ? 'sensor' : 'devices';
}

export function DevicesPage(): VNode {
  const [filter, setFilter] = useState('');
  const all = [...devices.value.values()].sort((a, b) =>
    deviceName(a).localeCompare(deviceName(b), 'en', { numeric: true }),
  );
  const wanted = filter.trim().toLowerCase();
  const shown =
    wanted === ''
      ? all
      : all.filter((device) =>
          `${deviceName(device)} ${device.address} ${device.kind ?? ''}`.toLowerCase().includes(wanted),
        );
  const online = all.filter((device) => device.online).length;
  return (
    <Page
      title="Devices"
      lead={
        all.length === 0
          ? 'What measures and what can be switched.'
          : `${formatInteger(all.length)} devices, ${formatInteger(online)} online.`
      }
      actions={
        all.length > 6 ? (
          <label class="select">
            <span class="off-screen">Filter devices</span>
            <input
              type="search"
              placeholder="Filter by name or kind"
              value={filter}
              onInput={(event) => setFilter(event.currentTarget.value)}
            />
          </label>
        ) : undefined
      }
    >
      {all.length === 0 ? (
        <Card>
          {connection.value.kind === 'connecting' || live.value.status === undefined ? (
            <Loading lines={5} label="Loading the devices" />
          ) : (
            <Empty icon="devices" title="No device yet">
              A device appears when it publishes its first reading to this gateway, or when its owner enrols
              it.
            </Empty>
          )}
        </Card>
      ) : shown.length === 0 ? (
        <Card>
          <Empty icon="search" title={`Nothing matches “${filter}”`} />
        </Card>
      ) : (
        <ul class="cards">
          {shown.map((device) => (
            <DeviceCard key={device.address} device={device} />
          ))}
        </ul>
      )}
    </Page>
  );
}

function DeviceCard({ device }: { readonly device: Device }): VNode {
  return (
    <li class={`card device ${device.online ? '' : 'device-away'}`}>
      <header class="device-head">
        <span class="device-icon">
          <Icon name={deviceIcon(device.kind)} size={20} />
        </span>
        <div>
          <h2>
            <a class="cover" href={href.device(device.address)}>
              {deviceName(device)}
            </a>
          </h2>
          <p class="muted">
            <Presence device={device} />
          </p>
        </div>
      </header>
      {device.state === undefined ? null : (
        <p class="device-state">{device.state.on ? `On, ${levelPercent(device.state.level)} %` : 'Off'}</p>
      )}
      <ul class="quantities">
        {device.latest.slice(0, 4).map((latest) => (
          <li key={latest.name}>
            <span class="quantity-name">{quantityLabel(latest.name)}</span>
            <span class="number">{formatValue(latest.value, latest.unit)}</span>
            {typeof latest.value === 'number' ? (
              <DeviceSpark device={device.address} name={latest.name} />
            ) : (
              <span />
            )}
          </li>
        ))}
      </ul>
      {device.latest.length === 0 && device.state === undefined ? <p class="muted">No reading yet.</p> : null}
      <footer class="device-foot">
        {device.owner === undefined ? (
          <span>No owner</span>
        ) : (
          <span title={device.owner}>Owner {shorten(device.owner)}</span>
        )}
        <Trust device={device} />
      </footer>
    </li>
  );
}

export function Presence({ device }: { readonly device: Device }): VNode {
  return (
    <span class="presence">
      <Dot tone={device.online ? 'good' : 'idle'} />
      {device.online ? (
        'Online'
      ) : (
        <span>
          Offline, last seen <Ago time={device.lastSeen} />
        </span>
      )}
    </span>
  );
}

/** Who vouches for its readings: the device's own key, or a gateway for a device that has none. */
export function Trust({ device }: { readonly device: Device }): VNode {
  if (device.attested === true)
    return (
      <Badge tone="warn" title="The device has no key; its gateway signs that it received these readings.">
        Attested by gateway
      </Badge>
    );
  if (!device.registered)
    return (
      <Badge tone="idle" title="The device is not registered on the chain, so it has no owner there.">
        Not registered
      </Badge>
    );
  return (
    <Badge tone="good" title="The device signs with its own key, registered on the chain.">
      Signs itself
    </Badge>
  );
}

function DeviceSpark({ device, name }: { readonly device: string; readonly name: string }): VNode {
  const { value } = useResource(
    `${device}/${name}`,
    (signal) =>
      apiGet<Series>(`/devices/${device}/series?name=${encodeURIComponent(name)}&points=40`, signal),
    10_000,
  );
  return <Spark values={value?.values ?? []} />;
}
