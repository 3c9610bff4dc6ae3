/**
 * Publishes of one client in work (MQTT 5.0 §4.3, §4.6): acknowledgements leave in the order the publishes
 * came, each only when its handler has settled; QoS 2 ids are remembered until released; aliases resolved.
 */
import { EDGE_LIMITS } from '../../limits.ts';
import type { IPublishPacket, Packet, Version } from './codec.ts';
import { ownBytes, passedThrough, type QoS } from './message.ts';
import type { Principal } from './login.ts';
import type { Publish, PublishHandler, PublishResult } from './publish.ts';
import { isFailure, MqttFault, REASON } from './reason.ts';
import type { Session } from './session.ts';
import { isTopicName } from './topic.ts';

export interface InboundOptions<P extends Principal> {
  readonly version: Version;
  readonly session: Session<P>;
  readonly mayPublish: (topic: string) => boolean;
  readonly handle: PublishHandler<P>;
  /** After a handler said so: to subscribers and the retained store. */
  readonly route: (publish: Publish<P>, packet: IPublishPacket) => void;
  readonly send: (packet: Packet) => void;
  /** A 3.1.1 client cannot be told no; its connection ends instead. */
  readonly refuse: (reason: string) => void;
  /** Called after work has finished: there is room again. */
  readonly settled: () => void;
  readonly bug: (error: unknown) => void;
}

interface Slot {
  packet?: Packet;
}

export class Inbound<P extends Principal> {
  readonly #o: InboundOptions<P>;
  /** Acknowledgements due, in order of arrival. */
  readonly #slots: Slot[] = [];
  readonly #aliases: Map<number, string> = new Map();
  /** Packet ids whose handler has not settled. Only then is a QoS 2 publish counted as received. */
  readonly #working: Set<number> = new Set();
  #inWork = 0;

  constructor(options: InboundOptions<P>) {
    this.#o = options;
  }

  /** Reading goes on only below this: the socket then holds back the sender. One more is read so that a v5 client that exceeds its receive maximum is noticed. */
  get full(): boolean {
    return this.#inWork > EDGE_LIMITS.receiveMaximum;
  }

  publish(packet: IPublishPacket): void {
    const { session, version } = this.#o;
    const topic = this.#topicOf(packet);
    const qos = packet.qos as QoS;
    const messageId = packet.messageId ?? 0;
    if (
      qos > 0 &&
      version === 5 &&
      this.#slots.length + session.received.size >= EDGE_LIMITS.receiveMaximum &&
      !session.received.has(messageId)
    )
      throw new MqttFault(
        REASON.receiveMaximumExceeded,
        `more than ${EDGE_LIMITS.receiveMaximum} publishes unanswered`,
      );
    const slot: Slot | undefined = qos === 0 ? undefined : {};
    if (slot !== undefined) this.#slots.push(slot);
    if (qos === 2 && session.received.has(messageId)) {
      // Known already and in good hands: only the answer was lost.
      this.#settle(slot, { cmd: 'pubrec', messageId, reasonCode: 0 } as Packet);
      return;
    }
    if (qos > 0) {
      if (this.#working.has(messageId))
        throw new MqttFault(REASON.protocolError, `packet identifier ${messageId} is in use`);
      if (session.received.size >= EDGE_LIMITS.receiveMaximum)
        throw new MqttFault(REASON.receiveMaximumExceeded, 'too many QoS 2 publishes are not released');
      this.#working.add(messageId);
    }
    if (!this.#o.mayPublish(topic)) {
      this.#answer(slot, packet, {
        code: REASON.notAuthorised,
        reason: 'this topic is not yours to publish to',
        route: false,
      });
      return;
    }
    const publish: Publish<P> = {
      principal: session.principal,
      clientId: session.clientId,
      version,
      topic,
      payload: ownBytes(packet.payload),
      qos,
      retain: packet.retain,
      dup: packet.dup,
      properties: passedThrough(packet.properties),
    };
    this.#inWork += 1;
    void this.#work(slot, packet, publish);
  }

  release(messageId: number): void {
    const known = this.#o.session.received.delete(messageId);
    this.#o.send({
      cmd: 'pubcomp',
      messageId,
      reasonCode: known ? REASON.success : REASON.packetIdNotFound,
    } as Packet);
  }

  async #work(slot: Slot | undefined, packet: IPublishPacket, publish: Publish<P>): Promise<void> {
    let result: PublishResult;
    try {
      result = await this.#o.handle(publish);
      if (result.route && !isFailure(result.code)) this.#o.route(publish, packet);
    } catch (error) {
      this.#o.bug(error);
      result = { code: REASON.implementationSpecific, reason: 'a bug of ours', route: false };
    }
    this.#inWork -= 1;
    this.#answer(slot, packet, result);
    this.#o.settled();
  }

  #answer(slot: Slot | undefined, packet: IPublishPacket, result: PublishResult): void {
    const { version, session } = this.#o;
    const messageId = packet.messageId ?? 0;
    if (packet.qos > 0) this.#working.delete(messageId);
    if (isFailure(result.code)) {
      if (version !== 5) return this.#o.refuse(result.reason ?? 'refused');
    } else if (packet.qos === 2) session.received.add(messageId);
    if (slot === undefined) return;
    const properties = {
      ...(result.reason === undefined ? {} : { reasonString: result.reason }),
      ...(result.userProperties === undefined ? {} : { userProperties: { ...result.userProperties } }),
    };
    this.#settle(slot, {
      cmd: packet.qos === 1 ? 'puback' : 'pubrec',
      messageId,
      reasonCode: result.code,
      ...(version === 5 && Object.keys(properties).length > 0 ? { properties } : {}),
    } as Packet);
  }

  /** Fills a slot and sends what is due from the head on. */
  #settle(slot: Slot | undefined, packet: Packet): void {
    if (slot === undefined) return;
    slot.packet = packet;
    for (let head = this.#slots[0]; head?.packet !== undefined; head = this.#slots[0]) {
      this.#slots.shift();
      this.#o.send(head.packet);
    }
  }

  #topicOf(packet: IPublishPacket): string {
    const alias = packet.properties?.topicAlias;
    if (alias !== undefined && (alias < 1 || alias > EDGE_LIMITS.topicAliasMax))
      throw new MqttFault(
        REASON.topicAliasInvalid,
        `expected a topic alias from 1 to ${EDGE_LIMITS.topicAliasMax}, got ${alias}`,
      );
    if (packet.topic === '') {
      const topic = alias === undefined ? undefined : this.#aliases.get(alias);
      if (topic === undefined)
        throw new MqttFault(
          alias === undefined ? REASON.topicNameInvalid : REASON.protocolError,
          'no topic, and no alias that stands for one',
        );
      return topic;
    }
    if (!isTopicName(packet.topic))
      throw new MqttFault(REASON.topicNameInvalid, 'the topic is too long, too deep, or holds a wildcard');
    if (alias !== undefined) this.#aliases.set(alias, packet.topic);
    return packet.topic;
  }
}
