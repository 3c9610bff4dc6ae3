/**
 * Clients that send transactions whose signatures do not hold, from an address of their own, over many connections, at a
 * stated rate, and heed no refusal. A process of its own: signature-flood.js OPTIONS, a JSON object. On the line `stop` it
 * prints what became of them and ends.
 */
import { randomFillSync } from 'node:crypto';
import { Agent, request } from 'node:http';
import { createInterface } from 'node:readline';
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { ED25519 } from '@itc/core/crypto/signature.js';
import { asAddress } from '@itc/core/ledger/address.js';
import { amount, height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { encodeTransaction } from '@itc/core/ledger/transaction.js';

export interface FloodOptions {
  readonly urls: readonly string[];
  /** Public key of an account that could pay: nothing but the signature is wrong. */
  readonly sender: string;
  /** Of all transactions to all urls together. */
  readonly perSecond: number;
  readonly localAddress: string;
  readonly connectionsPerUrl: number;
  /** Transactions in one request. */
  readonly batch: number;
}

export interface FloodReport {
  readonly sent: number;
  /** Requests by status code; 0 when the connection ended without an answer. */
  readonly answers: Readonly<Record<string, number>>;
}

/** The rate is kept by what is due at each step. */
const STEP_MS = 20;
/** Requests without an answer: a flood does not wait, but it has no endless memory either. */
const OPEN_MAX = 512;
const BODIES = 128;

const options = JSON.parse(process.argv[2] ?? '') as FloodOptions;
const agent = new Agent({ keepAlive: true, maxSockets: options.connectionsPerUrl });
const answers: Record<string, number> = {};
let sent = 0;
let open = 0;
let turn = 0;

const key = fromHex(options.sender);
if (!key.ok) throw new Error(key.message);
const sender = key.value;

/** Scalars below 2^252 are canonical, so that the whole check has to be made. */
function signature(): Uint8Array {
  const random = randomFillSync(new Uint8Array(64));
  random[63] = 0;
  return random;
}

function transaction(_: unknown, lane: number): string {
  const encoded = encodeTransaction({
    key: { algorithm: ED25519, bytes: sender },
    lane: lane % LIMITS.lanesMax,
    nonce: 0,
    fee: amount(1_000n),
    validUntil: height(1_000_000),
    body: { kind: 'transfer', to: asAddress(randomFillSync(new Uint8Array(32))), amount: amount(1n) },
    signature: signature(),
  });
  return toHex(encoded);
}

/** Made ahead and sent in turn: what the flood itself costs is taken from those it attacks, who are on the same machine. */
const bodies = Array.from({ length: BODIES }, () =>
  JSON.stringify({ transactions: Array.from({ length: options.batch }, transaction) }),
);

function post(): void {
  const url = options.urls[turn % options.urls.length] as string;
  const body = bodies[turn % bodies.length] as string;
  turn += 1;
  open += 1;
  sent += options.batch;
  let counted = false;
  const count = (status: number): void => {
    if (counted) return;
    counted = true;
    open -= 1;
    answers[status] = (answers[status] ?? 0) + 1;
  };
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const { localAddress } = options;
  const call = request(
    `${url}/api/v1/transactions/batch`,
    { method: 'POST', agent, localAddress, headers },
    (response) => {
      response.resume();
      response.on('error', () => count(0));
      response.on('end', () => count(response.statusCode ?? 0));
    },
  );
  call.on('error', () => count(0));
  call.end(body);
}

const started = performance.now();
const timer = setInterval(() => {
  const due = ((performance.now() - started) / 1_000) * options.perSecond;
  while (sent < due && open < OPEN_MAX) post();
}, STEP_MS);

const input = createInterface({ input: process.stdin });
input.on('line', () => {
  clearInterval(timer);
  const report: FloodReport = { sent, answers };
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
});
input.on('close', () => process.exit(0));
