/**
 * The gateway: broker, vault, devices and commands round one ledger and one subnet member (spec EDGE). The HTTP API
 * asks it; devices reach it by MQTT. It holds no consensus rule and judges no command.
 */
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { millis } from '@itc/core/ledger/ids.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { MqttBroker, type BrokerEvent } from './1-connection/mqtt/broker.ts';
import type { Publish, PublishResult } from './1-connection/mqtt/publish.ts';
import type { SenmlRecord } from './2-conversion/senml.ts';
import type { Vault } from './3-cyber/vault/vault.ts';
import { GatewayAccess, type DevicePrincipal } from './gateway/access.ts';
import { Attestations, type ReleaseInstalls } from './gateway/attestations.ts';
import type { ProvenRecord } from './gateway/batches.ts';
import { Challenges } from './gateway/challenges.ts';
import { CommandDesk } from './gateway/commands.ts';
import { hashCredential } from './gateway/credential.ts';
import { Directory } from './gateway/directory.ts';
import { Ingest, type IngestOutcome } from './gateway/ingest.ts';
import { Rates } from './gateway/rate.ts';
import { visibleTo, type Visible } from './gateway/owners.ts';
import { Readings } from './gateway/readings.ts';
import { RentalWords, type SignedWord } from './gateway/rental-words.ts';
import { StreamDesk } from './gateway/stream-desk.ts';
import { SignatureQueue } from './gateway/signature-queue.ts';
import type {
  CommandView,
  DeviceView,
  GatewayEvent,
  PayloadView,
  ReadingView,
  SeriesView,
  StatusesView,
} from './gateway/views.ts';
import { EDGE_LIMITS } from './limits.ts';
import { reasonOf, type Log } from './log.ts';
import type { BatchPort, BatchVerifier, LedgerPort, SubnetPort } from './ports.ts';
import { publishResultOf } from './publish-code.ts';
import { downTopic, epochBelow, HEADER_TOPIC, noticeTopic } from './topics.ts';

export interface GatewayOptions {
  readonly ledger: LedgerPort;
  readonly subnet: SubnetPort;
  readonly vault: Vault;
  /** Left out: batches of other gateways are without readings here, until their devices bring them. */
  readonly batches?: BatchPort;
  readonly mqttHost: string;
  /** 0: any free port. */
  readonly mqttPort: number;
  /** One signature, at once: logins and acknowledgements do not wait for a batch. */
  readonly verify: SignatureVerifier;
  readonly verifyBatch: BatchVerifier;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: Log;
  /** Who may enrol devices without a key at this gateway: its operator, the owners it serves. Nobody if it always says no. */
  readonly mayEnrol: (caller: Address) => boolean;
  /** Shows readings to signed requests only. Otherwise whoever reaches the API sees those of the present owner. */
  readonly isSignedOnly?: boolean;
}

export interface Enrolment {
  /** Address of whoever signed the request; its signature is checked already. */
  readonly caller: Address;
  readonly name: string;
  readonly kind?: string;
  /** A registered device, which gets a name here; bech32m. */
  readonly device?: string;
  /** A device without a key. */
  readonly legacy?: { readonly password: string };
}

type Enrolled = Awaited<ReturnType<Directory['enrol']>>;

const KIND = /^[a-z][a-z0-9-]{0,31}$/;
const TICK_MS = 1_000;
/** Readings told to listeners a second; dashboards need no more, and the vault has them all. */
const READING_EVENTS_PER_SECOND = 50;

export class Gateway {
  readonly #o: GatewayOptions;
  readonly #directory: Directory;
  readonly #challenges: Challenges;
  readonly #broker: MqttBroker<DevicePrincipal>;
  readonly #ingest: Ingest;
  readonly #streams: StreamDesk;
  readonly #commands: CommandDesk;
  readonly #readings: Readings;
  readonly #listeners: Set<(event: GatewayEvent) => void> = new Set();
  readonly #readingRate: Rates;
  readonly #rentalWords: RentalWords = new RentalWords();
  readonly #attestations: Attestations;
  readonly #stopping: (() => void)[] = [];
  #port = 0;

