/**
 * A lamp that judges every command itself (spec EDGE-11): light client, replay windows, clock. The gateway is a
 * carrier that it believes nothing; with the uplink cut, it works on.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { encodeAcknowledgement, type Action, type Outcome } from '@itc/core/ledger/command.js';
import { genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { millis, type Millis } from '@itc/core/ledger/ids.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import { encodeRentalWord, type RentalWord } from '@itc/core/ledger/rental.js';
import type { ModelLimits } from '@itc/core/ledger/terms.js';
import { decodeAccessProof } from '@itc/core/light/access-proof.js';
import { verifyCommand } from '@itc/core/light/command.js';
import { decodeLinkedHeader, followChain } from '@itc/core/light/certified.js';
import { decodeCommandFrame } from '../command-frame.ts';
import { reasonOf, type Log } from '../log.ts';
import { DeviceClient, type DeviceSigner, type GatewayPlace } from './device-client.ts';
import {
  actOn,
  decodeLightState,
  encodeLightState,
  newLightState,
  type LampState,
  type LightState,
} from './light-state.ts';
import { overdueRental, stepRental, wordOf } from './rental-run.ts';
import { Sequence } from './sequence.ts';
import type { DeviceStore } from './store.ts';

export interface LampOptions {
  readonly genesis: Genesis;
  readonly signer: DeviceSigner;
  readonly gateways: readonly GatewayPlace[];
  readonly store: DeviceStore;
  readonly verify: SignatureVerifier;
  /** Milliseconds since some start; never goes back. Time of day comes from the chain. */
  readonly monotonicMs: () => number;
  readonly random: () => number;
  readonly log: Log;
  readonly onState?: (state: LampState) => void;
  /** 0: it reports its power only when it changes. */
  readonly reportMs?: number;
  /** Colour temperatures it can show, in kelvin; what it is asked for beyond them becomes the nearest. None when left out. */
  readonly colour?: { readonly min: number; readonly max: number };
  /** Of its model: what goes beyond is refused, whoever asks (LIGHT-12.9). */
  readonly limits?: ModelLimits;
}

const STATE = 'light';
/** Commands waiting for their turn; the gateway holds back more than a lamp can read. */
const QUEUE_MAX = 64;
/** Answers to the last commands, to be sent again when the question comes again. */
const ANSWERS_MAX = 32;
/** How far the chain's last word and a running clock may differ before the store is written for the header alone. */
const TRUST_WRITE_MS = 60_000;
const POWER_MAX_WATTS = 9;

export class Lamp {
  readonly #o: LampOptions;
  readonly #chain: Hash;
  #light: LightState;
  /** Monotonic time at which the last trusted header was learnt. */
  #trustedAt: number;
  #trustWritten: number;
  #client: DeviceClient | undefined;
  #sequence: Sequence | undefined;
  readonly #answers: Map<string, Uint8Array> = new Map();
  #queued = 0;
  #turn: Promise<void> = Promise.resolve();
  #report: NodeJS.Timeout | undefined;
  /** A header was believed in this run: before that the clock stands where it stood when the power went. */
  #clockSet = false;

  constructor(options: LampOptions) {
    this.#o = options;
    this.#chain = genesisHash(options.genesis);
    this.#light = newLightState(options.genesis, options.colour?.max);
    this.#trustedAt = options.monotonicMs();
    this.#trustWritten = 0;
  }

  get state(): LampState {
    return this.#light.lamp;
  }

  get connected(): boolean {
    return this.#client?.connected ?? false;
  }

  /** Chain time of the last believed header, and what has passed since. */
  now(): Millis {
    return millis(Math.floor(this.#light.trust.last.time + this.#o.monotonicMs() - this.#trustedAt));
  }

  async start(): Promise<void> {
    const { store, genesis, signer, gateways, random, log, reportMs } = this.#o;
    const stored = await store.read(STATE);
    const light = stored && decodeLightState(stored, genesis);
    if (stored !== undefined && light === undefined)
      log.warn('lamp: what it kept does not suit this chain; it begins anew');
    if (light !== undefined) this.#light = light;
    this.#trustedAt = this.#o.monotonicMs();
    this.#sequence = await Sequence.open(store);
    this.#client = new DeviceClient({
      chain: this.#chain,
      signer,
      gateways,
      sequence: this.#sequence,
      random,
      log,
      onCommand: (frame) => this.#inTurn(() => this.#onCommand(frame)),
      onHeader: (update) => this.#inTurn(() => this.#onHeader(update)),
    });
    this.#client.start();
    if (this.#light.rental !== undefined) this.#say(wordOf(this.#light.rental));
    if ((reportMs ?? 0) > 0) this.#report = setInterval(() => this.#reportPower(), reportMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#report);
    await this.#turn;
    await this.#client?.stop();
    await this.#save();
    await this.#sequence?.close();
  }

  /** One after the other: each sees what the one before has left. */
  #inTurn(work: () => Promise<void>): void {
    if (this.#queued >= QUEUE_MAX) {
      this.#o.log.warn('lamp: too much at a time; something is left out');
      return;
    }
    this.#queued += 1;
    this.#turn = this.#turn
      .then(work)
      .catch((error: unknown) => this.#o.log.error('lamp', { reason: reasonOf(error) }))
      .finally(() => {
        this.#queued -= 1;
      });
  }

  async #onHeader(update: Uint8Array): Promise<void> {
    const read = decodeLinkedHeader(update);
    if (!read.ok) return this.#o.log.warn('lamp: not a header', { reason: read.message });
    const { verify, genesis } = this.#o;
    const advanced = followChain(this.#light.trust, { ...read.value, verify, genesis });
    if (!advanced.ok) {
      if (advanced.code !== 'stale')
        this.#o.log.warn('lamp: a header is not believed', {
          check: advanced.code,
          reason: advanced.message,
        });
      return;
    }
    this.#believe({ ...this.#light, trust: advanced.value });
    await this.#endOverdue();
    // Also the header it had already, from a chain that stands still.
    if (!this.#clockSet) {
      this.#clockSet = true;
      this.#reportPower();
    }
    // Flash wears out: commands write the state anyway, headers alone only now and then.
    if (advanced.value.last.time - this.#trustWritten > TRUST_WRITE_MS) await this.#save();
  }

