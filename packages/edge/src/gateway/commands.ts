/**
 * Commands on their way to devices (spec EDGE-9). The gateway carries them and keeps honest account; it does not judge
 * who may: that is the lamp's, which believes nobody. A command leaves at once and is stored meanwhile.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import { decodeAcknowledgement, decodeCommand, type Action, type Command } from '@itc/core/ledger/command.js';
import { millis } from '@itc/core/ledger/ids.js';
import { LedgerError, type ErrorCode } from '@itc/core/ledger/errors.js';
import { parsePayload, payloadAccount, type Payload } from '@itc/core/ledger/payload.js';
import { decodeAccessProof } from '@itc/core/light/access-proof.js';
import type { MqttBroker } from '../1-connection/mqtt/broker.ts';
import type { Row, Vault } from '../3-cyber/vault/vault.ts';
import { encodeCommandFrame } from '../command-frame.ts';
import { EDGE_LIMITS } from '../limits.ts';
import { reasonOf, type Log } from '../log.ts';
import type { LedgerPort, Wanted } from '../ports.ts';
import { downStreamTopic, downTopic } from '../topics.ts';
import type { DevicePrincipal } from './access.ts';
import { commandSignatures, costOf } from './command-signatures.ts';
import type { Directory } from './directory.ts';
import { Rates } from './rate.ts';
import type { CommandView } from './views.ts';

interface Entry {
  view: CommandView;
  readonly key: Uint8Array;
  readonly device: Address;
  readonly signer: Address;
  readonly notAfter: number;
  /** Until the device has answered: what has to be sent (again). */
  bytes: Uint8Array | undefined;
}

/** As stored: the view and what it does not show. */
interface CommandRow {
  readonly view: CommandView;
  readonly notAfter: number;
}

const NO_WAY = 'no answer of this gateway leads from the epoch of the device to now';

export interface CommandDeskOptions {
  readonly ledger: LedgerPort;
  readonly vault: Vault;
  readonly directory: Directory;
  readonly verify: SignatureVerifier;
  readonly publish: MqttBroker<DevicePrincipal>['publish'];
  /** From which epoch on a device hears streams; undefined: it takes access proofs. */
  readonly epochOf: (device: string) => number | undefined;
  /** To the subnet, once stored. */
  readonly offer: (payload: Payload) => void;
  readonly changed: (command: CommandView) => void;
  readonly now: () => number;
  readonly log: Log;
}

/** Some milliseconds of a processor, in the units of CRYPTO-11: ML-DSA, or several keys. */
const DEAR_COST = 8;
/** Of one signature of ML-DSA, which is what a second has so many of. */
const DEAREST_COST = 32;

export class CommandDesk {
  readonly #o: CommandDeskOptions;
  /** In order of coming; the oldest closed ones go. */
  readonly #entries: Map<string, Entry> = new Map();
  /** Not answered, by device. */
  readonly #open: Map<string, Set<Entry>> = new Map();
  readonly #known: Rates;
  readonly #strangers: Rates;
  /** Checked before anybody is known: what strangers can make this gateway compute is bounded. */
  readonly #dear: Rates;

  constructor(options: CommandDeskOptions) {
    this.#o = options;
    const { now } = options;
    this.#known = new Rates({ perSecond: EDGE_LIMITS.commandsPerSecondOwner, keysMax: 4_096, now });
    this.#dear = new Rates({ perSecond: EDGE_LIMITS.commandsPerSecondOwner, keysMax: 1, now });
    this.#strangers = new Rates({ perSecond: EDGE_LIMITS.commandsPerSecondStrangers, keysMax: 4_096, now });
  }

  /** After a restart: what was not answered and is still valid waits for its device again. */
  load(): void {
    const { vault, ledger, directory } = this.#o;
    const rows = [...vault.rows('commands', { reverse: true, limit: EDGE_LIMITS.commandsKeptMax })].reverse();
    for (const { key, value } of rows) {
      const { view, notAfter } = value as CommandRow;
      const id = key.subarray(8);
      const device = directory.resolve(view.device);
      const bytes = vault.payload(id as Hash);
      const payload = bytes && parsePayload(ledger.chain, bytes);
      if (device === undefined || payload?.ok !== true) continue;
      const open =
        view.outcome === undefined && this.#deadline(notAfter, view.stages.sent ?? 0) > this.#o.now();
      const entry: Entry = {
        view,
        key,
        device,
        signer: payloadAccount(payload.value),
        notAfter,
        bytes: open ? bytes : undefined,
      };
      this.#entries.set(view.id, entry);
      if (open) this.#openOf(view.device).add(entry);
    }
  }

