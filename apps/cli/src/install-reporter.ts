/** A gateway reports what its devices attested about firmware (spec EDGE-14), with its own account, one release at a time. */
import { reportInstalls } from '@itc/client/firmware.js';
import { idText } from '@itc/core/bytes/id-text.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { countedId } from '@itc/core/state/keys.js';
import type { ReleaseInstalls } from '@itc/edge/gateway/attestations.js';
import { sendOwn, type GatewayAccount } from './gateway-account.ts';

export interface ReporterOptions extends GatewayAccount {
  readonly subnet: Hash;
  readonly installs: () => Iterable<ReleaseInstalls>;
}

const TICK_MS = 1_000;
/** Between two reports: not each device for itself, a rollout brings many within minutes. */
const PAUSE_MS = 5_000;
const LANE = 8;

export class InstallReporter {
  readonly #o: ReporterOptions;
  #timer: NodeJS.Timeout | undefined;
  #isBusy = false;
  #pausedUntil = 0;

  constructor(options: ReporterOptions) {
    this.#o = options;
  }

  start(): void {
    this.#timer = setInterval(() => void this.#tickNow(), TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Not sooner after the last report than a pause; the first install of a release is told at once. */
  async #tickNow(): Promise<void> {
    const now = this.#o.now();
    if (now < this.#pausedUntil) return;
    if (await this.tick()) this.#pausedUntil = now + PAUSE_MS;
  }

  /** Whether there was something to report. Reports the first release of which the ledger knows less than this gateway. */
  async tick(): Promise<boolean> {
    if (this.#isBusy) return false;
    this.#isBusy = true;
    try {
      for (const installs of this.#o.installs()) {
        if (!this.#isDue(installs)) continue;
        await this.#report(installs);
        return true;
      }
      return false;
    } finally {
      this.#isBusy = false;
    }
  }

  #isDue({ channel, number, payloads }: ReleaseInstalls): boolean {
    const { chain, subnet, signer } = this.#o;
    const release = countedId(channel, number);
    if (chain.state.record('release', idText(release)) === undefined) return false;
    const own = idText(release) + idText(subnet) + idText(signer.address);
    return payloads.length > (chain.state.record('installs', own)?.count ?? 0);
  }

  async #report(installs: ReleaseInstalls): Promise<void> {
    const { subnet, warn } = this.#o;
    const { body } = reportInstalls({ ...installs, subnet });
    const reason = await sendOwn(this.#o, LANE, body);
    if (reason !== undefined)
      warn('firmware: a report of installs was not taken', { number: installs.number, reason });
  }
}
