/** The worker's side of the questions: a wallet's light client, and its records put in the words of the page. */
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { addressOf, formatAddress, parseAddress, type Address } from '@itc/core/ledger/address.js';
import { ACTIONS } from '@itc/core/ledger/terms.js';
import { deviceKey, grantKey } from '@itc/core/state/keys.js';
import { decodeRecord } from '@itc/core/state/records.js';
import { fromBase64Url, toBase64Url } from '@itc/client/base64url.js';
import type { ProvedReading } from '@itc/client/light-reading.js';
import { parseJson, type Fetch } from '@itc/client/http.js';
import { convicted, decodeKept, type LightStore } from '@itc/client/light-store.js';
import type { LightStart } from '@itc/client/light-start.js';
import { LightWallet, type Proved, type Unproved as Fault } from '@itc/client/light-wallet.js';
import { detectFormat } from '@itc/edge/2-conversion/detect.js';
import { parseSenml, type SenmlRecord } from '@itc/edge/2-conversion/senml.js';
import { BATCH_READINGS_MAX, batchRoot } from '@itc/edge/device-sdk/reading-batch.js';
import { checkBatch } from '@itc/edge/gateway/batches.js';
import {
  OTHERS_MAX,
  type ComparedGateway,
  type LightQuestion,
  type LightReply,
  type ProofLine,
  type ProvedDevice,
  type ProvedPayload,
  type Unproved,
} from './light-protocol.ts';

export interface LightDesk {
  /** Origin of the node; it is not trusted. */
  readonly gateway: string;
  readonly store: LightStore & { readonly clear: () => Promise<void> };
  /** Genesis hash somebody told this browser, hex; otherwise the first one a node shows is taken. */
  readonly genesis?: string;
  readonly now: () => number;
  /** The platform's when left out. */
  readonly fetch?: Fetch;
}

/** Bonds stay punishable far longer (STATE-10.7). */
const TRUSTING_MS = 7 * 86_400_000;

export function lightAnswers(desk: LightDesk): (question: LightQuestion) => Promise<LightReply> {
  let opening: Promise<LightWallet | Unproved> | undefined;
  const wallet = async (): Promise<LightWallet | Unproved> => {
    opening ??= openWallet(desk);
    const opened = await opening;
    // A node that does not answer yet may later.
    if (!(opened instanceof LightWallet)) opening = undefined;
    return opened;
  };
  return async (question) => {
    if (question.kind === 'trust-anew') {
      await desk.store.clear();
      opening = undefined;
      return { kind: 'done' };
    }
    const opened = await wallet();
    if (!(opened instanceof LightWallet)) return opened;
    const reply = await replyTo(opened, desk, question);
    return reply.kind === 'failed' ? await withChains(desk, opened, reply) : reply;
  };
}

function replyTo(
  wallet: LightWallet,
  desk: LightDesk,
  question: Exclude<LightQuestion, { kind: 'trust-anew' }>,
): Promise<LightReply> {
  switch (question.kind) {
    case 'device':
      return device(wallet, question);
    case 'payload':
      return payload(wallet, desk, question.payload);
    case 'compare':
      return compare(wallet, question.others);
  }
}

/** Conflicts are kept from one visit to the next: what was found once is told until somebody trusts anew. */
async function compare(wallet: LightWallet, others: readonly string[]): Promise<LightReply> {
  if (others.length > OTHERS_MAX)
    return { kind: 'failed', code: 'missing', message: `at most ${OTHERS_MAX} others can be compared` };
  const synced = await wallet.sync(others);
  const [conflict] = wallet.conflicts;
  if (conflict !== undefined) {
    const convictedKeys = convicted(conflict).map(({ culprit }) => toHex(culprit.bytes));
    const reported = await wallet.report(others);
    return { kind: 'contradicted', height: conflict.height, convicted: convictedKeys, reported };
  }
  if (!synced.ok) return failedWith(synced, undefined);
  const gateways = synced.value.gateways.map((report): ComparedGateway => {
    if (report.kind !== 'failed') return report;
    const { gateway, fault } = report;
    return { kind: 'failed', gateway, code: fault.code, message: fault.message };
  });
  return { kind: 'compared', proof: lineOf(synced.value), gateways };
}

