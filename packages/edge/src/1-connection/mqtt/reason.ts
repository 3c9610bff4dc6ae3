/** MQTT 5 reason codes (MQTT 5.0 §2.4) by name, and what 3.1.1 can say of them in a CONNACK. */
export const REASON = {
  success: 0x00,
  disconnectWithWill: 0x04,
  noMatchingSubscribers: 0x10,
  noSubscriptionExisted: 0x11,
  continueAuthentication: 0x18,
  reauthenticate: 0x19,
  unspecified: 0x80,
  malformedPacket: 0x81,
  protocolError: 0x82,
  implementationSpecific: 0x83,
  unsupportedVersion: 0x84,
  clientIdInvalid: 0x85,
  badCredentials: 0x86,
  notAuthorised: 0x87,
  serverUnavailable: 0x88,
  serverBusy: 0x89,
  serverShuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  sessionTakenOver: 0x8e,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetIdInUse: 0x91,
  packetIdNotFound: 0x92,
  receiveMaximumExceeded: 0x93,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
  messageRateTooHigh: 0x96,
  quotaExceeded: 0x97,
  administrativeAction: 0x98,
  payloadFormatInvalid: 0x99,
  sharedSubscriptionsUnsupported: 0x9e,
} as const;

export type ReasonCode = (typeof REASON)[keyof typeof REASON];

/** Codes of 0x80 and above are failures. */
export function isFailure(code: number): boolean {
  return code >= 0x80;
}

/** MQTT 3.1.1 table 3.1: five ways to say no; 3 (unavailable) for whatever else it is. */
const CONNACK_CODES: ReadonlyMap<number, number> = new Map([
  [REASON.success, 0],
  [REASON.unsupportedVersion, 1],
  [REASON.clientIdInvalid, 2],
  [REASON.badCredentials, 4],
  [REASON.notAuthorised, 5],
  [REASON.badAuthenticationMethod, 5],
]);

export function connackCodeOf(code: ReasonCode): number {
  return CONNACK_CODES.get(code) ?? 3;
}

/** Ends a connection: the v5 DISCONNECT (or CONNACK) says why. */
export class MqttFault extends Error {
  readonly code: ReasonCode;

  constructor(code: ReasonCode, message: string) {
    super(message);
    this.name = 'MqttFault';
    this.code = code;
  }
}
