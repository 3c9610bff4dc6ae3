/**
 * One client's session (MQTT 5.0 §4.1): subscriptions and what is on its way to it. Outlives the connection
 * for as long as the client asked, within bounds, in memory.
 */
import { EDGE_LIMITS } from '../../limits.ts';
import type { Packet } from './codec.ts';
import { passedThrough, type Message, type QoS } from './message.ts';
import type { Principal } from './login.ts';

export interface Subscription {
  readonly filter: string;
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly identifier?: number;
}

/** A message for this session, with what its subscriptions add. */
export interface Delivery {
  readonly message: Message;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly identifiers: readonly number[];
}

type Sent =
  | { readonly kind: 'publish'; readonly delivery: Delivery }
  /** PUBREC came: only the id matters until PUBCOMP. */
  | { readonly kind: 'release' };

/** What a session needs of the connection it has at the moment. */
export interface Outlet {
  /** False: the packet is larger than the client takes. */
  send(packet: Packet): boolean;
  /** Bytes the socket has not taken yet. */
  readonly backlog: number;
  /** The client's receive maximum. */
  readonly inFlightMax: number;
  /** 0 without MQTT 5 or when the client takes none. */
  readonly topicAliasMax: number;
}

export class Session<P extends Principal> {
  readonly key: string;
  readonly clientId: string;
  readonly principal: P;
  readonly subscriptions: Map<string, Subscription> = new Map();
  /** Packet ids of QoS 2 publishes whose PUBREL has not come (MQTT 5.0 §4.3.3, method B). */
  readonly received: Set<number> = new Set();
  expirySeconds = 0;
  /** Set while no connection is there. */
  expiresAt: number | undefined;
  readonly #now: () => number;
  readonly #queue: Delivery[] = [];
  #queueBytes = 0;
  readonly #sent: Map<number, Sent> = new Map();
  #outlet: Outlet | undefined;
  #aliases: Map<string, number> = new Map();
  #lastId = 0;
  #dropped = 0;

  constructor(o: { key: string; clientId: string; principal: P; now: () => number }) {
    this.key = o.key;
    this.clientId = o.clientId;
    this.principal = o.principal;
    this.#now = o.now;
  }

  get connected(): boolean {
    return this.#outlet !== undefined;
  }

  /** Messages lost to a bound or to a client's maximum packet size. */
  get dropped(): number {
    return this.#dropped;
  }

  get waiting(): number {
    return this.#queue.length + this.#sent.size;
  }

  /** A connection takes over: what was not answered is sent again in order, then what has queued up. */
  attach(outlet: Outlet): void {
    this.#outlet = outlet;
    this.expiresAt = undefined;
    this.#aliases = new Map();
    for (const [messageId, sent] of this.#sent) {
      if (sent.kind === 'release') outlet.send({ cmd: 'pubrel', messageId, reasonCode: 0 } as Packet);
      else if (!this.#transmit(outlet, sent.delivery, messageId, true)) this.#sent.delete(messageId);
    }
    this.drain();
  }

  detach(): void {
    this.#outlet = undefined;
    this.expiresAt = this.#now() + this.expirySeconds * 1000;
  }

  /** Within the bounds or not at all. QoS 0 is for whoever is there now. */
  deliver(delivery: Delivery): void {
    const size = delivery.message.payload.length + delivery.message.topic.length;
    if (delivery.qos === 0) {
      const outlet = this.#outlet;
      if (outlet === undefined) return;
      if (outlet.backlog > EDGE_LIMITS.socketBytesMax || !this.#transmit(outlet, delivery, undefined, false))
        this.#dropped += 1;
      return;
    }
    if (
      this.#queue.length >= EDGE_LIMITS.sessionQueueMax ||
      this.#queueBytes + size > EDGE_LIMITS.sessionQueueBytesMax
    ) {
      this.#dropped += 1;
      return;
    }
    this.#queue.push(delivery);
    this.#queueBytes += size;
    this.drain();
  }

  /** Sends what the client's receive maximum and the socket allow. */
  drain(): void {
    const outlet = this.#outlet;
    if (outlet === undefined) return;
    while (
      this.#queue.length > 0 &&
      this.#sent.size < outlet.inFlightMax &&
      outlet.backlog <= EDGE_LIMITS.socketBytesMax
    ) {
      const delivery = this.#queue.shift() as Delivery;
      this.#queueBytes -= delivery.message.payload.length + delivery.message.topic.length;
      if ((delivery.message.expiresAt ?? Infinity) <= this.#now()) continue;
      const messageId = this.#nextId();
      this.#sent.set(messageId, { kind: 'publish', delivery });
      if (!this.#transmit(outlet, delivery, messageId, false)) {
        this.#sent.delete(messageId);
        this.#dropped += 1;
      }
    }
  }

  /** PUBACK of QoS 1, or a PUBREC that refuses. */
  acknowledge(messageId: number): boolean {
    const known = this.#sent.get(messageId)?.kind === 'publish' && this.#sent.delete(messageId);
    this.drain();
    return known;
  }

  /** PUBREC: true when a PUBREL is due. */
  release(messageId: number): boolean {
    if (!this.#sent.has(messageId)) return false;
    this.#sent.set(messageId, { kind: 'release' });
    return true;
  }

  complete(messageId: number): void {
    if (this.#sent.get(messageId)?.kind === 'release') this.#sent.delete(messageId);
    this.drain();
  }

  #transmit(outlet: Outlet, delivery: Delivery, messageId: number | undefined, dup: boolean): boolean {
    const { message, qos, retain, identifiers } = delivery;
    const expires = message.expiresAt;
    const left = expires === undefined ? undefined : Math.ceil((expires - this.#now()) / 1000);
    const alias = this.#aliasOf(outlet, message.topic);
    const packet = {
      cmd: 'publish',
      topic: alias?.known === true ? '' : message.topic,
      payload: message.payload,
      qos,
      dup,
      retain,
      ...(messageId === undefined ? {} : { messageId }),
      properties: {
        ...passedThrough(message.properties),
        ...(left === undefined ? {} : { messageExpiryInterval: Math.max(left, 1) }),
        ...(alias === undefined ? {} : { topicAlias: alias.number }),
        ...(identifiers.length === 0 ? {} : { subscriptionIdentifier: [...identifiers] }),
      },
    } as Packet;
    if (!outlet.send(packet)) return false;
    if (alias?.known === false) this.#aliases.set(message.topic, alias.number);
    return true;
  }

  /** First come, first served: a device hears few topics, the first ones most. */
  #aliasOf(outlet: Outlet, topic: string): { number: number; known: boolean } | undefined {
    const number = this.#aliases.get(topic);
    if (number !== undefined) return { number, known: true };
    return this.#aliases.size < outlet.topicAliasMax
      ? { number: this.#aliases.size + 1, known: false }
      : undefined;
  }

  /** Ids go round; fewer than 65535 are in flight, so one is free. */
  #nextId(): number {
    do this.#lastId = (this.#lastId % 0xffff) + 1;
    while (this.#sent.has(this.#lastId));
    return this.#lastId;
  }
}
