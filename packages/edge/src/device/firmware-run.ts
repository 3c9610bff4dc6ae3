/**
 * How a simulated device keeps its firmware up (spec EDGE-14, STATE-23): it asks any gateway for the proof of its product line, decides
 * by itself, fetches the image from wherever it may lie, and installs it when nobody would notice. What it says afterwards is signed by it.
 */
import type { Reader } from '@itc/core/bytes/reader.js';
import { decode } from '@itc/core/bytes/reader.js';
import { equalBytes } from '@itc/core/bytes/hex.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { sha256, type Hash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import type { Address } from '@itc/core/ledger/address.js';
import {
  encodeAttestation,
  formatVersion,
  readVersion,
  writeVersion,
  type Version,
} from '@itc/core/ledger/firmware.js';
import type { Genesis } from '@itc/core/ledger/genesis.js';
import { millis, type Millis } from '@itc/core/ledger/ids.js';
import { decodeFirmwareProof, verifyFirmware } from '@itc/core/light/firmware-proof.js';
import { trustGenesis, type Trust } from '@itc/core/light/trust.js';
import { decideFirmware, type NumberedRelease } from '@itc/core/state/firmware-decision.js';
import { reasonOf, type Log } from '../log.ts';
import type { DeviceStore } from './store.ts';

export interface FirmwareRunOptions {
  readonly genesis: Genesis;
  readonly device: Address;
  readonly channel: Hash;
  readonly model: Hash;
  readonly board: string;
  /** What the device left the factory with. */
  readonly version: Version;
  readonly store: DeviceStore;
  readonly verify: SignatureVerifier;
  /** Encoded `FirmwareProof`; undefined while there is no such product line, or nobody answers. */
  readonly proof: () => Promise<Uint8Array | undefined>;
  /** From anybody: its hash tells whether it is the one. */
  readonly image: (hash: Hash) => Promise<Uint8Array | undefined>;
  /** Whether nobody would notice a restart now. */
  readonly isIdle: () => boolean;
  /** Whether an image that was started passes its own test. */
  readonly passes: (image: Uint8Array) => boolean;
  /** Signs and sends the content of an attestation; true when a gateway has it for good. */
  readonly attest: (content: Uint8Array) => Promise<boolean>;
  /** The device's idea of chain time. */
  readonly now: () => Millis;
  readonly log: Log;
}

/** Kept where no update reaches it. */
interface Kept {
  readonly version: Version;
  readonly counter: number;
  readonly boots: number;
  /** Measurement of what runs: the hash of its image; zeros from the factory. */
  readonly image: Uint8Array;
  /** The release that did not pass its test: it is not tried again. 0: none. */
  readonly failed: number;
  /** Content of an attestation that no gateway has yet. */
  readonly unsaid: Uint8Array;
}

const SLOT = 'firmware';
const FORM = 1;
const UNSAID_BYTES_MAX = 128;

export class FirmwareRun {
  readonly #o: FirmwareRunOptions;
  #kept: Kept;
  #trust: Trust;
  #staged: { readonly number: number; readonly image: Uint8Array } | undefined;

  private constructor(options: FirmwareRunOptions, kept: Kept) {
    this.#o = options;
    this.#kept = kept;
    this.#trust = trustGenesis(options.genesis);
  }

  static async open(options: FirmwareRunOptions): Promise<FirmwareRun> {
    const stored = await options.store.read(SLOT);
    const kept = stored && decodeKept(stored);
    const { version } = options;
    const none = { counter: 0, boots: 0, image: new Uint8Array(32), failed: 0, unsaid: new Uint8Array() };
    return new FirmwareRun(options, kept ?? { version, ...none });
  }

