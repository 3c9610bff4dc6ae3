/**
 * What the node said against what is proved (spec CLIENT-15). Pure. A payload never changes, so what differs there is untrue at once. A
 * record may have changed in the last blocks, which no header commits to yet: a difference counts when it is still there so many blocks later.
 */
import { formatAbsolute, shorten } from './format.ts';
import type {
  GrantTerms,
  LightReply,
  ProofLine,
  ProvedDevice,
  ProvedPayload,
  Unproved,
} from './light-protocol.ts';
import type { DeviceDetail, PayloadState, Reading } from './wire.ts';

export interface Difference {
  readonly field: string;
  readonly told: string;
  readonly proved: string;
}

export type Verdict =
  | { readonly kind: 'pending' }
  | { readonly kind: 'proved'; readonly proof: ProofLine }
  /** Differs from what is proved, and may be newer than that. */
  | {
      readonly kind: 'unsettled';
      readonly proof: ProofLine;
      readonly differences: readonly Difference[];
      readonly until: number;
    }
  | { readonly kind: 'differs'; readonly proof: ProofLine; readonly differences: readonly Difference[] }
  | { readonly kind: 'failed'; readonly reply: Unproved };

/** A header commits to the state four blocks below it, and the node may have been one block ahead of what it showed. */
export const SETTLED_BLOCKS = 5;

/** Since when what is told differs, and how. */
export interface Standing {
  readonly text: string;
  readonly since: number;
}

export type Told = Pick<DeviceDetail, 'owner' | 'batch' | 'model' | 'claimedAt' | 'grants'>;

export function deviceDifferences(told: Told, { record, grants }: ProvedDevice): Difference[] {
  const found = [
    difference('Owner', told.owner, record?.owner),
    difference('Batch', told.batch, record?.batch),
    difference('Model', told.model, record?.model),
    difference('Claimed', timeText(told.claimedAt), timeText(record?.claimedAt)),
  ];
  for (const { subject, terms } of grants) {
    const grant = told.grants.find((one) => one.subject === subject);
    if (grant === undefined) continue;
    found.push(difference(`Grant to ${shorten(subject)}`, termsText(grant), terms && termsText(terms)));
  }
  return found.flatMap((one) => one ?? []);
}

/** Of a payload and such readings of it as are shown. */
export function payloadDifferences(
  told: PayloadState,
  readings: readonly Reading[],
  proved: ProvedPayload,
): Difference[] {
  const ofReadings = readings.flatMap((reading) => {
    const name = readings.length === 1 ? '' : `Reading ${reading.index + 1}: `;
    return readingDifferences(reading, proved).map((one) => ({ ...one, field: `${name}${one.field}` }));
  });
  return [
    difference('Device', told.device, proved.device),
    difference('Signed by', told.signer, proved.signer),
    difference('Attested by a gateway', yesNo(told.attested), yesNo(proved.attested)),
    difference('Content', told.contentType, proved.contentType),
    difference('Sequence', String(told.sequence), String(proved.sequence)),
    difference('Block', told.height?.toString(), String(proved.proof.height)),
    ...ofReadings,
  ].flatMap((one) => one ?? []);
}

export function readingDifferences(told: Reading, proved: ProvedPayload): Difference[] {
  const reading = proved.readings[told.index];
  if (reading === undefined) {
    const shown = `${told.name} = ${String(told.value)}`;
    return [{ field: 'Reading', told: shown, proved: 'none' }];
  }
  return [
    difference('Device', told.device, proved.device),
    difference('Quantity', told.name, reading.name),
    difference('Value', valueText(told.value, told.unit), valueText(reading.value, reading.unit)),
    reading.time === undefined ? undefined : difference('Time', timeText(told.time), timeText(reading.time)),
  ].flatMap((one) => one ?? []);
}

export function settledVerdict(proof: ProofLine, differences: readonly Difference[]): Verdict {
  return differences.length === 0 ? { kind: 'proved', proof } : { kind: 'differs', proof, differences };
}

/** Of a record that changes; `before` is what the last call gave back. */
export function recordVerdict(
  proof: ProofLine,
  differences: readonly Difference[],
  before: Standing | undefined,
): { readonly verdict: Verdict; readonly standing: Standing | undefined } {
  if (differences.length === 0) return { verdict: { kind: 'proved', proof }, standing: undefined };
  const text = JSON.stringify(differences);
  const standing = before?.text === text ? before : { text, since: proof.height };
  const until = standing.since + SETTLED_BLOCKS;
  const verdict: Verdict =
    proof.height >= until
      ? { kind: 'differs', proof, differences }
      : { kind: 'unsettled', proof, differences, until };
  return { verdict, standing };
}

/** Undefined for an answer to another question. */
export function failureOf(reply: LightReply): Verdict | undefined {
  return reply.kind === 'failed' ? { kind: 'failed', reply } : undefined;
}

function difference(
  field: string,
  told: string | undefined,
  proved: string | undefined,
): Difference | undefined {
  return told === proved ? undefined : { field, told: told ?? 'none', proved: proved ?? 'none' };
}

const yesNo = (is: boolean): string => (is ? 'yes' : 'no');
const timeText = (time: number | undefined): string | undefined =>
  time === undefined ? undefined : formatAbsolute(time);
const valueText = (value: number | string | boolean, unit: string | undefined): string =>
  unit === undefined ? String(value) : `${String(value)} ${unit}`;

function termsText({ actions, levelMax, notBefore, expiresAt }: GrantTerms): string {
  const period = `from ${formatAbsolute(notBefore)} until ${formatAbsolute(expiresAt)}`;
  return `${[...actions].sort().join(', ')}, level up to ${levelMax}, ${period}`;
}
