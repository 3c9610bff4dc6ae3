/**
 * From bytes on a topic to a payload that is safe (spec EDGE-3): form, sender, sequence, content, signature, vault, subnet.
 * Cheap checks come first; nothing is acknowledged before it is on disk.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { asHash, sha256, type Hash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { addressOf, type Address } from '@itc/core/ledger/address.js';
import { LedgerError, type ErrorCode } from '@itc/core/ledger/errors.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import {
  encodePayload,
  parsePayload,
  payloadSigningBytes,
  type Payload,
  type UnsignedPayload,
} from '@itc/core/ledger/payload.js';
import { detectFormat, type UpFormat } from '../2-conversion/detect.ts';
import { parseSenml, type SenmlRecord } from '../2-conversion/senml.ts';
import type { Row, Vault } from '../3-cyber/vault/vault.ts';
import { EDGE_LIMITS } from '../limits.ts';
import { reasonOf, type Log } from '../log.ts';
import type { LedgerPort, SubnetPort } from '../ports.ts';
import { batchRoot } from '../device-sdk/reading-batch.ts';
import { decodeUploadFrame, type UploadFrame } from '../upload-frame.ts';
import type { WorkDemand } from '../work-demand.ts';
import { checkBatch } from './batches.ts';
import type { Directory } from './directory.ts';
import type { SignatureQueue } from './signature-queue.ts';
import { TollGate } from './toll-gate.ts';

export interface Upload {
  /** The device that is logged in. */
  readonly device: Address;
  readonly bytes: Uint8Array;
  /** MQTT 5 content type, where given. */
  readonly contentType?: string;
  /** Sent before, by the device's own account. */
  readonly again: boolean;
}

export type IngestOutcome =
  | { readonly kind: 'accepted'; readonly payload: Hash; readonly duplicate: boolean }
  | {
      readonly kind: 'refused';
      readonly code: ErrorCode;
      readonly message: string;
      readonly payload?: Hash;
      /** With `payload.work-required`. */
      readonly work?: WorkDemand;
    };

/** Told of every payload that was accepted, before its publish is acknowledged. */
export interface IngestListener {
  /** Rows to be stored with an acknowledgement, after its signature was checked. */
  acknowledged(payload: Payload): Row[];
  /** Whether it answers a command that waits for an answer. */
  awaits(payload: Payload): boolean;
  received(payload: Payload, records: readonly SenmlRecord[], receivedAt: number): void;
  /** A batch came through the subnet without its readings. */
  lacks(batch: Hash): void;
  /** They came. */
  completed(batch: Hash): void;
  /** Rows to be stored with what a device that is logged in here attested. */
  attested(payload: Payload): Row[];
  /** About a rental, by a device that is logged in here. */
  rentalWord(payload: Payload): void;
}

export interface IngestOptions {
  readonly ledger: LedgerPort;
  readonly subnet: SubnetPort;
  readonly vault: Vault;
  readonly directory: Directory;
  readonly signatures: SignatureQueue;
  /** For acknowledgements, which do not wait for a batch. */
  readonly verify: SignatureVerifier;
  readonly listener: IngestListener;
  readonly now: () => number;
  readonly log: Log;
}

type Refusal = Extract<IngestOutcome, { kind: 'refused' }>;

export class Ingest {
  readonly #o: IngestOptions;
  /** Payload ids between their check and the vault, with what will be answered. */
  readonly #inWork: Map<string, Promise<IngestOutcome>> = new Map();
  /** Unsigned uploads by digest, to recognise one that is sent again: it has no id of its own. */
  readonly #attested: Map<string, Promise<IngestOutcome>> = new Map();
  #atOnce = 0;
  /** Arrival from which on payloads wait in the vault for the subnet; at the start, everything that does. */
  #backlog: number | undefined = 0;
  readonly counts = { accepted: 0, duplicates: 0, refused: 0 };
  readonly #toll: TollGate;

  constructor(options: IngestOptions) {
    this.#o = options;
    this.#toll = new TollGate(options);
  }

  async upload(upload: Upload): Promise<IngestOutcome> {
    this.#atOnce += 1;
    try {
      const outcome = await this.#upload(upload);
      if (outcome.kind === 'refused') this.counts.refused += 1;
      else if (outcome.duplicate) this.counts.duplicates += 1;
      else this.counts.accepted += 1;
      return outcome;
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      this.#o.log.warn('ingest: not possible', { code: error.code, reason: reasonOf(error) });
      this.counts.refused += 1;
      return refuse(error.code, error.message);
    } finally {
      this.#atOnce -= 1;
    }
  }

