/**
 * A device's connection to its gateways (spec EDGE-10): logs in by key, keeps what it is given until a gateway
 * has answered for it, and changes gateways when one is gone.
 */
import { Socket } from 'node:net';
import { connect, type IPublishPacket, type ISubscriptionMap, type MqttClient } from 'mqtt';
import type { Hash } from '@itc/core/crypto/hash.js';
import { StampSearch, type Stamp } from '@itc/core/dag/toll.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import type { DeviceSigner } from '../device-sdk/device-signer.ts';
import { anchorOf, StampWork, type WorkPolicy } from '../device-sdk/stamp-work.ts';
import { EDGE_LIMITS } from '../limits.ts';
import { reasonOf, type Log } from '../log.ts';
import { LOGIN_METHOD, loginSigningBytes } from '../login-proof.ts';
import { CODE_PROPERTY, isPassing } from '../publish-code.ts';
import {
  downStreamTopic,
  downTopic,
  HEADER_TOPIC,
  headerStreamTopic,
  noticeTopic,
  OWN_UP_TOPIC,
} from '../topics.ts';
import { encodeUploadFrame, UPLOAD_CONTENT_TYPE } from '../upload-frame.ts';
import { parseWorkDemand, WORK_PROPERTY, type WorkDemand } from '../work-demand.ts';

/** Where to connect, and who must be there: the login is of no use to anybody else. */
export interface GatewayPlace {
  /** `mqtt://host:port` */
  readonly url: string;
  readonly address: Address;
}

export interface DeviceClientOptions {
  readonly chain: Hash;
  readonly signer: DeviceSigner;
  readonly gateways: readonly GatewayPlace[];
  /** What it does when work is asked of it. Left out: it waits until none is asked any more. */
  readonly work?: WorkPolicy;
  /** The header it believes, where it follows the chain: what its work is anchored to. */
  readonly believed?: () => { readonly height: number; readonly hash: Hash } | undefined;
  /** Uniform in [0, 1): spreads reconnects. */
  readonly random: () => number;
  readonly log: Log;
  /** Epoch that streams have to begin at, of a device that follows the chain; others hear notices only. */
  readonly epoch?: () => number;
  /** Commands, and news of the device itself. */
  readonly onCommand?: (frame: Uint8Array) => void;
  /** A light stream to the newest header. */
  readonly onHeader?: (stream: Uint8Array) => void;
  /** Connected and listening. */
  readonly onReady?: () => void;
}

/** What became of a payload: `code` is absent when it was accepted, now or before. */
export interface Delivered {
  /** It was known already, and counts once. */
  readonly duplicate?: boolean;
  readonly code?: string;
  readonly reason?: string;
}

interface Spooled {
  /** The payload, COSE_Sign1. */
  readonly bytes: Uint8Array;
  /** Of a batch. */
  readonly readings: readonly Uint8Array[];
  readonly settle: (delivered: Delivered) => void;
  again: boolean;
  stamp: Stamp | undefined;
  /** Stamps searched since it last waited. */
  attempts: number;
}

const KEEP_ALIVE_SECONDS = 30;
const CONNECT_TIMEOUT_MS = 10_000;
const PAUSE_MS = 1_000;
const STOP_MS = 1_000;

