/** The household of the fake devnet: lamps and sensors with believable curves. */
import type { Grant } from '../wire.ts';
import type { Random } from './random.ts';

export interface Quantity {
  readonly name: string;
  readonly unit: string;
  readonly at: (time: number, noise: number) => number;
}

export interface FakeDevice {
  readonly address: string;
  readonly name: string;
  readonly kind: string;
  readonly attested: boolean;
  readonly claimedAt: number;
  readonly quantities: readonly Quantity[];
  readonly grants: Grant[];
  /** What a grant to this lamp allows at most. */
  readonly levelMax: number;
  online: boolean;
  lastSeen: number;
  state: { on: boolean; level: number } | undefined;
  nextReading: number;
}

const HOUR = 3_600_000;

export const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));

const wave = (time: number, periodMs: number, phase: number): number =>
  Math.sin((2 * Math.PI * time) / periodMs + phase);

const temperature = (base: number, phase: number): Quantity => ({
  name: 'temperature',
  unit: 'Cel',
  at: (time, noise) =>
    rounded(base + 1.8 * wave(time, 180_000, phase) + 0.4 * wave(time, 23_000, 1) + 0.15 * noise, 2),
});

const humidity = (base: number, phase: number): Quantity => ({
  name: 'humidity',
  unit: '%RH',
  at: (time, noise) => rounded(base + 6 * wave(time, 240_000, phase) + 0.8 * noise, 1),
});

const carbonDioxide: Quantity = {
  name: 'co2',
  unit: 'ppm',
  at: (time, noise) => Math.round(640 + 160 * wave(time, 300_000, 0) + 6 * noise),
};

/** A household: a slow swing, and a kettle that comes and goes. */
const mains: Quantity = {
  name: 'power',
  unit: 'W',
  at: (time, noise) =>
    Math.round(430 + 180 * wave(time, 140_000, 0) + (wave(time, 31_000, 2) > 0.4 ? 900 : 0) + 15 * noise),
};

const standby: Quantity = { name: 'power', unit: 'W', at: (_, noise) => rounded(0.35 + 0.05 * noise, 2) };

export function makeDevices(random: Random, time: number): FakeDevice[] {
  const make = (
    name: string,
    kind: string,
    quantities: readonly Quantity[],
    more: Partial<FakeDevice> = {},
  ): FakeDevice => ({
    address: random.address(),
    name,
    kind,
    attested: false,
    claimedAt: time - Math.floor((1 + random.next() * 40) * 24) * HOUR,
    quantities,
    grants: [],
    levelMax: 254,
    online: true,
    lastSeen: time,
    state: undefined,
    nextReading: time + Math.floor(random.next() * 2000),
    ...more,
  });
  const lamp = (name: string, on: boolean, level: number, more: Partial<FakeDevice> = {}): FakeDevice =>
    make(name, 'lamp', [standby], { state: { on, level }, ...more });
  return [
    lamp('lamp-hall', true, 178),
    lamp('lamp-desk', false, 90),
    lamp('lamp-porch', true, 120, { levelMax: 127 }),
    lamp('lamp-cellar', false, 0, { online: false, lastSeen: time - 2 * HOUR - 640_000 }),
    make('climate-living', 'sensor', [temperature(21.4, 0), humidity(46, 1)]),
    make('climate-greenhouse', 'sensor', [temperature(26.2, 2), humidity(68, 0.5)]),
    make('air-office', 'sensor', [carbonDioxide, temperature(22.1, 4)]),
    make('meter-main', 'sensor', [mains]),
    make('legacy-thermo', 'sensor', [temperature(19.3, 5)], { attested: true }),
  ];
}
