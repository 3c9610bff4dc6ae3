/** What devices have handed over, durable before they are told, and what of it goes into the next envelope. */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Member } from '@itc/core/dag/member.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import type { Disk } from '../disk.ts';

const PACK_MAX = 20;

export class Vault {
  readonly #disk: Disk;
  /** Payloads that are in an own envelope since start; after a restart everything not applied is packed again. */
  readonly #packed = new Set<Payload>();
  /** Payloads before this one are applied or packed. */
  #from = 0;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  keep(payload: Payload): void {
    const file = this.#disk.file<Payload>('vault');
    file.append(payload);
    file.sync();
  }

  /** The oldest that are neither packed nor decided. */
  next(member: Member): Payload[] {
    const payloads: Payload[] = [];
    const { all } = this.#disk.file<Payload>('vault');
    for (let i = this.#from; i < all.length && payloads.length < PACK_MAX; i += 1) {
      const payload = all[i] as Payload;
      const isNew = !this.#packed.has(payload) && member.payloadOutcome(payload) === 'new';
      if (isNew) payloads.push(payload);
      else if (i === this.#from) this.#from += 1;
    }
    return payloads;
  }

  packed(payloads: readonly Payload[]): void {
    for (const payload of payloads) this.#packed.add(payload);
  }

  /** Their envelope is void. They may have come from the log, as other objects than those here. */
  packAgain(payloads: readonly Payload[]): void {
    const ids = new Set(payloads.map(({ id }) => toHex(id)));
    for (const payload of this.#packed) if (ids.has(toHex(payload.id))) this.#packed.delete(payload);
    this.#from = 0;
  }
}