async function openWallet(desk: LightDesk): Promise<LightWallet | Unproved> {
  const start = await startOf(desk);
  if ('code' in start) return start;
  const { gateway, store, now, fetch } = desk;
  const opened = await LightWallet.open(start, {
    gateways: [gateway],
    store,
    now,
    trustingMs: TRUSTING_MS,
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
    ...(fetch && { fetch }),
  });
  return opened.ok ? opened.value : { kind: 'failed', code: opened.code, message: opened.message };
}

/** What is kept goes before everything; without it, genesis by the hash that was told, or of the node: trust on first use. */
async function startOf(desk: LightDesk): Promise<LightStart | Unproved> {
  const { store, genesis } = desk;
  const stored = await store.read();
  const kept = stored === undefined ? undefined : decodeKept(stored);
  if (kept?.ok === true) {
    const { trust } = kept.value;
    const chain = toHex(trust.subarray(0, 32));
    if (genesis !== undefined && genesis !== chain)
      return {
        kind: 'failed',
        code: 'other-chain',
        message: 'this browser trusts another chain than the link names',
        chains: { trusted: chain, shown: genesis },
      };
    return { kind: 'checkpoint', trust };
  }
  const shown = await fetchGenesis(desk);
  if (shown === undefined)
    return { kind: 'failed', code: 'unreachable', message: 'no genesis document could be fetched' };
  const hash = fromHex(genesis ?? shown.hash);
  const document = fromHex(shown.bytes);
  if (!hash.ok || hash.value.length !== 32 || !document.ok)
    return {
      kind: 'failed',
      code: 'other-chain',
      message: 'the genesis document or its hash is not readable',
    };
  return { kind: 'genesis', hash: asHash(hash.value), document: document.value };
}

async function fetchGenesis({
  gateway,
  fetch = platformFetch,
}: LightDesk): Promise<{ readonly hash: string; readonly bytes: string } | undefined> {
  try {
    const response = await fetch(`${gateway}/api/v1/genesis`, { method: 'GET', headers: {} });
    const { hash, bytes } = (parseJson(await response.text()) ?? {}) as { hash?: unknown; bytes?: unknown };
    return typeof hash === 'string' && typeof bytes === 'string' ? { hash, bytes } : undefined;
  } catch {
    return undefined;
  }
}

const platformFetch: Fetch = (url, init) => fetch(url, init) as ReturnType<Fetch>;

/** A devnet that was set up anew is another chain: say so, instead of only which step failed. */
async function withChains(desk: LightDesk, wallet: LightWallet, reply: Unproved): Promise<Unproved> {
  if (reply.code !== 'untrue' && reply.code !== 'behind' && reply.code !== 'missing') return reply;
  const shown = await fetchGenesis(desk);
  const trusted = toHex(wallet.chain);
  return shown === undefined || shown.hash === trusted
    ? reply
    : { ...reply, code: 'other-chain', chains: { trusted, shown: shown.hash } };
}

async function device(
  wallet: LightWallet,
  { device: text, subjects }: Extract<LightQuestion, { kind: 'device' }>,
): Promise<LightReply> {
  const address = parseAddress(text);
  const parsed = subjects.map((subject) => parseAddress(subject));
  const named = parsed.flatMap((subject): Address[] => (subject.ok ? [subject.value] : []));
  if (!address.ok || named.length !== parsed.length)
    return { kind: 'failed', code: 'untrue', message: 'the node names what is no address' };
  const keys = [deviceKey(address.value), ...named.map((subject) => grantKey(address.value, subject))];
  const read = await wallet.records(keys);
  const shaped = (proved: Proved<readonly (Uint8Array | undefined)[]>): ProvedDevice => {
    const [bytes, ...grants] = proved.value;
    const record = bytes === undefined ? undefined : decodeRecord('device', bytes);
    if (record !== undefined && !record.ok) throw new TypeError(record.message);
    return {
      kind: 'device',
      proof: lineOf(proved),
      ...(record !== undefined && {
        record: {
          owner: formatAddress(record.value.owner),
          batch: toHex(record.value.batch),
          model: toHex(record.value.model),
          claimedAt: record.value.claimedAt,
        },
      }),
      grants: grants.map((grant, i) => ({ subject: subjects[i] as string, ...termsOf(grant) })),
    };
  };
  return read.ok ? shaped(read.value) : failedWith(read, read.last && shaped(read.last));
}

