import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { apiGet } from '../api.ts';
import {
  formatAbsolute,
  formatInteger,
  formatQuantity,
  levelPercent,
  quantityLabel,
  shorten,
} from '../format.ts';
import { lampState } from '../lamp-state.ts';
import { Icon, type IconName } from '../parts/icon.tsx';
import { useResource } from '../parts/resource.ts';
import { Spark } from '../parts/spark.tsx';
import { Card, Empty, Loading, Page } from '../parts/surface.tsx';
import { Ago, Badge, Dot } from '../parts/text.tsx';
import { href } from '../route.ts';
import { connection, devices, live } from '../store.ts';
import type { Device, Series } from '../wire.ts';

export function deviceName(device: { readonly name?: string; readonly address: string }): string {
  return device.name ?? shorten(device.address);
}

function deviceIcon(kind: string | undefined): IconName {
  return kind === 'lamp' ? 'lamps' : kind === 'sensor' ? 'sensor' : 'devices';
}

export const byName = (a: Device, b: Device): number =>
  deviceName(a).localeCompare(deviceName(b), 'en', { numeric: true });

/** State and readings in one short line. */
export function glance(device: Device): string {
  const lit = lampState(device);
  const said = lit === undefined ? [] : [lit.on ? `on, ${levelPercent(lit.level)} %` : 'off'];
  const measured = device.latest.filter(
    ({ name }) => lit === undefined || (name !== 'on' && name !== 'level'),
  );
  return [...said, ...measured.slice(0, 2).map((latest) => formatQuantity(latest))].join(', ');
}

/** Readings this much older than their arrival were recorded elsewhere and brought here later. */
const RECORDED_MS = 7 * 86_400_000;

export function isRecorded(device: Device): boolean {
  if (device.latest.length === 0 || device.lastSeen === undefined) return false;
  return device.lastSeen - Math.max(...device.latest.map((latest) => latest.time)) > RECORDED_MS;
}

interface Group {
  readonly title: string;
  readonly note?: string;
  readonly devices: readonly Device[];
}

function groupsOf(list: readonly Device[]): Group[] {
  const recorded = list.filter(isRecorded);
  const present = list.filter((device) => !isRecorded(device));
  const lamps = present.filter((device) => device.kind === 'lamp');
  const groups: Group[] = [
    { title: 'Lamps', devices: lamps },
    { title: 'Sensors and others', devices: present.filter((device) => !lamps.includes(device)) },
    {
      title: 'Recorded earlier',
      note: 'Their readings were measured long before they came to this chain, as in a replay.',
      devices: recorded,
    },
  ];
  return groups.filter((group) => group.devices.length > 0);
}

export function DevicesPage(): VNode {
  const [filter, setFilter] = useState('');
  const all = [...devices.value.values()].sort(byName);
  const wanted = filter.trim().toLowerCase();
  const shown =
    wanted === ''
      ? all
      : all.filter((device) =>
          `${deviceName(device)} ${device.address} ${device.kind ?? ''} ${device.latest.map((latest) => quantityLabel(latest.name)).join(' ')}`
            .toLowerCase()
            .includes(wanted),
        );
  const online = all.filter((device) => device.online).length;
  const groups = groupsOf(shown);
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
              placeholder="Filter by name or quantity"
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
        groups.map((group) => <DeviceGroup key={group.title} group={group} alone={groups.length === 1} />)
      )}
    </Page>
  );
}

const GROUP_FIRST = 12;
const GROUP_MORE = 48;

function DeviceGroup({ group, alone }: { readonly group: Group; readonly alone: boolean }): VNode {
  const [count, setCount] = useState(GROUP_FIRST);
  const left = group.devices.length - count;
  return (
    <section class="group" aria-label={group.title}>
      {alone && group.note === undefined ? null : (
        <header class="group-head">
          <h2>
            {group.title} <span class="muted">{formatInteger(group.devices.length)}</span>
          </h2>
          {group.note === undefined ? null : <p class="muted">{group.note}</p>}
        </header>
      )}
      <ul class="cards">
        {group.devices.slice(0, count).map((device) => (
          <DeviceCard key={device.address} device={device} />
        ))}
      </ul>
      {left <= 0 ? null : (
        <button type="button" class="button" onClick={() => setCount(count + GROUP_MORE)}>
          {left <= GROUP_MORE ? `Show the other ${formatInteger(left)}` : `Show ${GROUP_MORE} more`}
        </button>
      )}
    </section>
  );
}

function DeviceCard({ device }: { readonly device: Device }): VNode {
  const lit = lampState(device);
  const recorded = isRecorded(device);
  const measured = device.latest.filter(
    ({ name }) => lit === undefined || (name !== 'on' && name !== 'level'),
  );
  const newest = recorded ? Math.max(...device.latest.map((latest) => latest.time)) : undefined;
  return (
    <li class={`card device ${device.online || recorded ? '' : 'device-away'}`}>
      <header class="device-head">
        <span class={lit?.on === true ? 'device-icon device-lit' : 'device-icon'}>
          <Icon name={deviceIcon(device.kind)} size={20} />
        </span>
        <div>
          <h3>
            <a class="cover" href={href.device(device.address)}>
              {deviceName(device)}
            </a>
          </h3>
          <p class="muted">
            {newest === undefined ? (
              <Presence device={device} />
            ) : (
              <span>Measured until {formatAbsolute(newest).slice(0, 10)}</span>
            )}
          </p>
        </div>
      </header>
      {lit === undefined ? null : (
        <p class="device-state">{lit.on ? `On, ${levelPercent(lit.level)} %` : 'Off'}</p>
      )}
      <ul class="quantities">
        {measured.slice(0, 4).map((latest) => (
          <li key={latest.name}>
            <span class="quantity-name">{quantityLabel(latest.name)}</span>
            <span class="number">{formatQuantity(latest)}</span>
            {typeof latest.value === 'number' ? (
              <DeviceSpark device={device.address} name={latest.name} still={recorded && !device.online} />
            ) : (
              <span />
            )}
          </li>
        ))}
      </ul>
      {device.latest.length === 0 && lit === undefined ? <p class="muted">No reading yet.</p> : null}
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

/** Only a line that is on the screen asks for its values; what will not change asks once. */
function DeviceSpark({
  device,
  name,
  still,
}: {
  readonly device: string;
  readonly name: string;
  readonly still: boolean;
}): VNode {
  const place = useRef<HTMLSpanElement>(null);
  const [visible, setVisible] = useState(false);
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const observer = new IntersectionObserver((entries) =>
      setVisible(entries.some((entry) => entry.isIntersecting)),
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const kept = useRef<readonly number[]>([]);
  const { value } = useResource(
    visible ? `${device}/${name}` : 'away',
    async (signal) =>
      visible
        ? await apiGet<Series>(`/devices/${device}/series?name=${encodeURIComponent(name)}&points=40`, signal)
        : undefined,
    visible && !still ? 15_000 : 0,
  );
  if (value !== undefined) kept.current = value.values;
  return (
    <span ref={place}>
      <Spark values={kept.current} />
    </span>
  );
}
