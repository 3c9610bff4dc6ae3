/**
 * A lamp that judges every command itself (spec EDGE-11), on the device SDK: light streams, replay windows, counts, clock and spool
 * over one flash. The gateway is a carrier that it believes nothing; with the uplink cut, it works on.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import { idText } from '@itc/core/bytes/id-text.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { encodeAcknowledgement, type Action, type Outcome } from '@itc/core/ledger/command.js';
import { genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import type { Millis } from '@itc/core/ledger/ids.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import { encodeRentalWord, type RentalWord } from '@itc/core/ledger/rental.js';
import type { ModelLimits } from '@itc/core/ledger/terms.js';
import type { Followed } from '@itc/core/light/stream-access.js';
import { encodeTrust, trustGenesis } from '@itc/core/light/trust.js';
import { stateKey } from '@itc/core/state/keys.js';
import { decodeRecord } from '@itc/core/state/records.js';
import { encodeSenml } from '../2-conversion/senml.ts';
import { decodeCommandFrame } from '../command-frame.ts';
import type { DeviceSigner } from '../device-sdk/device-signer.ts';
import { FieldDevice, type Decision } from '../device-sdk/field-device.ts';
import type { Flash } from '../device-sdk/flash.ts';
import { CHIP_WORK } from '../device-sdk/stamp-work.ts';
import { reasonOf, type Log } from '../log.ts';
import { DeviceClient, type GatewayPlace } from './device-client.ts';
import {
  actOn,
  decodeLightState,
  encodeLightState,
  newLightState,
  type LampState,
  type LightState,
} from './light-state.ts';
import { heardOf, overdueRental, stepRental, wordOf } from './rental-run.ts';
import { Uplink } from './uplink.ts';

export interface LampOptions {
  readonly genesis: Genesis;
  readonly signer: DeviceSigner;
  readonly gateways: readonly GatewayPlace[];
  /** All it remembers. */
  readonly flash: Flash;
  readonly verify: SignatureVerifier;
  /** Milliseconds since some start; never goes back. Time of day comes from the chain. */
  readonly monotonicMs: () => number;
  readonly random: () => number;
  readonly log: Log;
  readonly onState?: (state: LampState) => void;
  /** 0: it reports its power only when it changes. */
  readonly reportMs?: number;
  /** What it can do, as its maker has built it; a lamp that was told nothing does all there is. */
  readonly limits?: ModelLimits;
  /** Colour temperatures it can show, in kelvin; what it is asked for beyond them becomes the nearest. None when left out. */
  readonly colour?: { readonly min: number; readonly max: number };
}

/** Answers to the last commands, to be sent again when the question comes again. */
const ANSWERS_MAX = 32;
/** Between two requests for streams that begin where it is. */
const ASK_AGAIN_MS = 1_000;
const POWER_MAX_WATTS = 9;

export class Lamp {
  readonly #o: LampOptions;
  readonly #chain: Hash;
  readonly #field: FieldDevice;
  readonly #rentalKey: string;
  #light: LightState;
  #client: DeviceClient | undefined;
  #uplink: Uplink | undefined;
  readonly #answers: Map<string, Uint8Array> = new Map();
  #askedAt = Number.NEGATIVE_INFINITY;
  #report: NodeJS.Timeout | undefined;
  #hasReported = false;