  get version(): string {
    return formatVersion(this.#kept.version);
  }

  /** One look: says what is left to say, decides, fetches, installs if the moment is good. Never throws. */
  async look(): Promise<void> {
    try {
      await this.#say();
      const wanted = await this.#decide();
      if (wanted === undefined) return;
      const image = await this.#stage(wanted);
      if (image === undefined || !this.#o.isIdle()) return;
      await this.#install(wanted, image);
      await this.#say();
    } catch (error) {
      this.#o.log.warn('firmware: not this time', { reason: reasonOf(error) });
    }
  }

  async #decide(): Promise<NumberedRelease | undefined> {
    const { channel, genesis, verify, device, model, board, log } = this.#o;
    const bytes = await this.#o.proof();
    const proof = bytes && decodeFirmwareProof(bytes);
    if (proof === undefined) return undefined;
    const verdict = proof.ok
      ? verifyFirmware({ trust: this.#trust, channel, proof: proof.value, verify, genesis })
      : proof;
    if (!verdict.ok) {
      log.warn('firmware: a proof is not believed', { check: verdict.code, reason: verdict.message });
      return undefined;
    }
    const { trust, head, releases } = verdict.value;
    this.#trust = trust;
    const { version, counter } = this.#kept;
    const decision = decideFirmware({
      channel,
      head,
      releases,
      installed: { device, model, board, version, counter, others: [] },
      // A clock set back must not revive keys that have expired.
      now: millis(Math.max(this.#o.now(), trust.last.time)),
    });
    return decision.kind === 'install' && decision.number !== this.#kept.failed ? decision : undefined;
  }

  async #stage({ number, release }: NumberedRelease): Promise<Uint8Array | undefined> {
    if (this.#staged?.number === number) return this.#staged.image;
    const { image, size } = release.form;
    const bytes = await this.#o.image(image);
    if (bytes === undefined) return undefined;
    if (bytes.length !== size || !equalBytes(sha256(bytes), image)) {
      this.#o.log.warn('firmware: another image than the one that was released', { number });
      return undefined;
    }
    this.#staged = { number, image: bytes };
    return bytes;
  }

  /** The restart of a simulated device: what it is afterwards is durable before it says so. */
  async #install({ number, release }: NumberedRelease, image: Uint8Array): Promise<void> {
    const { form } = release;
    const isGood = this.#o.passes(image);
    const before = this.#kept;
    const boots = before.boots + (isGood ? 1 : 2);
    const running = isGood
      ? { version: form.version, counter: Math.max(before.counter, form.counter), image: form.image }
      : before;
    const unsaid = encodeAttestation({
      channel: this.#o.channel,
      number,
      version: running.version,
      outcome: isGood ? 'installed' : 'failed',
      boots,
      measurement: running.image as Hash,
    });
    this.#staged = undefined;
    await this.#keep({ ...before, ...running, boots, failed: isGood ? before.failed : number, unsaid });
    this.#o.log.info('firmware: installed', { number, version: this.version, isGood });
  }

  async #say(): Promise<void> {
    const { unsaid } = this.#kept;
    if (unsaid.length === 0 || !(await this.#o.attest(unsaid))) return;
    await this.#keep({ ...this.#kept, unsaid: new Uint8Array() });
  }

  async #keep(kept: Kept): Promise<void> {
    this.#kept = kept;
    await this.#o.store.write(SLOT, encodeKept(kept));
  }
}

function encodeKept({ version, counter, boots, image, failed, unsaid }: Kept): Uint8Array {
  const writer = new Writer(192).u8(FORM);
  writeVersion(writer, version);
  return writer.u32(counter).u32(boots).fixed(image, 32).u53(failed).bytes(unsaid).finish();
}

/** Undefined for what is none: then the device is as from the factory, and its counter with it. */
function decodeKept(bytes: Uint8Array): Kept | undefined {
  const decoded = decode((reader: Reader) => {
    if (reader.u8() !== FORM)
      reader.refuse('decode.unknown-kind', 'expected what a device keeps of firmware');
    return {
      version: readVersion(reader),
      counter: reader.u32(),
      boots: reader.u32(),
      image: reader.fixed(32).slice(),
      failed: reader.u53(),
      unsaid: reader.bytes(UNSAID_BYTES_MAX).slice(),
    };
  }, bytes);
  return decoded.ok ? decoded.value : undefined;
}
