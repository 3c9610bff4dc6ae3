/** How the outcome of an upload reads in a PUBACK (spec EDGE-6.2): a device tells by the code whether trying again can help. */
import { toHex } from '@itc/core/bytes/hex.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import type { PublishResult } from './1-connection/mqtt/publish.ts';
import { REASON } from './1-connection/mqtt/reason.ts';
import type { IngestOutcome } from './gateway/ingest.ts';
import { formatWorkDemand, WORK_PROPERTY } from './work-demand.ts';

/** MQTT 5 reason strings are for people; the machine reads `itc-code`. */
export const CODE_PROPERTY = 'itc-code';
export const PAYLOAD_PROPERTY = 'itc-payload';

const CODES: Readonly<Partial<Record<ErrorCode, PublishResult['code']>>> = {
  'payload.unknown-device': REASON.notAuthorised,
  'request.unauthorised': REASON.notAuthorised,
  'payload.malformed': REASON.payloadFormatInvalid,
  'payload.too-large': REASON.payloadFormatInvalid,
  'payload.not-senml': REASON.payloadFormatInvalid,
  'payload.signature': REASON.payloadFormatInvalid,
  'payload.stale': REASON.payloadFormatInvalid,
  'pool.full': REASON.quotaExceeded,
  'storage.full': REASON.quotaExceeded,
  'payload.work-required': REASON.quotaExceeded,
};

/** Later may be better: the device keeps what it sent. All other refusals are for good. */
const PASSING: readonly ErrorCode[] = [
  'pool.full',
  'storage.full',
  'storage.failed',
  'not-ready',
  'payload.unknown-device',
  'payload.work-required',
];

export function isPassing(code: string): boolean {
  return (PASSING as readonly string[]).includes(code);
}

export function publishResultOf(outcome: IngestOutcome): PublishResult {
  if (outcome.kind === 'accepted') {
    const code = outcome.duplicate ? { [CODE_PROPERTY]: 'payload.duplicate' } : {};
    return {
      code: REASON.success,
      userProperties: { ...code, [PAYLOAD_PROPERTY]: toHex(outcome.payload) },
      route: false,
    };
  }
  const { code, message, payload, work } = outcome;
  return {
    code: CODES[code] ?? REASON.implementationSpecific,
    reason: message,
    userProperties: {
      [CODE_PROPERTY]: code,
      ...(payload === undefined ? {} : { [PAYLOAD_PROPERTY]: toHex(payload) }),
      ...(work && { [WORK_PROPERTY]: formatWorkDemand(work) }),
    },
    route: false,
  };
}
