/** The toll at this gateway's door (spec DAG-15, EDGE-15): what a device has to show for an upload, and whether it does. */
import { idText } from '@itc/core/bytes/id-text.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { stampBits, Tolls, tollUnits, TOLL, type Stamp, type TollHeights } from '@itc/core/dag/toll.js';
import type { Address } from '@itc/core/ledger/address.js';
import { EDGE_LIMITS } from '../limits.ts';
import type { LedgerPort, SubnetPort } from '../ports.ts';
import type { WorkDemand } from '../work-demand.ts';

export interface Tollable {
  readonly device: Address;
  /** Id of the payload, or SHA-256 of what is unsigned; asked for only where there is a stamp. */
  readonly payload: () => Hash;
  /** Of all that was sent. */
  readonly bytes: number;
  readonly stamp?: Stamp;
}

export class TollGate {
  readonly #ledger: LedgerPort;
  readonly #subnet: SubnetPort;
  readonly #now: () => number;
  readonly #tolls = new Tolls(EDGE_LIMITS.tollDevicesMax);

  constructor(o: { readonly ledger: LedgerPort; readonly subnet: SubnetPort; readonly now: () => number }) {
    this.#ledger = o.ledger;
    this.#subnet = o.subnet;
    this.#now = o.now;
  }

  /** Lets it in, which counts, or says what it takes. Cheapest first: rate, age of the anchor, one hash. */
  pass({ device, payload, bytes, stamp }: Tollable): WorkDemand | undefined {
    const at = this.#at();
    const name = idText(device);
    const units = tollUnits(bytes);
    const bits = this.#tolls.asked(name, units, this.#subnet.powBits(), at);
    if (bits > 0 && !this.#shows(stamp, bits, at, { device, payload })) return this.#demand(bits, at.height);
    this.#tolls.letIn(name, units, at);
    return undefined;
  }

  duplicate(device: Address): void {
    this.#tolls.duplicate(idText(device), this.#at());
  }

  forged(device: Address): void {
    this.#tolls.forged(idText(device), this.#at());
  }

  #at(): TollHeights {
    return { now: this.#now(), height: this.#ledger.head().height };
  }

  #shows(
    stamp: Stamp | undefined,
    bits: number,
    { height }: TollHeights,
    o: Pick<Tollable, 'device' | 'payload'>,
  ): boolean {
    if (stamp === undefined || stamp.height > height || height - stamp.height > TOLL.anchorAgeMax)
      return false;
    const anchor = this.#ledger.anchor(stamp.height);
    if (anchor === undefined) return false;
    return stampBits({ anchor, device: o.device, payload: o.payload() }, stamp.nonce) >= bits;
  }

  /** The tip's certificate may not be here yet; the header below it is. */
  #demand(bits: number, height: number): WorkDemand | undefined {
    for (let at = height; at >= Math.max(1, height - 1); at -= 1) {
      const anchor = this.#ledger.anchor(at);
      if (anchor !== undefined) return { bits, height: at, anchor };
    }
    // Before the first block there is nothing to stand on, and nobody is asked for work.
    return undefined;
  }
}