  async #upload(upload: Upload): Promise<IngestOutcome> {
    const { device } = upload;
    const opened = openUpload(upload.bytes, upload.contentType);
    if (opened === undefined)
      return refuse('payload.malformed', 'neither SenML nor COSE nor an upload that holds one of them');
    const { payload: bytes, format } = opened;
    if (bytes.length > LIMITS.payloadBytesMax)
      return refuse(
        'payload.too-large',
        `expected at most ${LIMITS.payloadBytesMax} bytes, got ${bytes.length}`,
      );
    if (this.#atOnce > EDGE_LIMITS.ingestAtOnceMax || this.#o.vault.openCount >= EDGE_LIMITS.openPayloadsMax)
      return refuse('pool.full', 'too many payloads are not final yet; try again later');
    if (!this.#o.directory.isAdmitted(device))
      return refuse('payload.unknown-device', 'the device is not registered to an owner');
    const item: Item = { ...opened, device, again: upload.again, size: upload.bytes.length };
    return format === 'cose' ? await this.#signed(item) : await this.#unsigned(item, format);
  }

  async #signed(item: Item): Promise<IngestOutcome> {
    const { device } = item;
    const { ledger, vault, now, signatures, verify } = this.#o;
    const parsed = parsePayload(ledger.chain, item.payload);
    if (!parsed.ok)
      return parsed.code === 'payload.too-large'
        ? refuse(parsed.code, parsed.message)
        : refuse('payload.malformed', parsed.message);
    const payload = parsed.value;
    if (payload.contentType === 'command')
      return refuse('request.unauthorised', 'commands are sent to the HTTP API', payload.id);
    if (!equalBytes(payload.device, device))
      return refuse(
        'request.unauthorised',
        'the payload is from another device than the one logged in',
        payload.id,
      );
    if (!equalBytes(addressOf(payload.signer), device))
      return refuse('request.unauthorised', 'a device signs for itself', payload.id);

    // An answer that is waited for is free: others must not make a lamp work by asking it.
    const isAwaited = payload.contentType === 'ack' && this.#o.listener.awaits(payload);
    const toll = isAwaited ? undefined : this.#tollOf(item, () => payload.id);
    if (toll !== undefined) return { ...toll, payload: payload.id };
    const text = Buffer.from(payload.id).toString('hex');
    const first = this.#inWork.get(text);
    if (first !== undefined) {
      this.#toll.duplicate(device);
      return asDuplicate(await first);
    }
    if (vault.status(payload.id) !== undefined) {
      this.#toll.duplicate(device);
      return await this.#known(payload, item.readings);
    }
    const check = (): Promise<boolean> =>
      payload.contentType === 'ack'
        ? Promise.resolve(verify(payload.signer, payload.signedBytes, payload.signature))
        : signatures.check(payload);
    const work = this.#verified(payload, { ...item, receivedAt: now() }, check);
    this.#inWork.set(text, work);
    try {
      return await work;
    } finally {
      this.#inWork.delete(text);
    }
  }

