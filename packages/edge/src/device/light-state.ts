/** What a lamp keeps: how far it believes the chain, whom it has obeyed, and its lamp. Written before it acts. */
import { decode, type Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { equalBytes } from '@itc/core/bytes/hex.js';
import { genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { readValidatorSet, writeValidatorSet } from '@itc/core/ledger/validators.js';
import { ReplayWindows } from '@itc/core/light/replay.js';
import { UseCounts } from '@itc/core/light/use-counts.js';
import { decodeTrust, encodeTrust, trustGenesis, type Trust } from '@itc/core/light/trust.js';
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
  readonly trust: Trust;
  readonly replay: ReplayWindows;
  /** Of grants that are for so many commands. */
  readonly uses: UseCounts;
  readonly lamp: LampState;
  /** The last rental that began here. */
  readonly rental: RentalRun | undefined;
}

const TRUST_BYTES_MAX = 256;
const REPLAY_BYTES_MAX = 16_384;
const USES_BYTES_MAX = 4_096;

/** `kelvin`: what a lamp with a colour temperature begins with. */
export function newLightState(genesis: Genesis, kelvin?: number): LightState {
  return {
    trust: trustGenesis(genesis),
    replay: new ReplayWindows(),
    uses: new UseCounts(),
    lamp: { on: false, level: 254, ...(kelvin !== undefined && { kelvin }) },
    rental: undefined,
  };
}

export function encodeLightState(state: LightState): Uint8Array {
  const writer = new Writer(1024).bytes(encodeTrust(state.trust));
  writeValidatorSet(writer, state.trust.validators);
  writer.bytes(state.replay.encode()).bytes(state.uses.encode());
  const { on, level, kelvin = 0 } = state.lamp;
  writeRentalRun(writer.bool(on).u8(level).u16(kelvin), state.rental);
  return writer.finish();
}

/** Undefined when the bytes do not decode: the store has checked them, so they are of another version or chain. */
export function decodeLightState(bytes: Uint8Array, genesis: Genesis): LightState | undefined {
  const parts = decode(
    (reader) => ({
      trust: reader.bytes(TRUST_BYTES_MAX).slice(),
      validators: readValidatorSet(reader),
      replay: reader.bytes(REPLAY_BYTES_MAX).slice(),
      uses: reader.bytes(USES_BYTES_MAX).slice(),
      lamp: readLamp(reader),
      rental: readRentalRun(reader),
    }),
    bytes,
  );
  if (!parts.ok) return undefined;
  const { lamp, rental } = parts.value;
  const trust = decodeTrust(parts.value.trust, parts.value.validators);
  const replay = ReplayWindows.decode(parts.value.replay);
  const uses = UseCounts.decode(parts.value.uses);
  return trust.ok && replay.ok && uses.ok && equalBytes(trust.value.chain, genesisHash(genesis))
    ? { trust: trust.value, replay: replay.value, uses: uses.value, lamp, rental }
    : undefined;
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
