/**
 * Packets ↔ bytes: the only file that imports mqtt-packet. That library reads what is well-formed; here is
 * what it leaves open: packets only a server sends, properties where they do not belong or twice, packet id 0, text that is not UTF-8.
 */
import { generate, parser, type Packet, type Parser } from 'mqtt-packet';
import { EDGE_LIMITS } from '../../limits.ts';
import type { Frame } from './frame.ts';
import { MqttFault, REASON } from './reason.ts';
import { isTextClean } from './topic.ts';

export type {
  IConnectPacket,
  IPublishPacket,
  ISubscribePacket,
  IUnsubscribePacket,
  IAuthPacket,
  IDisconnectPacket,
  Packet,
} from 'mqtt-packet';

export type Version = 3 | 4 | 5;

const MESSAGE = [
  'payloadFormatIndicator',
  'messageExpiryInterval',
  'contentType',
  'responseTopic',
  'correlationData',
  'userProperties',
];
const REASONS = ['reasonString', 'userProperties'];

/** MQTT 5.0 table 2-4, the rows a client may send. A packet that is not named is not a client's to send. */
const PROPERTIES: Readonly<Partial<Record<Packet['cmd'], readonly string[]>>> = {
  connect: [
    'sessionExpiryInterval',
    'receiveMaximum',
    'maximumPacketSize',
    'topicAliasMaximum',
    'requestResponseInformation',
    'requestProblemInformation',
    'userProperties',
    'authenticationMethod',
    'authenticationData',
  ],
  publish: [...MESSAGE, 'topicAlias'],
  puback: REASONS,
  pubrec: REASONS,
  pubrel: REASONS,
  pubcomp: REASONS,
  subscribe: ['subscriptionIdentifier', 'userProperties'],
  unsubscribe: ['userProperties'],
  pingreq: [],
  disconnect: ['sessionExpiryInterval', 'reasonString', 'userProperties'],
  auth: ['authenticationMethod', 'authenticationData', 'reasonString', 'userProperties'],
};
const WILL_PROPERTIES = [...MESSAGE, 'willDelayInterval'];
const WITH_ID: ReadonlySet<Packet['cmd']> = new Set([
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'subscribe',
  'unsubscribe',
]);

export class PacketDecoder {
  readonly #parser: Parser = parser();
  #packet: Packet | undefined;
  #flaw: string | undefined;

  constructor() {
    this.#parser.on('packet', (packet) => {
      this.#packet = packet;
    });
    this.#parser.on('error', (error: unknown) => {
      this.#flaw ??= error instanceof Error ? error.message : 'unreadable';
    });
  }

  /** Exactly one whole packet. Throws `MqttFault`. */
  decode(frame: Frame): Packet {
    this.#packet = undefined;
    this.#flaw = undefined;
    try {
      const left = this.#parser.parse(frame);
      if (left !== 0) this.#flaw ??= 'the fields do not fill the packet';
    } catch {
      // The library reads beyond short packets in places; to us that is one more malformed packet.
      this.#flaw ??= 'the packet is too short';
    }
    const packet = this.#packet as Packet | undefined;
    if (this.#flaw !== undefined || packet === undefined)
      throw new MqttFault(
        versionFlaw(this.#flaw) ? REASON.unsupportedVersion : REASON.malformedPacket,
        this.#flaw ?? 'incomplete',
      );
    check(packet);
    return packet;
  }
}

function versionFlaw(flaw: string | undefined): boolean {
  return flaw === 'Invalid protocol version';
}

function check(packet: Packet): void {
  const allowed = PROPERTIES[packet.cmd];
  if (allowed === undefined)
    throw new MqttFault(REASON.protocolError, `a client does not send ${packet.cmd}`);
  if (WITH_ID.has(packet.cmd) && !((packet.messageId ?? 0) > 0))
    throw new MqttFault(REASON.protocolError, 'the packet identifier is missing');
  if ('properties' in packet) checkProperties(packet.properties, allowed);
  switch (packet.cmd) {
    case 'connect':
      checkText(packet.clientId, packet.username, packet.will?.topic);
      if ((packet.keepalive ?? 0) < 0)
        throw new MqttFault(REASON.malformedPacket, 'the keep-alive is missing');
      if (packet.properties?.receiveMaximum === 0 || packet.properties?.maximumPacketSize === 0)
        throw new MqttFault(REASON.protocolError, 'a maximum of zero');
      if (packet.will !== undefined) {
        checkProperties(packet.will.properties, WILL_PROPERTIES);
        if ((packet.will.qos ?? 0) > 2) throw new MqttFault(REASON.malformedPacket, 'the will has QoS 3');
      }
      return;
    case 'publish':
      if (packet.qos > 0 && !((packet.messageId ?? 0) > 0))
        throw new MqttFault(REASON.protocolError, 'the packet identifier is missing');
      if (packet.qos === 0 && packet.dup)
        throw new MqttFault(REASON.protocolError, 'QoS 0 with the duplicate flag');
      checkText(packet.topic, packet.properties?.responseTopic, packet.properties?.contentType);
      return;
    case 'subscribe':
      if (packet.subscriptions.length === 0)
        throw new MqttFault(REASON.protocolError, 'nothing to subscribe to');
      if (packet.properties?.subscriptionIdentifier === 0)
        throw new MqttFault(REASON.protocolError, 'subscription identifier 0');
      return;
    case 'unsubscribe':
      if (packet.unsubscriptions.length === 0)
        throw new MqttFault(REASON.protocolError, 'nothing to unsubscribe from');
      return;
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
    case 'pingreq':
    case 'disconnect':
    case 'auth':
    case 'connack':
    case 'suback':
    case 'unsuback':
    case 'pingresp':
      return;
  }
}

function checkText(...texts: readonly (string | undefined)[]): void {
  for (const text of texts)
    if (text !== undefined && !isTextClean(text))
      throw new MqttFault(REASON.malformedPacket, 'text that is not UTF-8, or holds U+0000');
}

function checkProperties(properties: object | undefined, allowed: readonly string[]): void {
  if (properties === undefined) return;
  for (const [name, value] of Object.entries(properties) as [string, unknown][]) {
    if (!allowed.includes(name)) throw new MqttFault(REASON.protocolError, `${name} does not belong here`);
    if (name === 'userProperties') {
      let count = 0;
      for (const item of Object.values(value as Record<string, unknown>))
        count += Array.isArray(item) ? item.length : 1;
      if (count > EDGE_LIMITS.userPropertiesMax)
        throw new MqttFault(
          REASON.quotaExceeded,
          `expected at most ${EDGE_LIMITS.userPropertiesMax} user properties`,
        );
      continue;
    }
    if (Array.isArray(value)) throw new MqttFault(REASON.protocolError, `${name} twice`);
    if (value === null || value === undefined || (typeof value === 'number' && value < 0))
      throw new MqttFault(REASON.malformedPacket, `${name} is cut short`);
  }
}

/** Our own packets; what the library refuses to write is our bug, so it throws. */
export function encodePacket(packet: Packet, version: Version): Buffer {
  return generate(packet, { protocolVersion: version });
}