  constructor(options: LampOptions) {
    const { genesis, signer, flash, verify, monotonicMs, limits, colour, log } = options;
    this.#o = options;
    this.#chain = genesisHash(genesis);
    this.#field = new FieldDevice({
      flash,
      chain: this.#chain,
      signer,
      trust: encodeTrust(trustGenesis(genesis)),
      verify,
      policy: 'drop-oldest',
      monotonicMs,
      ...(limits && { limits }),
    });
    this.#rentalKey = idText(stateKey('rental', signer.address));
    const own = this.#field.own();
    const kept = own && decodeLightState(own);
    if (own !== undefined && kept === undefined) log.warn('lamp: what it kept is of another version');
    this.#light = kept ?? newLightState(colour?.max);
  }

  get state(): LampState {
    return this.#light.lamp;
  }

  get connected(): boolean {
    return this.#client?.connected ?? false;
  }

  /** Chain time of the last believed header, and what has passed since. */
  now(): Millis {
    return this.#field.now().time;
  }

  /** For tests: the epoch it has come to. */
  get epoch(): number {
    return this.#field.epoch;
  }

  start(): Promise<void> {
    const { signer, gateways, random, log, reportMs } = this.#o;
    const field = this.#field;
    const client = new DeviceClient({
      chain: this.#chain,
      signer,
      gateways,
      random,
      log,
      work: CHIP_WORK,
      believed: () => field.believed,
      epoch: () => field.epoch,
      onCommand: (frame) => this.#guarded(() => this.#onFrame(frame)),
      onHeader: (stream) => this.#guarded(() => this.#onStream(stream)),
      onReady: () => this.#uplink?.pump(),
    });
    this.#client = client;
    this.#uplink = new Uplink({ field, client, log });
    client.start();
    if (this.#light.rental !== undefined) this.#say(wordOf(this.#light.rental));
    if ((reportMs ?? 0) > 0) this.#report = setInterval(() => this.#reportPower(), reportMs);
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    clearInterval(this.#report);
    await this.#client?.stop();
  }

  /** Bytes of others, and a flash in a file, must not end a lamp. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#o.log.error('lamp', { reason: reasonOf(error) });
    }
  }

  #onStream(stream: Uint8Array): void {
    const before = this.#field.epoch;
    const followed = this.#field.follow(stream);
    if (followed.ok) this.#learn(followed.value, before);
    else this.#doubt(followed.code, followed.message);
  }

  #onFrame(bytes: Uint8Array): void {
    const frame = decodeCommandFrame(bytes);
    if (!frame.ok) return this.#o.log.warn('lamp: not a command frame', { reason: frame.message });
    const { command, access: stream } = frame.value;
    if (command.length === 0) return this.#onStream(stream);
    const payload = parsePayload(this.#chain, command);
    // Without an id there is nothing an answer could refer to.
    if (!payload.ok) return this.#o.log.warn('lamp: not a command', { reason: payload.message });
    const { id } = payload.value;
    const answered = this.#answers.get(toHex(id));
    // Its answer was lost, or somebody replays it: either way nothing is done, and the same is said again.
    if (answered !== undefined) return void this.#client?.resend(answered, true);
    this.#onCommand(id, command, stream);
  }

  #onCommand(id: Hash, command: Uint8Array, stream: Uint8Array): void {
    const before = this.#field.epoch;
    let next = this.#light;
    let word: RentalWord | undefined;
    const verdict = this.#field.obey({
      command,
      stream,
      decide: ({ command: { action }, rental }): Decision => {
        const lamp = actOn(this.#light.lamp, this.#possible(action));
        const isUse = lamp.on && !this.#light.lamp.on;
        const step = stepRental(this.#light.rental, { rental, action, isUse, now: this.now() });
        if (step.kind === 'refuse') return { kind: 'refuse', reason: 'not-begun' };
        next = { lamp, rental: step.run };
        word = step.word;
        return { kind: 'go', own: encodeLightState(next) };
      },
    });
    if (verdict.kind === 'not-durable') return this.#o.log.error('lamp: its flash is worn out');
    if (verdict.followed !== undefined) this.#learn(verdict.followed, before);
    if (verdict.kind === 'refused') {
      this.#o.log.info('lamp: refused', { reason: verdict.reason, why: verdict.message });
      // A long way takes several answers: the command comes again from where this one has led.
      if (verdict.reason === 'proof' && this.#field.epoch !== before) return;
      // It may be the gateway that is behind: the same command comes again with a stream from here.
      if (verdict.unfollowed === 'trusted-set' && this.#askAnew()) return;
      return this.#answer(id, { kind: 'refused', reason: verdict.reason });
    }
    this.#light = next;
    this.#o.onState?.(next.lamp);
    this.#answer(id, { kind: 'done' });
    if (word !== undefined) this.#say(word);
    this.#reportPower();
  }

  #learn({ records }: Followed, epochBefore: number): void {
    if (this.#field.epoch !== epochBefore) this.#client?.listen();
    if (records.has(this.#rentalKey)) this.#hearOfRental(records.get(this.#rentalKey));
    this.#endOverdue();
    if (this.#hasReported) return;
    // From now on it knows the time.
    this.#hasReported = true;
    this.#reportPower();
  }

  #doubt(code: string, reason: string): void {
    if (code === 'stale' || (code === 'trusted-set' && this.#askAnew())) return;
    this.#o.log.warn('lamp: a header is not believed', { check: code, reason });
  }

  /** Streams have to begin at its epoch: it says again which that is. Whether it may ask, which is now and then. */
  #askAnew(): boolean {
    const now = this.#o.monotonicMs();
    if (this.#client === undefined || now - this.#askedAt < ASK_AGAIN_MS) return false;
    this.#askedAt = now;
    this.#client.listen();
    return true;
  }

  #hearOfRental(record: Uint8Array | undefined): void {
    const rental = record && decodeRecord('rental', record);
    if (rental?.ok === false) return;
    const shown = rental && { id: rental.value.id, end: rental.value.running?.end };
    const run = heardOf(this.#light.rental, shown, this.now());
    if (run !== this.#light.rental) this.#keep({ ...this.#light, rental: run });
  }

  /** A renter's time is over, whether he says so or not. */
  #endOverdue(): void {
    const over = overdueRental(this.#light.rental, this.now());
    if (over?.word === undefined) return;
    if (this.#keep({ ...this.#light, rental: over.run })) this.#say(over.word);
  }

  #keep(light: LightState): boolean {
    if (!this.#field.keepOwn(encodeLightState(light))) return false;
    this.#light = light;
    return true;
  }

  /** Signs what it attests about its firmware; true when a gateway has it for good. */
  async attest(content: Uint8Array): Promise<boolean> {
    const bytes = this.#field.sign('attestation', content);
    if (bytes === undefined || this.#client === undefined) return false;
    return (await this.#client.resend(bytes, true)).code === undefined;
  }

  #say(word: RentalWord): void {
    this.#send(this.#field.sign('rental', encodeRentalWord(word)));
  }

  #possible(action: Action): Action {
    const { colour } = this.#o;
    if (action.kind !== 'colour-temperature' || colour === undefined) return action;
    return { ...action, kelvin: Math.min(Math.max(action.kelvin, colour.min), colour.max) };
  }

  #answer(command: Hash, outcome: Outcome): void {
    const content = encodeAcknowledgement({ command, outcome, ...this.#light.lamp, time: this.now() });
    const bytes = this.#field.sign('ack', content);
    if (bytes !== undefined) this.#remember(command, bytes);
    this.#send(bytes);
  }

  /** Before readings that wait. */
  #send(bytes: Uint8Array | undefined): void {
    if (bytes === undefined) this.#o.log.error('lamp: its flash is worn out');
    else void this.#client?.resend(bytes, true);
  }

  #remember(command: Hash, bytes: Uint8Array): void {
    this.#answers.set(toHex(command), bytes);
    if (this.#answers.size <= ANSWERS_MAX) return;
    const oldest = this.#answers.keys().next();
    if (oldest.done !== true) this.#answers.delete(oldest.value);
  }

  #reportPower(): void {
    if ((this.#o.reportMs ?? 0) === 0 || !this.#hasReported) return;
    const { on, level } = this.#light.lamp;
    const watts = on ? Math.round((POWER_MAX_WATTS * level * 100) / 254) / 100 : 0.3;
    const time = this.now();
    this.#uplink?.store(
      encodeSenml('senml+cbor', [
        { name: 'power', unit: 'W', time, value: watts },
        { name: 'on', time, value: on },
        { name: 'level', time, value: level },
      ]),
    );
  }
}
