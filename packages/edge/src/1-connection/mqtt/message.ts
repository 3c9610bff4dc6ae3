/** What travels from a publisher to subscribers. */
import type { IPublishPacket } from './codec.ts';

type Properties = NonNullable<IPublishPacket['properties']>;

/** Passed through untouched (MQTT 5.0 §3.3.2.3): the broker does not look at them. */
export type MessageProperties = Pick<
  Properties,
  'payloadFormatIndicator' | 'contentType' | 'responseTopic' | 'correlationData' | 'userProperties'
>;

export type QoS = 0 | 1 | 2;

export interface Message {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly properties: MessageProperties;
  /** Milliseconds of the broker's clock; past it nobody gets the message any more. */
  readonly expiresAt?: number;
}

/** Keeps what is passed through and drops what belongs to one hop. */
export function passedThrough(properties: object | undefined): MessageProperties {
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } =
    (properties ?? {}) as Properties;
  return {
    ...(payloadFormatIndicator === undefined ? {} : { payloadFormatIndicator }),
    ...(contentType === undefined ? {} : { contentType }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(correlationData === undefined ? {} : { correlationData }),
    ...(userProperties === undefined ? {} : { userProperties }),
  };
}

/** A copy of its own: the bytes of a packet are a view into a socket's buffer. */
export function ownBytes(payload: Buffer | string): Buffer {
  return Buffer.from(payload);
}

export function expiryOf(seconds: number | undefined, now: number): { expiresAt?: number } {
  return seconds === undefined ? {} : { expiresAt: now + seconds * 1000 };
}