function termsOf(bytes: Uint8Array | undefined): Pick<ProvedDevice['grants'][number], 'terms'> {
  if (bytes === undefined) return {};
  const grant = decodeRecord('grant', bytes);
  if (!grant.ok) throw new TypeError(grant.message);
  const { levelMax, notBefore, expiresAt } = grant.value;
  // As the gateway's API names them.
  const actions = Object.entries(ACTIONS).flatMap(([name, bit]) =>
    (grant.value.actions & bit) === 0 ? [] : [name],
  );
  return { terms: { actions, levelMax, notBefore, expiresAt } };
}

async function payload(wallet: LightWallet, desk: LightDesk, text: string): Promise<LightReply> {
  const id = fromHex(text);
  if (!id.ok || id.value.length !== 32)
    return { kind: 'failed', code: 'missing', message: 'this is no id of a payload' };
  const read = await wallet.payload(asHash(id.value) satisfies Hash);
  const proved = read.ok ? read.value : read.last;
  const batch = proved && (await fetchBatch(desk, proved.value));
  return read.ok ? payloadOf(read.value, batch) : failedWith(read, read.last && payloadOf(read.last, batch));
}

/** The readings of a batch as the node shows them; undefined unless they are those of the proved root, whoever shows them. */
async function fetchBatch(
  { gateway, fetch = platformFetch }: LightDesk,
  { payload: signed, checkpointTime }: ProvedReading,
): Promise<readonly Uint8Array[] | undefined> {
  if (batchRoot(signed) === undefined) return undefined;
  try {
    const url = `${gateway}/api/v1/payloads/${toHex(signed.id)}/batch`;
    const response = await fetch(url, { method: 'GET', headers: {} });
    const { readings } = (parseJson(await response.text()) ?? {}) as { readings?: unknown };
    if (!Array.isArray(readings) || readings.length > BATCH_READINGS_MAX) return undefined;
    const bytes = readings.flatMap((text) => {
      const reading = typeof text === 'string' ? fromBase64Url(text) : undefined;
      return reading?.ok === true ? [reading.value] : [];
    });
    return checkBatch(signed, bytes, checkpointTime).ok ? bytes : undefined;
  } catch {
    return undefined;
  }
}

function payloadOf(proved: Proved<ProvedReading>, batch: readonly Uint8Array[] | undefined): ProvedPayload {
  const { payload: signed, device: from, signer, attested, checkpointTime } = proved.value;
  const { sequence, contentType } = signed;
  const isSenml = contentType === 'senml+json' || contentType === 'senml+cbor';
  const isBatch = batchRoot(signed) !== undefined;
  const own = isSenml && !isBatch ? readingsOf(contentType, signed.content, checkpointTime) : [];
  const inBatch = (batch ?? []).flatMap((reading) =>
    readingsOf(detectFormat(reading) === 'senml+json' ? 'senml+json' : 'senml+cbor', reading, checkpointTime),
  );
  return {
    kind: 'payload',
    proof: lineOf(proved),
    device: formatAddress(from),
    signer: formatAddress(addressOf(signer)),
    attested,
    sequence,
    contentType,
    readings: isBatch ? inBatch : own,
  };
}

/** Parsed twice with different clocks: what differs is told relative to one. */
function readingsOf(
  contentType: 'senml+json' | 'senml+cbor',
  content: Uint8Array,
  now: number,
): ProvedPayload['readings'] {
  const once = parseSenml(contentType, content, now);
  const again = parseSenml(contentType, content, now + 1);
  if (!once.ok || !again.ok) return [];
  return once.value.map((record, i) => ({
    name: record.name,
    ...(record.unit !== undefined && { unit: record.unit }),
    value: valueOf(record),
    ...(record.time === again.value[i]?.time && { time: record.time }),
  }));
}

/** As the gateway's API shows one. */
function valueOf(record: SenmlRecord): number | string | boolean {
  const value = record.value ?? record.sum ?? 0;
  return value instanceof Uint8Array ? toBase64Url(value) : value;
}

function lineOf({ height, time, signers, weight, total }: ProofLine): ProofLine {
  return { height, time, signers, weight, total };
}

function failedWith<T>(fault: Fault<T>, last: ProvedDevice | ProvedPayload | undefined): Unproved {
  const { code, message, check } = fault;
  return { kind: 'failed', code, message, ...(check && { check }), ...(last && { last }) };
}