  async #onCommand(bytes: Uint8Array): Promise<void> {
    const frame = decodeCommandFrame(bytes);
    if (!frame.ok) return this.#o.log.warn('lamp: not a command frame', { reason: frame.message });
    const { command } = frame.value;
    const payload = parsePayload(this.#chain, command);
    // Without an id there is nothing an answer could refer to.
    if (!payload.ok) return this.#o.log.warn('lamp: not a command', { reason: payload.message });
    const { id } = payload.value;
    const before = this.#answers.get(toHex(id));
    // Its answer was lost, or somebody replays it: either way nothing is done, and the same is said again.
    if (before !== undefined) return void this.#client?.resend(before, true);
    const access = decodeAccessProof(frame.value.access);
    if (!access.ok) return this.#answer(id, { kind: 'refused', reason: 'proof' });

    const { replay, uses } = this.#light;
    const verdict = verifyCommand({
      trust: this.#light.trust,
      device: this.#o.signer.address,
      command,
      access: access.value,
      genesis: this.#o.genesis,
      now: this.now(),
      replay,
      uses,
      verify: this.#o.verify,
      ...(this.#o.limits && { limits: this.#o.limits }),
    });
    switch (verdict.kind) {
      case 'refused':
        this.#believe({ ...this.#light, trust: verdict.trust });
        this.#o.log.info('lamp: refused', { reason: verdict.reason, why: verdict.message });
        return this.#answer(id, { kind: 'refused', reason: verdict.reason });
      case 'accepted': {
        const { action } = verdict.command;
        const lamp = actOn(this.#light.lamp, this.#possible(action));
        const isUse = lamp.on && !this.#light.lamp.on;
        const now = this.now();
        const step = stepRental(this.#light.rental, { rental: verdict.rental, action, isUse, now });
        if (step.kind === 'refuse') {
          this.#believe({ ...this.#light, trust: verdict.trust });
          return this.#answer(id, { kind: 'refused', reason: 'not-begun' });
        }
        this.#believe({ trust: verdict.trust, replay, uses, lamp, rental: step.run });
        // First what must not be forgotten, then the light: a lamp that lost power here obeys nobody twice.
        await this.#save();
        this.#o.onState?.(lamp);
        this.#answer(id, { kind: 'done' });
        if (step.word !== undefined) this.#say(step.word);
        this.#reportPower();
      }
    }
  }

  /** A renter's time is over, whether he says so or not. */
  async #endOverdue(): Promise<void> {
    const over = overdueRental(this.#light.rental, this.now());
    if (over?.word === undefined) return;
    this.#believe({ ...this.#light, rental: over.run });
    await this.#save();
    this.#say(over.word);
  }

  #say(word: RentalWord): void {
    void this.#client?.publishRental(encodeRentalWord(word));
  }

  #possible(action: Action): Action {
    const { colour } = this.#o;
    if (action.kind !== 'colour-temperature' || colour === undefined) return action;
    return { ...action, kelvin: Math.min(Math.max(action.kelvin, colour.min), colour.max) };
  }

  #believe(light: LightState): void {
    if (light.trust.last.height > this.#light.trust.last.height) this.#trustedAt = this.#o.monotonicMs();
    this.#light = light;
  }

  #answer(command: Hash, outcome: Outcome): void {
    const content = encodeAcknowledgement({ command, outcome, ...this.#light.lamp, time: this.now() });
    void this.#client?.publishAcknowledgement(content, (bytes) => this.#remember(command, bytes));
  }

  #remember(command: Hash, bytes: Uint8Array): void {
    this.#answers.set(toHex(command), bytes);
    if (this.#answers.size <= ANSWERS_MAX) return;
    const oldest = this.#answers.keys().next();
    if (oldest.done !== true) this.#answers.delete(oldest.value);
  }

  async #save(): Promise<void> {
    await this.#o.store.write(STATE, encodeLightState(this.#light));
    this.#trustWritten = this.#light.trust.last.time;
  }

  #reportPower(): void {
    if ((this.#o.reportMs ?? 0) === 0 || !this.#clockSet) return;
    const { on, level } = this.#light.lamp;
    const watts = on ? Math.round((POWER_MAX_WATTS * level * 100) / 254) / 100 : 0.3;
    const time = this.now();
    void this.#client?.publishReadings([
      { name: 'power', unit: 'W', time, value: watts },
      { name: 'on', time, value: on },
      { name: 'level', time, value: level },
    ]);
  }
}
