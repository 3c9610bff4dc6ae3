/** The firmware of a simulated lamp: what is around `FirmwareRun` in a process with a network and a disk. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fromBase64Url } from '@itc/client/base64url.js';
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Genesis } from '@itc/core/ledger/genesis.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { Log } from '../log.ts';
import { FirmwareRun } from './firmware-run.ts';
import type { HomeFirmware } from './home-config.ts';
import type { Lamp } from './lamp.ts';
import type { DeviceStore } from './store.ts';

/** What simulated lamps leave the factory with. */
const FACTORY = { major: 1, minor: 0, patch: 0 } as const;
const TIMEOUT_MS = 5_000;
/** An image that begins so does not pass its test: to see how a release fails. */
const BROKEN = utf8Encode('BROKEN');

/** Looks again and again until it is stopped. */
export class HomeFirmwareRun {
  readonly #run: FirmwareRun;
  readonly #everyMs: number;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  private constructor(run: FirmwareRun, everyMs: number) {
    this.#run = run;
    this.#everyMs = everyMs;
  }

  static async open(o: {
    readonly firmware: HomeFirmware;
    readonly genesis: Genesis;
    readonly device: Address;
    readonly lamp: Lamp;
    readonly store: DeviceStore;
    readonly verify: SignatureVerifier;
    readonly log: Log;
  }): Promise<HomeFirmwareRun> {
    const { firmware, lamp, genesis, device, store, verify, log } = o;
    const { channel, model, board, api, images, everyMs } = firmware;
    const run = await FirmwareRun.open({
      genesis,
      device,
      channel,
      model,
      board,
      store,
      verify,
      log,
      version: FACTORY,
      proof: () => proofFrom(`${api}/api/v1/firmware/channels/${toHex(channel)}/proof`),
      image: async (hash) => {
        const bytes = await readFile(join(images, toHex(hash))).catch(() => undefined);
        return bytes && new Uint8Array(bytes);
      },
      // Nobody sees a lamp restart that is dark.
      isIdle: () => !lamp.state.on,
      passes: (image) => !equalBytes(image.subarray(0, BROKEN.length), BROKEN),
      attest: (content) => lamp.attest(content),
      now: () => lamp.now(),
    });
    return new HomeFirmwareRun(run, everyMs);
  }

  start(): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.#run.look().then(() => this.start()), this.#everyMs);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }
}

/** Undefined where there is no such product line. */
async function proofFrom(url: string): Promise<Uint8Array | undefined> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  const text = await answer.text();
  if (!answer.ok || text.length > 2 * LIMITS.proofBytesMax) return undefined;
  const { proof } = JSON.parse(text) as { proof?: unknown };
  const bytes = typeof proof === 'string' ? fromBase64Url(proof) : undefined;
  return bytes?.ok === true ? bytes.value : undefined;
}