export class DeviceClient {
  readonly #o: DeviceClientOptions;
  readonly #address: string;
  readonly #spool: Spooled[] = [];
  readonly #inFlight: Set<Spooled> = new Set();
  #spoolBytes = 0;
  #client: MqttClient | undefined;
  #ready = false;
  #paused = false;
  /** Being worked for; what waits behind it does so meanwhile. */
  #working: Spooled | undefined;
  /** Work was asked for lately: one payload at a time, or each one on its way would be refused. */
  #isDear = false;
  #stopped = true;
  /** Which gateway, and how often in a row it failed. */
  #at = 0;
  #failures = 0;
  /** Streams are heard from it on. */
  #epoch: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DeviceClientOptions) {
    this.#o = options;
    this.#address = formatAddress(options.signer.address);
  }

  get connected(): boolean {
    return this.#ready;
  }

  /** Payloads no gateway has answered for yet. */
  get waiting(): number {
    return this.#spool.length + this.#inFlight.size + (this.#working === undefined ? 0 : 1);
  }

  start(): void {
    this.#stopped = false;
    this.#connect();
  }

  /** Leaves politely; what is not acknowledged is lost with this process. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const client = this.#client;
    this.#client = undefined;
    this.#ready = false;
    if (client === undefined) return;
    // A proper end waits for answers on their way; a gateway that does not answer must not keep us.
    const force = setTimeout(() => client.end(true), STOP_MS);
    await client.endAsync().catch(() => {});
    clearTimeout(force);
  }

  /**
   * Sends what is signed; resolves when a gateway has it on disk, or has refused it for good.
   * @param urgent before everything else that waits @param readings of a batch, which go along
   */
  async resend(bytes: Uint8Array, urgent: boolean, readings: readonly Uint8Array[] = []): Promise<Delivered> {
    return await new Promise((settle) => {
      const entry: Spooled = { bytes, readings, settle, again: false, stamp: undefined, attempts: 0 };
      if (urgent) this.#spool.unshift(entry);
      else this.#spool.push(entry);
      this.#spoolBytes += bytesOf(entry);
      while (this.#spool.length > EDGE_LIMITS.spoolEntriesMax || this.#spoolBytes > EDGE_LIMITS.spoolBytesMax)
        this.#dropOldest(urgent);
      this.#pump();
    });
  }

  /** Full: the oldest reading goes, the newest is worth more. */
  #dropOldest(urgent: boolean): void {
    const [dropped] = this.#spool.splice(urgent ? 1 : 0, 1);
    if (dropped === undefined) return;
    this.#spoolBytes -= bytesOf(dropped);
    dropped.settle({ code: 'pool.full', reason: 'the device could not keep it any longer' });
  }

  #connect(): void {
    const { gateways, signer, chain, log } = this.#o;
    const place = gateways[this.#at % gateways.length] as GatewayPlace;
    const client = connect(place.url, {
      protocolVersion: 5,
      clientId: this.#address.slice(0, 32),
      clean: true,
      reconnectPeriod: 0,
      connectTimeout: CONNECT_TIMEOUT_MS,
      keepalive: KEEP_ALIVE_SECONDS,
      properties: {
        authenticationMethod: LOGIN_METHOD,
        authenticationData: Buffer.from(signer.publicKey.bytes),
      },
    });
    this.#client = client;
    client.handleAuth = (packet, callback) => {
      const challenge = new Uint8Array(packet.properties?.authenticationData ?? []);
      const signature = signer.sign(loginSigningBytes({ chain, gateway: place.address, challenge }));
      const properties = { authenticationMethod: LOGIN_METHOD, authenticationData: Buffer.from(signature) };
      callback(undefined, { cmd: 'auth', reasonCode: 0x18, properties });
    };
    client.on('error', (error) =>
      log.warn('device: connection', { url: place.url, reason: reasonOf(error) }),
    );
    client.on('message', (topic, payload, packet) => this.#onMessage(topic, payload, packet));
    client.on('connect', () => this.#onConnect(client));
    client.on('close', () => this.#onClose(client));
  }

  #onConnect(client: MqttClient): void {
    // Small packets against delayed acknowledgements of TCP would cost every answer 40 ms.
    if (client.stream instanceof Socket) client.stream.setNoDelay(true);
    client.subscribe([noticeTopic(this.#address), ...this.#streamTopics()], { qos: 1 }, (error) => {
      if (error !== null || client !== this.#client) return;
      this.#failures = 0;
      this.#ready = true;
      this.#pump();
      this.#o.onReady?.();
    });
  }

  #streamTopics(): string[] {
    const epoch = this.#o.epoch?.();
    this.#epoch = epoch;
    return epoch === undefined ? [] : [downStreamTopic(this.#address, epoch), headerStreamTopic(epoch)];
  }

  /** The device has come to another epoch, or streams began elsewhere: the gateway is told where, and sends again what waits. */
  listen(): void {
    const client = this.#client;
    if (client === undefined || !this.#ready) return;
    const before = this.#epoch;
    const topics = this.#streamTopics().map((topic) => [topic, { qos: 1 }] as const);
    // Also where it listens already: being heard is what counts.
    client.subscribe({ ...Object.fromEntries(topics), resubscribe: true } as ISubscriptionMap, () => {});
    if (before === undefined || before === this.#epoch) return;
    client.unsubscribe([downStreamTopic(this.#address, before), headerStreamTopic(before)], () => {});
  }

  /** What was on its way goes back to the front in its order; the next gateway is tried after a while. */
  #onClose(client: MqttClient): void {
    if (client !== this.#client) return;
    // Ending it closes it once more, which must not count as another failure.
    this.#client = undefined;
    client.end(true);
    this.#ready = false;
    for (const entry of this.#inFlight) entry.again = true;
    this.#spool.unshift(...this.#inFlight);
    this.#inFlight.clear();
    if (this.#stopped) return;
    this.#at += 1;
    const { reconnectMsMin, reconnectMsMax } = EDGE_LIMITS;
    // The first failure is most often one gateway that is gone: the next one is tried soon.
    const delayMs = Math.min(reconnectMsMax, reconnectMsMin * 2 ** Math.min(this.#failures, 16));
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#connect(), delayMs * (0.5 + this.#o.random() / 2));
  }

  #onMessage(topic: string, payload: Buffer, _packet: IPublishPacket): void {
    const bytes = new Uint8Array(payload);
    if (topic.startsWith(downTopic(this.#address))) this.#o.onCommand?.(bytes);
    else if (topic.startsWith(HEADER_TOPIC)) this.#o.onHeader?.(bytes);
    else this.#o.log.warn('device: the gateway says', { notice: payload.toString('utf8', 0, 512) });
  }

  #pump(): void {
    const client = this.#client;
    while (
      client !== undefined &&
      this.#ready &&
      !this.#paused &&
      this.#working === undefined &&
      this.#inFlight.size < (this.#isDear ? 1 : EDGE_LIMITS.deviceInFlightMax)
    ) {
      const entry = this.#spool.shift();
      if (entry === undefined) return;
      this.#inFlight.add(entry);
      const { bytes, contentType } = wireOf(entry);
      const options = { qos: 1 as const, dup: entry.again, properties: { contentType } };
      client.publish(OWN_UP_TOPIC, Buffer.from(bytes), options, (error, packet) => {
        // After the connection has ended the entry is back in the spool, and this answer is of no account.
        if (client !== this.#client || !this.#inFlight.has(entry)) return;
        const answer = packet as
          | { cmd?: string; properties?: { userProperties?: Record<string, string>; reasonString?: string } }
          | undefined;
        if (error instanceof Error && answer?.cmd !== 'puback') return;
        this.#onAnswer(entry, answer?.properties);
      });
    }
  }

  #onAnswer(
    entry: Spooled,
    properties: { userProperties?: Record<string, string>; reasonString?: string } | undefined,
  ): void {
    this.#inFlight.delete(entry);
    const code = properties?.userProperties?.[CODE_PROPERTY];
    if (code === 'payload.work-required') {
      this.#isDear = true;
      const demand = parseWorkDemand(properties?.userProperties?.[WORK_PROPERTY] ?? '');
      if (this.#workFor(entry, demand)) return;
    }
    if (code !== undefined && isPassing(code)) {
      entry.again = true;
      entry.stamp = undefined;
      entry.attempts = 0;
      this.#spool.unshift(entry);
      this.#pause();
      return;
    }
    this.#spoolBytes -= bytesOf(entry);
    this.#isDear = entry.stamp !== undefined;
    const reason = properties?.reasonString;
    entry.settle({
      ...(code === undefined ? {} : code === 'payload.duplicate' ? { duplicate: true } : { code }),
      ...(reason === undefined ? {} : { reason }),
    });
    this.#pump();
  }

  /** Whether it is worth working for this one now; it goes out again when a stamp is found. */
  #workFor(entry: Spooled, demand: WorkDemand | undefined): boolean {
    const { work, believed, log } = this.#o;
    if (work === undefined || demand === undefined || this.#working !== undefined) return false;
    if (demand.bits > work.bitsMax || entry.attempts >= work.attemptsMax) {
      log.warn('device: it waits instead of working', { bits: demand.bits, attempts: entry.attempts });
      return false;
    }
    const at = anchorOf(demand, believed?.());
    const payload = this.#idOf(entry);
    if (at === undefined || payload === undefined) return false;
    entry.attempts += 1;
    this.#working = entry;
    const tolled = { anchor: at.anchor, device: this.#o.signer.address, payload };
    const search = new StampSearch({ tolled, height: at.height, bits: demand.bits });
    const step = new StampWork({ search, bits: demand.bits, policy: work, monotonicMs });
    const slice = (): void => {
      // What stopped is not worth the work any more.
      if (this.#stopped) return;
      const done = step.slice();
      if (done.kind === 'goes-on') return void setImmediate(slice);
      this.#working = undefined;
      entry.again = true;
      if (done.kind === 'found') entry.stamp = done.stamp;
      this.#spool.unshift(entry);
      this.#pump();
    };
    setImmediate(slice);
    return true;
  }

  #idOf({ bytes }: Spooled): Hash | undefined {
    const parsed = parsePayload(this.#o.chain, bytes);
    return parsed.ok ? parsed.value.id : undefined;
  }

  /** The gateway has too much to do: a second of silence helps it more than another try. */
  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    setTimeout(
      () => {
        this.#paused = false;
        this.#pump();
      },
      PAUSE_MS * (0.5 + this.#o.random()),
    ).unref();
  }
}

const monotonicMs = (): number => performance.now();

function bytesOf({ bytes, readings }: Spooled): number {
  return readings.reduce((sum, reading) => sum + reading.length, bytes.length);
}

/** A payload with nothing beside it goes as it is: any gateway takes that. */
function wireOf({ bytes, readings, stamp }: Spooled): { bytes: Uint8Array; contentType: string } {
  if (stamp === undefined && readings.length === 0) return { bytes, contentType: 'application/cose' };
  const frame = encodeUploadFrame({ ...(stamp && { stamp }), payload: bytes, readings });
  return { bytes: frame, contentType: UPLOAD_CONTENT_TYPE };
}