  /** Sends at once where the device is here, else when it comes back; resolves when the command is stored. */
  async submit(bytes: Uint8Array): Promise<Result<CommandView, ErrorCode>> {
    const { ledger, now } = this.#o;
    const parsed = parsePayload(ledger.chain, bytes);
    if (!parsed.ok) return parsed;
    const payload = parsed.value;
    if (payload.contentType !== 'command') return refused('payload.malformed', 'the payload is no command');
    const command = decodeCommand(payload.content, payload.signer);
    if (!command.ok) return refused('payload.malformed', command.message);
    if (!equalBytes(command.value.device, payload.device))
      return refused('payload.malformed', 'header and content name different devices');
    const known = this.#entries.get(toHex(payload.id));
    if (known !== undefined) return ok(known.view);
    const record = ledger.device(payload.device);
    if (record === undefined) return refused('device.unknown', 'the device is not registered to an owner');
    const flaw = this.#signatureFlaw(payload, command.value);
    if (flaw !== undefined) return flaw;

    const signer = payloadAccount(payload);
    const access = ledger.accessProof(payload.device, signer, this.#wanted(command.value.action));
    if (access === undefined)
      return refused(
        'not-ready',
        'the ledger has no proof about this device yet; try again after the next block',
      );
    const limit = this.#rateFlaw(payload, signer, access, record.owner);
    if (limit !== undefined) return limit;
    if (this.#o.vault.lane(payload).check(payload.sequence) !== 'new')
      return refused('payload.stale', `sequence ${payload.sequence} was used, or lies below the window`);
    const entry = this.#enter(payload, command.value, signer, now());
    this.#send(entry, access);
    await this.#store(entry, payload);
    return ok(entry.view);
  }

  /** A command that another gateway took: the device may be connected here. It was offered there, so not again. */
  async heard(payload: Payload): Promise<void> {
    const { ledger, vault, now } = this.#o;
    const command = decodeCommand(payload.content);
    if (!command.ok || !equalBytes(command.value.device, payload.device)) return;
    if (this.#entries.has(toHex(payload.id)) || vault.lane(payload).check(payload.sequence) !== 'new') return;
    const signer = payloadAccount(payload);
    const access = ledger.accessProof(payload.device, signer, this.#wanted(command.value.action));
    const record = ledger.device(payload.device);
    if (access === undefined || record === undefined) return;
    if (this.#rateFlaw(payload, signer, access, record.owner) !== undefined) return;
    const entry = this.#enter(payload, command.value, signer, now());
    this.#send(entry, access);
    await this.#store(entry, payload, false);
  }

  /** Of all who signed. What they weigh together is for the device to judge. */
  #signatureFlaw(payload: Payload, command: Command): Result<never, ErrorCode> | undefined {
    const { ledger, verify } = this.#o;
    const checks = commandSignatures(ledger.chain, payload, command);
    const cost = costOf(checks);
    for (let spent = 0; cost > DEAR_COST && spent < cost; spent += DEAREST_COST)
      if (!this.#dear.take(''))
        return refused('pool.full', 'too many signatures that are dear to check; try again later');
    const place = checks.findIndex(({ key, message, signature }) => !verify(key, message, signature));
    if (place < 0) return undefined;
    return refused(
      'payload.signature',
      place === 0
        ? 'the signature does not verify'
        : `the signature of the further signer ${place} is not over this command`,
    );
  }

  /** Of a signer's grants the one that allows it goes along; judged by what time the device will have. */
  #wanted(action: Action): Wanted {
    return { action, at: millis(Math.max(this.#o.now(), this.#o.ledger.head().time)) };
  }

  /** A stranger may knock, but not so often that the owner is not heard. */
  #rateFlaw(
    payload: Payload,
    signer: Address,
    access: Uint8Array,
    owner: Address,
  ): Result<never, ErrorCode> | undefined {
    const device = formatAddress(payload.device);
    const proof = equalBytes(signer, owner) ? undefined : decodeAccessProof(access);
    const granted = proof === undefined || (proof.ok && proof.value.grant?.record !== undefined);
    const room = granted ? this.#known.take(`${device} ${toHex(signer)}`) : this.#strangers.take(device);
    if (!room) return refused('pool.full', 'too many commands a second; try again later');
    const open = this.#open.get(device);
    if (open === undefined || granted) {
      // The owner's queue has room beyond the strangers' share.
      return (open?.size ?? 0) < 2 * EDGE_LIMITS.commandsPerDeviceQueuedMax
        ? undefined
        : refused('pool.full', 'too many commands wait for this device');
    }
    return open.size < EDGE_LIMITS.commandsPerDeviceQueuedMax
      ? undefined
      : refused('pool.full', 'too many commands wait for this device');
  }

  #enter(payload: Payload, command: Command, signer: Address, now: number): Entry {
    const device = formatAddress(payload.device);
    const entry: Entry = {
      view: {
        id: toHex(payload.id),
        device,
        signer: formatAddress(signer),
        action: command.action,
        stages: {},
      },
      key: new Writer(40).u53(now).raw(payload.id).finish(),
      device: payload.device,
      signer,
      notAfter: command.notAfter,
      bytes: payload.bytes,
    };
    this.#entries.set(entry.view.id, entry);
    this.#openOf(device).add(entry);
    if (this.#entries.size > EDGE_LIMITS.commandsKeptMax) this.#forgetOldest();
    return entry;
  }

  #openOf(device: string): Set<Entry> {
    let open = this.#open.get(device);
    if (open === undefined) {
      open = new Set();
      this.#open.set(device, open);
    }
    return open;
  }

  #forgetOldest(): void {
    const oldest = this.#entries.values().next().value;
    if (oldest === undefined) return;
    this.#close(oldest);
    this.#entries.delete(oldest.view.id);
    this.#o.vault.putRows([{ table: 'commands', key: oldest.key, value: undefined }]).catch(() => {});
  }

  #send(entry: Entry, access: Uint8Array): void {
    if (entry.bytes === undefined) return;
    const now = this.#o.now();
    const way = this.#way(entry, access);
    const reached =
      way === undefined
        ? 0
        : this.#o.publish({
            topic: way.topic,
            payload: encodeCommandFrame({ command: entry.bytes, access: way.access }),
            qos: 1,
            expirySeconds: Math.max(1, Math.ceil((this.#deadline(entry.notAfter, now) - now) / 1000)),
          });
    const { waiting: _, ...view } = entry.view;
    entry.view =
      reached > 0
        ? { ...view, stages: { sent: now, ...view.stages } }
        : { ...view, waiting: way === undefined ? NO_WAY : this.#absence(entry.device) };
    this.#o.changed(entry.view);
  }

  /** By a stream from the device's epoch where it listens for one, and one leads from there; else by the proof. */
  #way(
    entry: Entry,
    access: Uint8Array,
  ): { readonly topic: string; readonly access: Uint8Array } | undefined {
    const { ledger, epochOf } = this.#o;
    const { device } = entry.view;
    const epoch = epochOf(device);
    if (epoch === undefined) return { topic: downTopic(device), access };
    const keys = ledger.accessKeys(entry.device, entry.signer, this.#wanted(entry.view.action));
    const stream = keys && ledger.stream(epoch, keys);
    return stream && { topic: downStreamTopic(device, epoch), access: stream };
  }

  #absence(device: Address): string {
    const known = this.#o.directory.get(device);
    const name = known?.row.name ?? formatAddress(device);
    const seen = known?.lastSeen;
    return `${name} is asleep or offline; ${seen === undefined ? 'it was never seen here' : `last seen ${new Date(seen).toISOString()}`}`;
  }

  async #store(entry: Entry, payload: Payload, isOurs = true): Promise<void> {
    const receivedAt = this.#o.now();
    try {
      await this.#o.vault.put({
        payload,
        readings: 0,
        receivedAt,
        timeMin: receivedAt,
        timeMax: receivedAt,
        rows: [this.#row(entry)],
      });
      if (isOurs) this.#o.offer(payload);
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      // The lamp may have acted already. A full disk must not keep anybody in the dark.
      this.#o.log.error('commands: a command was sent and could not be stored', {
        id: entry.view.id,
        reason: reasonOf(error),
      });
    }
  }

