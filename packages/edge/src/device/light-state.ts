/** What a lamp keeps of its own: its light, and the rental it serves. Written before it acts. */
import { decode, type Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import type { Action } from '@itc/core/ledger/command.js';
import { readRentalRun, writeRentalRun, type RentalRun } from './rental-run.ts';

export interface LampState {
  readonly on: boolean;
  /** 0 to 254. */
  readonly level: number;
  /** Colour temperature; absent from a lamp that has none. */
  readonly kelvin?: number;
}

export interface LightState {
  readonly lamp: LampState;
  /** The last rental that began here. */
  readonly rental: RentalRun | undefined;
}

/** `kelvin`: what a lamp with a colour temperature begins with. */
export function newLightState(kelvin?: number): LightState {
  return { lamp: { on: false, level: 254, ...(kelvin !== undefined && { kelvin }) }, rental: undefined };
}

export function encodeLightState({ lamp, rental }: LightState): Uint8Array {
  const { on, level, kelvin = 0 } = lamp;
  const writer = new Writer(64).bool(on).u8(level).u16(kelvin);
  writeRentalRun(writer, rental);
  return writer.finish();
}

/** Undefined when the bytes do not decode: the flash has checked them, so they are of another version. */
export function decodeLightState(bytes: Uint8Array): LightState | undefined {
  const state = decode((reader) => ({ lamp: readLamp(reader), rental: readRentalRun(reader) }), bytes);
  return state.ok ? state.value : undefined;
}

function readLamp(reader: Reader): LampState {
  const lamp = { on: reader.bool(), level: reader.u8() };
  const kelvin = reader.u16();
  return kelvin === 0 ? lamp : { ...lamp, kelvin };
}

/** What an action makes of a lamp: a level above zero switches on, zero switches off and keeps the level for later. */
export function actOn(lamp: LampState, action: Action): LampState {
  switch (action.kind) {
    case 'on':
      return { ...lamp, on: true };
    case 'off':
      return { ...lamp, on: false };
    case 'level':
      return action.level === 0 ? { ...lamp, on: false } : { ...lamp, on: true, level: action.level };
    case 'colour-temperature':
      return lamp.kelvin === undefined ? lamp : { ...lamp, kelvin: action.kelvin };
    case 'begin':
      return lamp;
    case 'end':
      // Whoever comes next does not pay for this one's light.
      return { ...lamp, on: false };
  }
}
