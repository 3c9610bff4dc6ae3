/** Who owns a device of this chain: one walk at the start, then what blocks say, so that a question costs one look. */
import { idText } from '@itc/core/bytes/id-text.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { LedgerEvent } from '@itc/core/state/events.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';

export class DeviceOwners {
  /** How many, by owner. */
  readonly #devices: Map<string, number> = new Map();

  constructor(state: Pick<LedgerState, 'devices'>) {
    for (const { device } of state.devices()) this.#add(device.owner, 1);
  }

  owns(account: Address): boolean {
    return this.#devices.has(idText(account));
  }

  /** Of each block behind the state it began with, in order. */
  apply(events: readonly LedgerEvent[]): void {
    for (const event of events) {
      if (event.kind === 'device-claimed') this.#add(event.owner, 1);
      if (event.kind === 'device-transferred' || event.kind === 'device-recovered') {
        this.#add(event.from, -1);
        this.#add(event.to, 1);
      }
    }
  }

  #add(owner: Address, change: number): void {
    const id = idText(owner);
    const count = (this.#devices.get(id) ?? 0) + change;
    if (count > 0) this.#devices.set(id, count);
    else this.#devices.delete(id);
  }
}
