/**
 * Devices that listen by light streams (spec EDGE-16): each says from which epoch, and hears of itself when it comes and when the ledger
 * has something new about it. Of headers all of an epoch hear together.
 */
import { type Address } from '@itc/core/ledger/address.js';
import { deviceKey, stateKey } from '@itc/core/state/keys.js';
import type { MqttBroker } from '../1-connection/mqtt/broker.ts';
import { encodeCommandFrame } from '../command-frame.ts';
import { EDGE_LIMITS } from '../limits.ts';
import type { LedgerPort } from '../ports.ts';
import { downStreamTopic, headerStreamTopic } from '../topics.ts';
import type { DevicePrincipal } from './access.ts';

interface Listener {
  readonly device: Address;
  readonly epoch: number;
  /** What it was told last. */
  news: string;
}

/** Headers are told from this many epochs below the newest: whoever comes from further back is led there first. */
const EPOCHS_TOLD = 2;

export class StreamDesk {
  readonly #ledger: LedgerPort;
  readonly #publish: MqttBroker<DevicePrincipal>['publish'];
  readonly #listeners: Map<string, Listener> = new Map();

  constructor(o: { readonly ledger: LedgerPort; readonly publish: MqttBroker<DevicePrincipal>['publish'] }) {
    this.#ledger = o.ledger;
    this.#publish = o.publish;
  }

  /** Where streams for a device begin; undefined: it takes access proofs. */
  epochOf(id: string): number | undefined {
    return this.#listeners.get(id)?.epoch;
  }

  listens(principal: DevicePrincipal, epoch: number): void {
    const { id, address } = principal;
    if (!this.#listeners.has(id) && this.#listeners.size >= EDGE_LIMITS.sessionsMax) return;
    const listener = { device: address, epoch, news: this.#ledger.deviceNews(address) };
    this.#listeners.set(id, listener);
    this.#tell(id, listener);
  }

  gone(id: string): void {
    this.#listeners.delete(id);
  }

  onHead(): void {
    if (this.#listeners.size === 0) return;
    const newest = this.#ledger.epoch();
    for (let epoch = newest; epoch >= Math.max(0, newest - EPOCHS_TOLD + 1); epoch -= 1) {
      const payload = this.#ledger.stream(epoch, []);
      if (payload !== undefined) this.#publish({ topic: headerStreamTopic(epoch), payload, qos: 0 });
    }
    for (const [id, listener] of this.#listeners) {
      const news = this.#ledger.deviceNews(listener.device);
      if (news === listener.news) continue;
      listener.news = news;
      this.#tell(id, listener);
    }
  }

  #tell(id: string, { device, epoch }: Listener): void {
    const stream = this.#ledger.stream(epoch, [deviceKey(device), stateKey('rental', device)]);
    if (stream === undefined) return;
    const payload = encodeCommandFrame({ command: new Uint8Array(), access: stream });
    this.#publish({ topic: downStreamTopic(id, epoch), payload, qos: 1 });
  }
}
