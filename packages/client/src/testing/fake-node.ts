/**
 * A node of one validator behind real HTTP: it executes with the real state machine and certifies with a real
 * key, so what the client believes of it is what it would believe of any. Its faults are switches.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { asHash, ZERO_HASH, type Hash } from '@itc/core/crypto/hash.js';
import { parseAddress } from '@itc/core/ledger/address.js';
import {
  headerHash,
  HEADER_VERSION,
  transactionsRoot,
  voteSigningBytes,
  type Header,
} from '@itc/core/ledger/block.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { encodeGenesis, genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { amount, epoch, height, millis, SUPPLY, view } from '@itc/core/ledger/ids.js';
import type { LinkedHeader } from '@itc/core/light/certified.js';
import { encodeInclusionProof, proveInclusion } from '@itc/core/light/inclusion-proof.js';
import { transactionId } from '@itc/core/ledger/transaction.js';
import { validatorsHash } from '@itc/core/ledger/validators.js';
import { precheck } from '@itc/core/state/admission.js';
import { applyBlock } from '@itc/core/state/apply.js';
import { LedgerState } from '@itc/core/state/ledger-state.js';
import { verifyTransaction } from '@itc/core/state/verified-transaction.js';
import type { BlockDetail, TransactionStatus } from '../api.ts';
import { seedSigner, type SeedSigner } from '../keys.ts';
import { checkRequest } from '../requests.ts';

export const treasury: SeedSigner = seedSigner(new Uint8Array(32).fill(1));
/** The one validator. */
export const genesisValidator: SeedSigner = seedSigner(new Uint8Array(32).fill(2));

/** What the next answers do before the node behaves again. */
export type Fault = 'drop-transaction' | 'hang-up' | 'not-problem-details' | 'stay-pending';

