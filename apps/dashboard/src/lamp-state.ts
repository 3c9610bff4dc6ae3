/** Whether a lamp is lit: by its last answer to a command, else by what it last reported of itself. Pure. */
import type { Device, LampState } from './wire.ts';

/** Undefined while the lamp has said nothing. */
export function lampState(device: Pick<Device, 'state' | 'latest'>): LampState | undefined {
  if (device.state !== undefined) return device.state;
  const reported = (name: string): unknown => device.latest.find((latest) => latest.name === name)?.value;
  const on = reported('on');
  const level = reported('level');
  if (typeof on !== 'boolean') return undefined;
  return { on, level: typeof level === 'number' ? level : on ? 254 : 0 };
}
