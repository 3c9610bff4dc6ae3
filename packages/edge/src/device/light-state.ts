/** What a lamp keeps: how far it believes the chain, whom it has obeyed, and its lamp. Written before it acts. */
import { decode } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { equalBytes } from '@itc/core/bytes/hex.js';
import { genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { readValidatorSet, writeValidatorSet } from '@itc/core/ledger/validators.js';
import { ReplayWindows } from '@itc/core/light/replay.js';
import { decodeTrust, encodeTrust, trustGenesis, type Trust } from '@itc/core/light/trust.js';
import type { Action } from '@itc/core/ledger/command.js';

export interface LampState {
  readonly on: boolean;
  /** 0 to 254. */
  readonly level: number;
}

export interface LightState {
  readonly trust: Trust;
  readonly replay: ReplayWindows;
  readonly lamp: LampState;
}

const TRUST_BYTES_MAX = 256;
const REPLAY_BYTES_MAX = 16_384;

export function newLightState(genesis: Genesis): LightState {
  return { trust: trustGenesis(genesis), replay: new ReplayWindows(), lamp: { on: false, level: 254 } };
}

export function encodeLightState(state: LightState): Uint8Array {
  const writer = new Writer(1024).bytes(encodeTrust(state.trust));
  writeValidatorSet(writer, state.trust.validators);
  return writer.bytes(state.replay.encode()).bool(state.lamp.on).u8(state.lamp.level).finish();
}

/** Undefined when the bytes do not decode: the store has checked them, so they are of another version or chain. */
export function decodeLightState(bytes: Uint8Array, genesis: Genesis): LightState | undefined {
  const parts = decode(
    (reader) => ({
      trust: reader.bytes(TRUST_BYTES_MAX).slice(),
      validators: readValidatorSet(reader),
      replay: reader.bytes(REPLAY_BYTES_MAX).slice(),
      lamp: { on: reader.bool(), level: reader.u8() },
    }),
    bytes,
  );
  if (!parts.ok) return undefined;
  const trust = decodeTrust(parts.value.trust, parts.value.validators);
  const replay = ReplayWindows.decode(parts.value.replay);
  return trust.ok && replay.ok && equalBytes(trust.value.chain, genesisHash(genesis))
    ? { trust: trust.value, replay: replay.value, lamp: parts.value.lamp }
    : undefined;
}

/** What an action makes of a lamp: a level above zero switches on, zero switches off and keeps the level for later. */
export function actOn(lamp: LampState, action: Action): LampState {
  switch (action.kind) {
    case 'on':
      return { ...lamp, on: true };
    case 'off':
      return { ...lamp, on: false };
    case 'level':
      return action.level === 0 ? { ...lamp, on: false } : { on: true, level: action.level };
  }
}
