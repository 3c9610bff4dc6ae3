/** What becomes of a client's publish. */
import type { MessageProperties, QoS } from './message.ts';
import type { Principal } from './login.ts';
import type { Version } from './codec.ts';

export interface Publish<P extends Principal> {
  readonly principal: P;
  readonly clientId: string;
  readonly version: Version;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  /** Sent before, by the client's own account. */
  readonly dup: boolean;
  readonly properties: MessageProperties;
}

export interface PublishResult {
  /** One of those allowed in a PUBACK (MQTT 5.0 §3.4.2.1). */
  readonly code: 0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x97 | 0x99;
  readonly reason?: string;
  readonly userProperties?: Readonly<Record<string, string>>;
  /** Hand it to subscribers, and keep it where it is retained. */
  readonly route: boolean;
}

/**
 * The acknowledgement leaves when this settles, so settle it once the message is safe. It must not reject:
 * a rejection is a bug of ours, answered 0x83 and logged.
 */
export type PublishHandler<P extends Principal> = (publish: Publish<P>) => Promise<PublishResult>;