export class FakeNode {
  readonly genesis: Genesis;
  readonly chain: Hash;
  state: LedgerState;
  readonly blocks: BlockDetail[] = [];
  /** Headers of the blocks, for proofs. */
  readonly linked: LinkedHeader[] = [];
  readonly faults: Fault[] = [];
  readonly statuses: Map<string, TransactionStatus> = new Map();
  /** Each connection to the events, with what it asked to resume from. */
  readonly resumedFrom: (string | undefined)[] = [];
  /** What each connection to the events is sent, in turn; a connection ends after its text unless it is the last. */
  eventTexts: string[] = [];
  readonly #server: Server = createServer((request, response) => {
    void this.#serve(request, response);
  });

  constructor(feePerByte = 3n) {
    this.genesis = {
      name: 'fake',
      time: millis(1),
      validators: [{ key: genesisValidator.publicKey, weight: 1 }],
      accounts: [{ address: treasury.address, balance: SUPPLY }],
      subnets: [],
      feePerByte: amount(feePerByte),
      validatorBond: amount(0n),
      bondPerWeight: amount(0n),
      reserve: amount(0n),
      rewardPerCheckpoint: amount(0n),
      depositPerByte: amount(0n),
      accountPrice: amount(0n),
      burnShare: 0,
    };
    this.chain = genesisHash(this.genesis);
    this.state = LedgerState.fromGenesis(this.genesis);
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** Applies one transaction in a block of its own and certifies it. */
  execute(encoded: Uint8Array): void {
    const at = height(this.blocks.length + 1);
    const verified = verifyTransaction(this.chain, encoded, verifySignature);
    if (!verified.ok) throw new Error(verified.message);
    const context = {
      chain: this.chain,
      height: at,
      time: millis(1000 * at),
      verify: verifySignature,
    };
    const { state, receipts } = applyBlock(this.state, context, [verified.value]);
    this.state = state;
    const set = validatorsHash(this.genesis.validators);
    const header: Header = {
      version: HEADER_VERSION,
      flags: 0,
      epoch: epoch(0),
      height: at,
      time: context.time,
      parentHash: ZERO_HASH,
      txRoot: transactionsRoot([verified.value.id]),
      stateRoot: state.root,
      historyRoot: ZERO_HASH,
      validatorsHash: set,
      nextValidatorsHash: set,
    };
    const hash = headerHash(header);
    const vote = voteSigningBytes('commit', {
      chain: this.chain,
      epoch: header.epoch,
      view: view(0),
      height: at,
      hash,
    });
    const signature = genesisValidator.sign(vote);
    const certificate = { epoch: header.epoch, view: view(0), height: at, hash };
    this.linked.push({
      hops: [],
      header,
      certificate: { ...certificate, signers: Uint8Array.of(1), signatures: [signature] },
    });
    const id = toHex(verified.value.id);
    const outcome = receipts[0]?.outcome;
    const ok = outcome?.ok === true;
    const refusal =
      outcome === undefined || outcome.ok ? {} : { code: outcome.code, message: outcome.message };
    const receipt = { ok, ...refusal, fee: String(receipts[0]?.fee ?? 0n) };
    this.statuses.set(id, { id, status: 'final', height: at, index: 0, receipt });
    this.blocks.push({
      height: at,
      hash: toHex(hash),
      time: header.time,
      transactions: 1,
      view: 0,
      signers: [0],
      bytes: encoded.length,
      header: {
        flags: header.flags,
        epoch: 0,
        parentHash: toHex(header.parentHash),
        txRoot: toHex(header.txRoot),
        stateRoot: toHex(header.stateRoot),
        historyRoot: toHex(header.historyRoot),
        validatorsHash: toHex(set),
        nextValidatorsHash: toHex(set),
      },
      certificate: { view: 0, signers: [0], signatures: [toHex(signature)] },
      items: [{ id, kind: verified.value.tx.body.kind, sender: '', ...receipt }],
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Uint8Array[] = [];
    for await (const piece of request) pieces.push(piece as Uint8Array);
    const body = Buffer.concat(pieces);
    const [path = '', query] = (request.url ?? '').replace('/api/v1', '').split('?');
    const fault = this.faults[0];
    if (fault === 'hang-up') {
      this.faults.shift();
      response.destroy();
      return;
    }
    if (fault === 'not-problem-details') {
      this.faults.shift();
      response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>');
      return;
    }
    if (path === '/events') this.#events(request, response);
    else this.#answer(request, response, { path, query }, body);
  }

  #answer(
    request: IncomingMessage,
    response: ServerResponse,
    { path, query }: { readonly path: string; readonly query: string | undefined },
    body: Uint8Array,
  ): void {
    const [, collection, name] = path.split('/');
    if (path === '/genesis')
      return json(response, 200, { hash: toHex(this.chain), bytes: toHex(encodeGenesis(this.genesis)) });
    if (collection === 'accounts') return this.#account(response, name ?? '');
    if (path === '/transactions') return this.#take(response, body);
    if (collection === 'transactions')
      return json(response, 200, this.#status(name ?? '', query === 'proof=1'));
    const block = collection === 'blocks' ? this.blocks[Number(name) - 1] : undefined;
    if (block !== undefined) return json(response, 200, block);
    if (path === '/gateway/devices') return this.#enrol(request, response, body);
    return problemDetails(response, 404, 'not-found', `nothing at ${path}`);
  }

  #status(id: string, withProof: boolean): TransactionStatus {
    const status = this.statuses.get(id) ?? { id, status: 'unknown' };
    const linked = this.linked[(status.height ?? 0) - 1];
    if (!withProof || linked === undefined) return status;
    const ids = [hashOf(id)];
    const proof = encodeInclusionProof(proveInclusion({ ...linked, ids, index: 0 }));
    return { ...status, proof: Buffer.from(proof).toString('base64url') };
  }

  #account(response: ServerResponse, text: string): void {
    const address = parseAddress(text);
    if (!address.ok) return problemDetails(response, 400, address.code, address.message);
    const account = this.state.account(address.value);
    const nonces = Object.fromEntries((account?.nonces ?? []).map((next, lane) => [String(lane), next]));
    return json(response, 200, { address: text, balance: String(account?.balance ?? 0n), nonces });
  }

  #take(response: ServerResponse, body: Uint8Array): void {
    const { transaction } = JSON.parse(new TextDecoder().decode(body)) as { transaction: string };
    const encoded = fromHex(transaction);
    if (!encoded.ok) return problemDetails(response, 400, 'request.malformed', encoded.message);
    const verified = verifyTransaction(this.chain, encoded.value, verifySignature);
    if (!verified.ok) return problemDetails(response, 422, verified.code, verified.message);
    const context = { chain: this.chain, height: height(this.blocks.length + 1), verify: verifySignature };
    const checked = precheck(this.state, context, verified.value);
    if (!checked.ok) return problemDetails(response, 422, checked.code, checked.message);
    const id = toHex(transactionId(encoded.value));
    const fault =
      this.faults[0] === 'drop-transaction' || this.faults[0] === 'stay-pending'
        ? this.faults.shift()
        : undefined;
    if (fault === 'stay-pending') this.statuses.set(id, { id, status: 'pending' });
    else if (fault === undefined) this.execute(encoded.value);
    return json(response, 202, { id });
  }

  #enrol(request: IncomingMessage, response: ServerResponse, body: Uint8Array): void {
    const caller = checkRequest({
      chain: this.chain,
      method: request.method ?? '',
      path: request.url ?? '',
      body,
      authorization: request.headers.authorization,
      now: millis(Date.now()),
      verify: verifySignature,
    });
    if (!caller.ok) return problemDetails(response, 401, caller.code, caller.message);
    return json(response, 200, {
      address: toHex(caller.value.address),
      name: (JSON.parse(new TextDecoder().decode(body)) as { name: string }).name,
    });
  }

  #events(request: IncomingMessage, response: ServerResponse): void {
    this.resumedFrom.push(request.headers['last-event-id'] as string | undefined);
    const text = this.eventTexts.shift();
    if (text === undefined) return problemDetails(response, 404, 'not-found', 'no more events');
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(text);
    if (this.eventTexts.length > 0) response.end();
  }
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function problemDetails(response: ServerResponse, status: number, code: ErrorCode, detail: string): void {
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify({ type: 'about:blank', status, code, title: code, detail }));
}

/** Changes one hex digit. */
export function damaged(hex: string): string {
  return (hex.startsWith('0') ? '1' : '0') + hex.slice(1);
}

export function hashOf(hex: string): Hash {
  const bytes = fromHex(hex);
  if (!bytes.ok) throw new Error(bytes.message);
  return asHash(bytes.value);
}

export function person(n: number): SeedSigner {
  return seedSigner(new Uint8Array(32).fill(n));
}