  constructor(options: GatewayOptions) {
    this.#o = options;
    const { ledger, subnet, vault, verify, verifyBatch, now, log } = options;
    this.#directory = new Directory({ ledger, vault, now });
    this.#challenges = new Challenges(now);
    this.#attestations = new Attestations(vault);
    this.#readings = new Readings({ vault, chain: ledger.chain });
    this.#readingRate = new Rates({ perSecond: READING_EVENTS_PER_SECOND, keysMax: 1, now });
    this.#ingest = new Ingest({
      ledger,
      subnet,
      vault,
      directory: this.#directory,
      signatures: new SignatureQueue(verifyBatch),
      verify,
      now,
      log,
      listener: {
        acknowledged: (payload) => this.#commands.acknowledged(payload),
        awaits: (payload) => this.#commands.awaits(payload),
        lacks: (batch) => options.batches?.want(batch),
        completed: (batch) => options.batches?.has(batch),
        received: (payload, records) => this.#onReceived(payload, records),
        attested: (payload) => this.#attestations.hear(payload),
        rentalWord: (payload) => this.#onRentalWord(payload),
      },
    });
    options.batches?.use({
      find: (id) => vault.batch(id),
      take: (id, readings) => {
        this.#ingest.brought(id, readings).catch((error: unknown) => {
          log.error('readings of a batch could not be stored', { reason: reasonOf(error) });
        });
      },
    });
    this.#streams = new StreamDesk({ ledger, publish: (message) => this.#broker.publish(message) });
    this.#commands = new CommandDesk({
      ledger,
      vault,
      directory: this.#directory,
      verify,
      publish: (message) => this.#broker.publish(message),
      epochOf: (device) => this.#streams.epochOf(device),
      offer: (payload) => this.#ingest.offer(payload),
      changed: (command) => this.#emit({ kind: 'command', command }),
      now,
      log,
    });
    this.#broker = new MqttBroker({
      host: options.mqttHost,
      port: options.mqttPort,
      access: new GatewayAccess({ ledger, directory: this.#directory, challenges: this.#challenges, verify }),
      onPublish: (publish) => this.#onPublish(publish),
      onEvent: (event) => this.#onBrokerEvent(event),
      now,
      log,
    });
  }

  /** Loads what is stored, offers what never reached the subnet, listens. Errors: `port.taken`, `storage.corrupt`. */
  async start(): Promise<{ mqttPort: number }> {
    const { subnet, ledger } = this.#o;
    this.#directory.load();
    this.#commands.load();
    this.#attestations.load();
    this.#stopping.push(
      subnet.onHeard((payloads) => this.#onHeard(payloads)),
      subnet.onProgress((progress) => this.#onProgress(progress)),
      ledger.onHead(() => this.#onHead()),
    );
    const { port } = await this.#broker.start();
    this.#port = port;
    const tick = setInterval(() => this.#commands.tick(), TICK_MS);
    const resume = setInterval(() => this.#ingest.resume(), EDGE_LIMITS.offerRetryMs);
    this.#stopping.push(
      () => clearInterval(tick),
      () => clearInterval(resume),
    );
    this.#catchUp();
    this.#ingest.resume();
    this.#onHead();
    return { mqttPort: port };
  }

  /** Says goodbye to every device. The vault is the caller's to close, after this. */
  async stop(): Promise<void> {
    for (const stop of this.#stopping.splice(0)) stop();
    await this.#broker.stop();
  }

  get mqttPort(): number {
    return this.#port;
  }

  /** For status and metrics. */
  counts(): {
    readonly connections: number;
    readonly openPayloads: number;
    readonly vaultBytes: number;
    readonly accepted: number;
    readonly duplicates: number;
    readonly refused: number;
  } {
    const { vault } = this.#o;
    return {
      connections: this.#broker.connectionCount,
      openPayloads: vault.openCount,
      vaultBytes: vault.bytes,
      ...this.#ingest.counts,
    };
  }

  devices(): DeviceView[] {
    return this.#directory.views();
  }

  /** By address or name. */
  device(who: string): DeviceView | undefined {
    const known = this.#directory.find(who);
    if (known !== undefined) return this.#directory.view(known);
    const address = this.#directory.resolve(who);
    if (address === undefined) return undefined;
    const record = this.#o.ledger.device(address);
    if (record === undefined) return undefined;
    return {
      address: formatAddress(address),
      owner: formatAddress(record.owner),
      registered: true,
      online: false,
      latest: [],
    };
  }

  /** Address of a name, or of an address as text. */
  resolve(who: string): Address | undefined {
    return this.#directory.resolve(who);
  }

  /** `caller`: who signed the request. Readings of other owners' times are not among the answers (EDGE-7.3). */
  readings(o: {
    device: string;
    limit: number;
    before?: number;
    name?: string;
    caller?: Address;
  }): Result<ReadingView[], ErrorCode> {
    const asked = this.#asked(o);
    return asked.ok ? ok(this.#readings.list({ ...o, ...asked.value })) : asked;
  }

  series(o: {
    device: string;
    name: string;
    points: number;
    caller?: Address;
  }): Result<SeriesView, ErrorCode> {
    const asked = this.#asked(o);
    return asked.ok ? ok(this.#readings.series({ ...o, ...asked.value })) : asked;
  }

  #asked(o: {
    readonly device: string;
    readonly caller?: Address;
  }): Result<{ readonly device: Address; readonly visible?: Visible }, ErrorCode> {
    const device = this.#directory.resolve(o.device);
    if (device === undefined) return refused('not-found', `no device ${o.device}`);
    const { ledger, now, isSignedOnly = false } = this.#o;
    const record = ledger.device(device);
    const known = this.#directory.get(device);
    // Of a device that is not on the ledger the gateway itself is the keeper.
    if (record === undefined || known === undefined) return ok({ device });
    const { caller } = o;
    const visible = visibleTo(
      record,
      this.#directory.owners(known),
      {
        ...(caller && { caller }),
        mayRead: caller !== undefined && ledger.mayRead(device, caller, millis(now())),
      },
      isSignedOnly,
    );
    if (visible === undefined)
      return refused('request.unauthorised', 'this gateway shows readings to those who sign their requests');
    return ok({ device, visible });
  }

  payload(id: Hash): PayloadView | undefined {
    return this.#readings.payload(id);
  }

  /** The COSE_Sign1 as received. */
  payloadBytes(id: Hash): Uint8Array | undefined {
    return this.#o.vault.payload(id);
  }

  /** The readings of a batch, where they came here. */
  batch(id: Hash): readonly Uint8Array[] | undefined {
    return this.#o.vault.batch(id);
  }

  /** That a reading which came in a batch is under the root its device signed. */
  batchProof(id: Hash, index: number): ProvenRecord | undefined {
    return this.#readings.batchProof(id, index);
  }

  statuses(ids: readonly Hash[]): StatusesView {
    return this.#readings.statuses(ids);
  }

  /** A COSE_Sign1 of content type command. Resolves when it is on its way and stored; the same one again gives the same answer. */
  submitCommand(bytes: Uint8Array): Promise<Result<CommandView, ErrorCode>> {
    return this.#commands.submit(bytes);
  }

  command(id: string): CommandView | undefined {
    return this.#commands.get(id);
  }

  /** Newest first. */
  commands(o: { device?: string; limit: number }): Result<CommandView[], ErrorCode> {
    const device = o.device === undefined ? undefined : this.#directory.resolve(o.device);
    if (o.device !== undefined && device === undefined) return refused('not-found', `no device ${o.device}`);
    return ok(this.#commands.list({ limit: o.limit, ...(device === undefined ? {} : { device }) }));
  }

  /** What devices of this gateway attested, release by release. */
  installs(): Iterable<ReleaseInstalls> {
    return this.#attestations.installs();
  }

  /** What a device last said about its rental; by address. */
  rentalWords(device: string): readonly SignedWord[] {
    return this.#rentalWords.of(device);
  }

  /** For logins by user name and password: 32 bytes in hex, good for one login at this gateway. */
  challenge(): { challenge: string; expiresAt: number; gateway: string } {
    const { challenge, expiresAt } = this.#challenges.issue();
    return { challenge: toHex(challenge), expiresAt, gateway: formatAddress(this.#o.ledger.gateway) };
  }

  /** Names a registered device (its owner may), or enrols one without a key (who `mayEnrol` allows). */
  async enrol(request: Enrolment): Promise<Result<{ address: string; name: string }, ErrorCode>> {
    const { name, kind, device, legacy } = request;
    const flaw = Directory.nameFlaw(name);
    if (flaw !== undefined) return refused('request.malformed', `name: ${flaw}`);
    if (kind !== undefined && !KIND.test(kind))
      return refused('request.malformed', 'kind: expected up to 32 lower-case letters, digits and hyphens');
    if ((device === undefined) === (legacy === undefined))
      return refused('request.malformed', 'expected either device or legacy');
    const enrolled =
      legacy === undefined
        ? await this.#enrolRegistered(request, device as string)
        : await this.#enrolLegacy(request, legacy.password);
    if (!enrolled.ok) return enrolled;
    this.#emit({ kind: 'device', device: this.#directory.view(enrolled.value) });
    return ok({ address: formatAddress(enrolled.value.address), name });
  }

  events(listener: (event: GatewayEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #enrolRegistered(request: Enrolment, device: string): Promise<Enrolled> {
    const address = this.#directory.resolve(device);
    const record = address === undefined ? undefined : this.#o.ledger.device(address);
    if (address === undefined || record === undefined)
      return refused('request.malformed', `device: ${device} is not registered on the ledger`);
    if (!equalBytes(record.owner, request.caller))
      return refused('request.unauthorised', 'only the owner of the device names it');
    const { name, kind } = request;
    return await this.#directory.enrol({ address, name, ...(kind === undefined ? {} : { kind }) });
  }

  async #enrolLegacy(request: Enrolment, password: string): Promise<Enrolled> {
    const { name, kind, caller } = request;
    if (!this.#o.mayEnrol(caller))
      return refused(
        'request.unauthorised',
        'this gateway enrols devices without a key for its operator only',
      );
    const bytes = new TextEncoder().encode(password);
    const { credentialBytesMin, credentialBytesMax } = EDGE_LIMITS;
    if (bytes.length < credentialBytesMin || bytes.length > credentialBytesMax)
      return refused(
        'request.malformed',
        `password: expected ${credentialBytesMin} to ${credentialBytesMax} bytes`,
      );
    const address = this.#directory.legacyAddress(name);
    const credential = await hashCredential(bytes);
    const enrolled = await this.#directory.enrol({
      address,
      name,
      ...(kind === undefined ? {} : { kind }),
      legacy: { owner: caller, credential },
    });
    // Whoever is in with the old credential is out.
    if (enrolled.ok) this.#broker.evict(formatAddress(address), 'the credential was changed');
    return enrolled;
  }

  async #onPublish(publish: Publish<DevicePrincipal>): Promise<PublishResult> {
    const { principal, payload, properties, dup } = publish;
    const { contentType } = properties;
    const outcome = await this.#ingest.upload({
      device: principal.address,
      bytes: payload,
      again: dup,
      ...(contentType === undefined ? {} : { contentType }),
    });
    // A 3.1.1 client cannot be told no in the acknowledgement; the notice is before the end of its connection.
    if (outcome.kind === 'refused') this.#notify(principal, outcome);
    return publishResultOf(outcome);
  }

  #notify(principal: DevicePrincipal, outcome: Extract<IngestOutcome, { kind: 'refused' }>): void {
    const { code, message, payload, work } = outcome;
    const notice = JSON.stringify({
      code,
      message,
      ...(payload === undefined ? {} : { payload: toHex(payload) }),
      ...(work && { work: { ...work, anchor: toHex(work.anchor) } }),
    });
    const name = this.#directory.get(principal.address)?.row.name;
    for (const who of name === undefined ? [principal.id] : [principal.id, name])
      this.#broker.publish({ topic: noticeTopic(who), payload: notice, qos: 0 });
  }

  #onBrokerEvent(event: BrokerEvent<DevicePrincipal>): void {
    const { principal } = event;
    const known = this.#directory.meet(principal.address);
    if (known === undefined) return;
    switch (event.kind) {
      case 'connected':
        this.#directory.connected(known, this.#o.now());
        break;
      case 'disconnected':
        this.#directory.disconnected(known, this.#o.now());
        if (known.connections === 0) this.#streams.gone(principal.id);
        break;
      case 'subscribed':
        this.#onSubscribed(principal, event.filter);
        return;
    }
    this.#emit({ kind: 'device', device: this.#directory.view(known) });
  }

  #onSubscribed(principal: DevicePrincipal, filter: string): void {
    const down = downTopic(principal.id);
    const epoch = epochBelow(filter, down);
    if (epoch !== undefined) this.#streams.listens(principal, epoch);
    else if (filter === down) this.#streams.gone(principal.id);
    else return;
    this.#commands.deviceListens(principal.address);
  }

  #onRentalWord(payload: Payload): void {
    const word = this.#rentalWords.hear(payload);
    if (word !== undefined) this.#emit({ kind: 'rental-word', device: payload.device, word });
  }

  #onReceived(payload: Payload, records: readonly SenmlRecord[]): void {
    if (this.#listeners.size === 0) return;
    if (payload.contentType === 'ack') {
      const known = this.#directory.get(payload.device);
      if (known !== undefined) this.#emit({ kind: 'device', device: this.#directory.view(known) });
      return;
    }
    const { id, device } = payload;
    for (const reading of this.#readings.views({
      id,
      device,
      records: records.slice(-8),
      status: 'received',
    })) {
      if (!this.#readingRate.take('')) return;
      this.#emit({ kind: 'reading', reading });
    }
  }

  /** What became final between the last word of the member and the end of this process is told by the member's store. */
  #catchUp(): void {
    const { vault, subnet } = this.#o;
    const recent = Array.from(subnet.recent());
    this.#onHeard(recent);
    // A list first: what turns final leaves the table that is being read.
    const open = Array.from(
      vault.openPayloads({ from: 0, limit: EDGE_LIMITS.openPayloadsMax }),
      ({ id }) => id,
    );
    for (const { id } of recent) open.push(id);
    for (const id of open) {
      const final = subnet.final(id);
      if (final !== undefined) this.#onProgress({ payloads: [id], stage: 'final', ...final });
    }
  }

  #onHeard(payloads: readonly Payload[]): void {
    const failed = (error: unknown): void =>
      this.#o.log.error('a payload of another gateway could not be stored', { reason: reasonOf(error) });
    for (const payload of payloads) {
      const stored =
        payload.contentType === 'command' ? this.#commands.heard(payload) : this.#ingest.heard(payload);
      stored?.catch(failed);
    }
  }

  #onProgress(progress: Parameters<Parameters<SubnetPort['onProgress']>[0]>[0]): void {
    for (const { id, status } of this.#o.vault.progress(progress)) {
      if (status.contentType !== 'command') continue;
      const { stage, time, height } = progress;
      this.#commands.progressed(id, { stage, time, ...(height === undefined ? {} : { height }) });
    }
  }

  /** Devices that only listen keep up with the chain by this, so that their next proof is never too old. */
  #onHead(): void {
    const update = this.#o.ledger.trustUpdate();
    if (update !== undefined)
      this.#broker.publish({ topic: HEADER_TOPIC, payload: update, qos: 0, retain: true });
    this.#streams.onHead();
  }

  #emit(event: GatewayEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