  #tollOf({ device, size, stamp }: Item, payload: () => Hash): Refusal | undefined {
    const work = this.#toll.pass({ device, payload, bytes: size, ...(stamp && { stamp }) });
    if (work === undefined) return undefined;
    const asked = `the device sends more than its share: ${work.bits} bits of work at height ${work.height}, or later`;
    return { ...refuse('payload.work-required', asked), work };
  }

  /** Heard of through the subnet a batch is its root alone; its readings are welcome still. */
  async #known(payload: Payload, readings: readonly Uint8Array[]): Promise<IngestOutcome> {
    const { vault, now } = this.#o;
    const known = { kind: 'accepted', payload: payload.id, duplicate: true } as const;
    if (readings.length === 0 || vault.batch(payload.id) !== undefined) return known;
    const receivedAt = now();
    const records = checkBatch(payload, readings, receivedAt);
    if (!records.ok) return refuse(records.code, records.message, payload.id);
    await vault.putBatch(payload.id, {
      batch: readings,
      readings: records.value.length,
      ...spanOf(records.value, receivedAt),
    });
    this.#tell(payload, records.value, receivedAt);
    this.#o.listener.completed(payload.id);
    return known;
  }

  /** Readings of a batch that is known, from another gateway. Resolves when they are on disk, or are not those of the root. */
  async brought(id: Hash, readings: readonly Uint8Array[]): Promise<void> {
    const bytes = this.#o.vault.payload(id);
    const payload = bytes && parsePayload(this.#o.ledger.chain, bytes);
    if (payload?.ok === true) await this.#known(payload.value, readings);
  }

  async #verified(
    payload: Payload,
    o: { readonly readings: readonly Uint8Array[]; readonly receivedAt: number },
    verify: () => Promise<boolean>,
  ): Promise<IngestOutcome> {
    const lane = this.#laneFlaw(payload);
    if (lane !== undefined) return lane;
    const records = contentOf(payload, o.receivedAt, o.readings);
    if ('kind' in records) return records;
    if (!(await verify())) {
      this.#toll.forged(payload.device);
      return refuse('payload.signature', 'the signature does not verify', payload.id);
    }
    // Another payload may have taken the sequence meanwhile.
    return this.#laneFlaw(payload) ?? (await this.#store(payload, records, o));
  }

  #laneFlaw(payload: Payload): Refusal | undefined {
    const { sequence, id } = payload;
    switch (this.#o.vault.lane(payload).check(sequence)) {
      case 'new':
        return undefined;
      case 'taken':
        return refuse('payload.stale', `sequence ${sequence} was used for another payload`, id);
      case 'stale':
        return refuse(
          'payload.stale',
          `sequence ${sequence} lies below the window of ${LIMITS.laneWindow}`,
          id,
        );
    }
  }

  /** The gateway vouches: it signs what the device sent, under its own counter for that device. */
  async #unsigned(item: Item, contentType: SenmlFormat): Promise<IngestOutcome> {
    if (item.readings.length > 0) return refuse('payload.malformed', 'a batch is signed by its device');
    const toll = this.#tollOf(item, () => sha256(item.payload));
    if (toll !== undefined) return toll;
    const digest = Buffer.from(sha256(Buffer.concat([item.device, item.payload]))).toString('hex');
    const before = item.again ? this.#attested.get(digest) : undefined;
    if (before !== undefined) {
      this.#toll.duplicate(item.device);
      return asDuplicate(await before);
    }
    const work = this.#attest(item, contentType);
    this.#attested.set(digest, work);
    if (this.#attested.size > EDGE_LIMITS.duplicateMemory) {
      const oldest = this.#attested.keys().next();
      if (oldest.done !== true) this.#attested.delete(oldest.value);
    }
    const outcome = await work;
    // What was refused may be tried again as new.
    if (outcome.kind === 'refused') this.#attested.delete(digest);
    return outcome;
  }

  async #attest({ payload: bytes, device }: Item, contentType: SenmlFormat): Promise<IngestOutcome> {
    const { ledger, subnet, vault, now } = this.#o;
    const receivedAt = now();
    const parsed = parseSenml(contentType, bytes, receivedAt);
    if (!parsed.ok) return refuse('payload.not-senml', parsed.message);
    const lane = vault.lane({ signer: subnet.key, device });
    const unsigned: UnsignedPayload = {
      signer: subnet.key,
      device,
      sequence: lane.high + 1,
      contentType,
      content: bytes,
    };
    const signature = subnet.sign(payloadSigningBytes(ledger.chain, unsigned));
    const payload = parsePayload(ledger.chain, encodePayload(unsigned, signature));
    // The envelope round the content can make it too large; nothing else can go wrong with our own bytes.
    if (!payload.ok) return refuse('payload.too-large', payload.message);
    return await this.#store(payload.value, parsed.value, { receivedAt, readings: [] });
  }

  async #store(
    payload: Payload,
    records: readonly SenmlRecord[],
    o: { readonly receivedAt: number; readonly readings: readonly Uint8Array[] },
  ): Promise<IngestOutcome> {
    const rows = payload.contentType === 'attestation' ? this.#o.listener.attested(payload) : [];
    await this.#keep(payload, records, { ...o, rows });
    this.offer(payload);
    if (payload.contentType === 'rental') this.#o.listener.rentalWord(payload);
    return { kind: 'accepted', payload: payload.id, duplicate: false };
  }

  /**
   * A payload that came through the subnet, from another gateway of the same home: kept here as well, so that either
   * gateway can answer for it. Its signature was checked with its envelope. Nothing when it is known, out of its window,
   * or not to be read. Resolves when it is on disk.
   */
  heard(payload: Payload): Promise<void> | undefined {
    const { vault, now } = this.#o;
    if (vault.status(payload.id) !== undefined || vault.lane(payload).check(payload.sequence) !== 'new')
      return undefined;
    const receivedAt = now();
    const records = contentOf(payload, receivedAt, []);
    if ('kind' in records) return undefined;
    const kept = this.#keep(payload, records, { receivedAt, readings: [] });
    return batchRoot(payload) === undefined ? kept : kept.then(() => this.#o.listener.lacks(payload.id));
  }

  /** To the vault, then to whoever listens. No await before `vault.put`: the sequence is taken in the turn it was checked in. */
  async #keep(
    payload: Payload,
    records: readonly SenmlRecord[],
    o: {
      readonly receivedAt: number;
      readonly readings: readonly Uint8Array[];
      readonly rows?: readonly Row[];
    },
  ): Promise<void> {
    const { vault, listener } = this.#o;
    const { receivedAt, readings } = o;
    const rows = payload.contentType === 'ack' ? listener.acknowledged(payload) : (o.rows ?? []);
    await vault.put({
      payload,
      readings: records.length,
      receivedAt,
      ...spanOf(records, receivedAt),
      ...(readings.length > 0 && { batch: readings }),
      rows,
    });
    this.#tell(payload, records, receivedAt);
  }

  #tell(payload: Payload, records: readonly SenmlRecord[], receivedAt: number): void {
    const { directory, listener } = this.#o;
    const known = directory.meet(payload.device);
    if (known !== undefined) directory.heard(known, records, receivedAt);
    listener.received(payload, records, receivedAt);
  }

  /**
   * To the subnet. Once its queue was full, what comes later lines up in the vault behind what was refused,
   * and `resume` brings it in that order.
   */
  offer(payload: Payload): void {
    if (this.#backlog !== undefined || this.#o.subnet.offer(payload).ok) return;
    this.#backlog = this.#o.vault.status(payload.id)?.arrival ?? 0;
    this.#o.log.warn('ingest: the subnet takes no more at the moment; payloads wait in the vault');
  }

  /** Offers what waits in the vault and has not reached the DAG; after a restart that is whatever did not get there. */
  resume(): void {
    if (this.#backlog === undefined) return;
    let seen = 0;
    for (const { status, bytes } of this.#o.vault.openPayloads({
      from: this.#backlog,
      limit: EDGE_LIMITS.offerRetryBatch,
    })) {
      seen += 1;
      const payload = status.stage === 'received' ? parsePayload(this.#o.ledger.chain, bytes) : undefined;
      if (payload?.ok === true && !this.#o.subnet.offer(payload.value).ok) return;
      this.#backlog = status.arrival + 1;
    }
    if (seen < EDGE_LIMITS.offerRetryBatch) this.#backlog = undefined;
  }
}

type SenmlFormat = Exclude<UpFormat, 'cose' | 'upload'>;

/** An upload without its frame, where it has one. */
interface Opened extends UploadFrame {
  readonly format: SenmlFormat | 'cose';
}

interface Item extends Opened {
  readonly device: Address;
  readonly again: boolean;
  /** Of all that was sent. */
  readonly size: number;
}

function openUpload(bytes: Uint8Array, contentType: string | undefined): Opened | undefined {
  const format = detectFormat(bytes, contentType);
  if (format !== 'upload') return format && { format, payload: bytes, readings: [] };
  const frame = decodeUploadFrame(bytes);
  const inner = frame.ok ? detectFormat(frame.value.payload) : undefined;
  return !frame.ok || inner === undefined || inner === 'upload'
    ? undefined
    : { ...frame.value, format: inner };
}

function spanOf(
  records: readonly SenmlRecord[],
  receivedAt: number,
): { readonly timeMin: number; readonly timeMax: number } {
  if (records.length === 0) return { timeMin: receivedAt, timeMax: receivedAt };
  const times = records.map(({ time }) => time);
  return { timeMin: Math.min(...times), timeMax: Math.max(...times) };
}

function contentOf(
  payload: Payload,
  receivedAt: number,
  readings: readonly Uint8Array[],
): SenmlRecord[] | Refusal {
  if (readings.length > 0) {
    const records = checkBatch(payload, readings, receivedAt);
    return records.ok ? records.value : refuse(records.code, records.message, payload.id);
  }
  // Heard of without its readings.
  if (batchRoot(payload) !== undefined) return [];
  switch (payload.contentType) {
    case 'senml+json':
    case 'senml+cbor': {
      const parsed = parseSenml(payload.contentType, payload.content, receivedAt);
      return parsed.ok ? parsed.value : refuse('payload.not-senml', parsed.message, payload.id);
    }
    case 'ack':
    case 'command':
    case 'value':
    case 'accusation':
    case 'rental':
    case 'attestation':
      return [];
  }
}

function asDuplicate(outcome: IngestOutcome): IngestOutcome {
  return outcome.kind === 'accepted' ? { ...outcome, duplicate: true } : outcome;
}

function refuse(code: ErrorCode, message: string, payload?: Hash): Refusal {
  return { kind: 'refused', code, message, ...(payload === undefined ? {} : { payload: asHash(payload) }) };
}