  #row(entry: Entry): Row {
    return {
      table: 'commands',
      key: entry.key,
      value: { view: entry.view, notAfter: entry.notAfter } satisfies CommandRow,
    };
  }

  /** The device listens: everything that waits for it goes out, each with a proof of now. */
  deviceListens(device: Address): void {
    const open = this.#open.get(formatAddress(device));
    if (open === undefined) return;
    for (const entry of [...open].toSorted(
      (a, b) => (a.view.stages.sent ?? Infinity) - (b.view.stages.sent ?? Infinity),
    )) {
      if (this.#deadline(entry.notAfter, this.#o.now()) <= this.#o.now()) continue;
      const wanted = this.#wanted(entry.view.action);
      const access = this.#o.ledger.accessProof(entry.device, entry.signer, wanted);
      if (access !== undefined) this.#send(entry, access);
    }
  }

  /** Whether it answers a command of this gateway that has no answer yet. */
  awaits(payload: Payload): boolean {
    const decoded = decodeAcknowledgement(payload.content);
    const entry = decoded.ok ? this.#entries.get(toHex(decoded.value.command)) : undefined;
    return (
      entry !== undefined && entry.view.outcome === undefined && equalBytes(entry.device, payload.device)
    );
  }

  /** From a payload the device signed. Returns the rows to store with it. The first answer stands. */
  acknowledged(payload: Payload): Row[] {
    const decoded = decodeAcknowledgement(payload.content);
    if (!decoded.ok) return [];
    const { command, outcome, on, level, kelvin, time } = decoded.value;
    const lamp = { on, level, ...(kelvin !== undefined && { kelvin }) };
    const { directory, now } = this.#o;
    const known = directory.meet(payload.device);
    const rows = known === undefined ? [] : directory.stateRow(known, { ...lamp, time });
    const entry = this.#entries.get(toHex(command));
    if (entry === undefined || !equalBytes(entry.device, payload.device) || entry.view.outcome !== undefined)
      return rows;
    const { waiting: _, ...view } = entry.view;
    const answered = now();
    entry.view = {
      ...view,
      stages: { sent: answered, ...view.stages, acknowledged: answered },
      outcome,
      state: lamp,
    };
    this.#close(entry);
    this.#o.changed(entry.view);
    return [...rows, this.#row(entry)];
  }

  #close(entry: Entry): void {
    entry.bytes = undefined;
    const open = this.#open.get(entry.view.device);
    open?.delete(entry);
    if (open?.size === 0) this.#open.delete(entry.view.device);
  }

  /** What the subnet says of a command's payload. */
  progressed(id: Hash, o: { stage: 'in-dag' | 'accepted' | 'final'; time: number; height?: number }): void {
    const entry = this.#entries.get(toHex(id));
    if (entry === undefined || o.stage === 'accepted') return;
    const { stages } = entry.view;
    entry.view =
      o.stage === 'in-dag'
        ? { ...entry.view, stages: { ...stages, inDag: stages.inDag ?? o.time } }
        : {
            ...entry.view,
            stages: { ...stages, inDag: stages.inDag ?? o.time, final: o.time },
            ...(o.height === undefined ? {} : { height: o.height }),
          };
    this.#o.vault.putRows([this.#row(entry)]).catch(() => {});
    this.#o.changed(entry.view);
  }

  /** About once a second: commands that nobody answered in time are closed, and say so. */
  tick(): void {
    const now = this.#o.now();
    for (const open of this.#open.values()) {
      for (const entry of open) {
        if (this.#deadline(entry.notAfter, entry.view.stages.sent ?? now) > now) continue;
        entry.view = { ...entry.view, waiting: `not answered in time; ${this.#absence(entry.device)}` };
        this.#close(entry);
        this.#o.vault.putRows([this.#row(entry)]).catch(() => {});
        this.#o.changed(entry.view);
      }
    }
  }

  get(id: string): CommandView | undefined {
    return this.#entries.get(id)?.view;
  }

  /** Newest first. */
  list(o: { device?: Address; limit: number }): CommandView[] {
    const views: CommandView[] = [];
    for (const entry of [...this.#entries.values()].toReversed()) {
      if (views.length >= o.limit) break;
      if (o.device === undefined || equalBytes(entry.device, o.device)) views.push(entry.view);
    }
    return views;
  }

  #deadline(notAfter: number, from: number): number {
    return Math.min(notAfter, (from === 0 ? this.#o.now() : from) + EDGE_LIMITS.commandWaitMsMax);
  }
}
