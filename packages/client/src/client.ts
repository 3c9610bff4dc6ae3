/** A node's HTTP API with types: asking, sending, waiting until something is final, and hearing what happens. */
import { equalBytes, fromHex, toHex } from '@itc/core/bytes/hex.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { decodeGenesis, genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { amount, millis, type Amount } from '@itc/core/ledger/ids.js';
import { decodeLinkedHeader, type LinkedHeader } from '@itc/core/light/certified.js';
import type {
  AccountStatus,
  ParametersAnswer,
  ParametersInForce,
  SponsorshipStatus,
  StreamStatus,
  BlockDetail,
  BlockSummary,
  CheckpointSummary,
  CommandStatus,
  DeviceDetail,
  DeviceStatus,
  EpochSummary,
  GenesisAnswer,
  LiveEvent,
  NodeStatus,
  PayloadLevel,
  PayloadStatus,
  PayloadStatuses,
  Reading,
  Series,
  SubnetBalance,
  SubnetMembersAnswer,
  SubnetStatus,
  TransactionStatus,
  ValidatorsAnswer,
  Vertex,
  WaitingWithdrawals,
} from './api.ts';
import { fromBase64Url, toBase64Url } from './base64url.ts';
import { systemClock, type Clock } from './clock.ts';
import type { SignedCommand } from './commands.ts';
import { subscribe, type SubscribeOptions } from './event-stream.ts';
import { checkFinality, type Believer, type Finality } from './finality.ts';
import { parseJson, requestJson, type Fetch } from './http.ts';
import type { Signer } from './keys.ts';
import { signRequest } from './requests.ts';
import type { LogEntry } from './statement.ts';
import type { SignedTransaction } from './transactions.ts';
import type { SignedOrder } from './value.ts';

export interface ClientOptions {
  /** Of the node, without `/api/v1`. */
  readonly url: string;
  readonly fetch: Fetch;
  readonly clock?: Clock;
}

export interface WaitOptions {
  readonly signal?: AbortSignal;
  /** 30 s when left out; then `peer.timeout` is thrown. */
  readonly timeoutMs?: number;
}

export interface FinalTransaction {
  readonly status: TransactionStatus;
  /** The block it is in, as the node tells it; `checkBlock` judges it. */
  readonly block: BlockDetail;
}

export interface Enrolment {
  readonly name: string;
  readonly kind?: string;
  readonly device?: Address;
  /** For a device without a key of its own. */
  readonly legacy?: { readonly password: string };
}

export interface Page {
  readonly limit?: number;
  /** Only what lies before: a height for blocks, ms since 1970 for readings. */
  readonly before?: number;
}

const TIMEOUT_MS = 30_000;
const POLL_MS_MIN = 50;
const POLL_MS_MAX = 1000;

/** Who makes a request that is not for everybody. */
export interface SignedBy {
  readonly chain: Hash;
  readonly signer: Signer;
}

interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  readonly signedBy?: SignedBy | undefined;
}

type Query = Readonly<Record<string, string | number | undefined>>;

/** Every method throws `LedgerError` with the server's code, `peer.gone` without an answer. */
export class Client {
  readonly url: string;
  readonly #fetch: Fetch;
  readonly #clock: Clock;

  constructor(o: ClientOptions) {
    this.url = o.url.replace(/\/+$/, '');
    this.#fetch = o.fetch;
    this.#clock = o.clock ?? systemClock;
  }

  status(): Promise<NodeStatus> {
    return this.#get('/status');
  }

  /** Decoded and hashed here. With `chain`, a node of another chain is refused: `transaction.wrong-chain`. */
  async genesis(chain?: Hash): Promise<{ readonly genesis: Genesis; readonly chain: Hash }> {
    const answer = await this.#get<GenesisAnswer>('/genesis');
    const bytes = fromHex(answer.bytes);
    const genesis = bytes.ok ? decodeGenesis(bytes.value) : bytes;
    if (!genesis.ok) throw new LedgerError('peer.message', `the genesis document: ${genesis.message}`);
    const hash = genesisHash(genesis.value);
    if (chain !== undefined && !equalBytes(hash, chain)) {
      throw new LedgerError(
        'transaction.wrong-chain',
        `expected chain ${toHex(chain)}, the node is on ${toHex(hash)}`,
      );
    }
    return { genesis: genesis.value, chain: hash };
  }

  /** Who decides, who has bonded, and what the next epoch will change. */
  validators(): Promise<ValidatorsAnswer> {
    return this.#get('/validators');
  }

  /** Newest first; `before` is an epoch. */
  async epochs(page: Page = {}): Promise<readonly EpochSummary[]> {
    return (await this.#get<{ epochs: readonly EpochSummary[] }>('/epochs', { ...page })).epochs;
  }

  /** The newest header with its hops; `followChain` of core/light moves a client's trust with it. */
  async head(): Promise<LinkedHeader> {
    const { linked } = await this.#get<{ linked: string }>('/proofs/head');
    const bytes = fromBase64Url(linked);
    const decoded = bytes.ok ? decodeLinkedHeader(bytes.value) : bytes;
    if (!decoded.ok) throw new LedgerError('peer.message', `the newest header: ${decoded.message}`);
    return decoded.value;
  }

  /** Newest first. */
  async blocks(page: Page = {}): Promise<readonly BlockSummary[]> {
    return (await this.#get<{ blocks: readonly BlockSummary[] }>('/blocks', { ...page })).blocks;
  }

  block(height: number): Promise<BlockDetail> {
    return this.#get(`/blocks/${height}`);
  }

  async account(
    address: Address,
  ): Promise<{ readonly balance: Amount; readonly nonces: AccountStatus['nonces'] }> {
    const { balance, nonces } = await this.#get<AccountStatus>(`/accounts/${formatAddress(address)}`);
    return { balance: amountIn(balance), nonces };
  }

  /** Prices and shares in force; validators may change them, so they are asked for again. */
  async parameters(): Promise<ParametersInForce> {
    const { values, votes } = await this.#get<ParametersAnswer>('/parameters');
    const { feePerByte, rewardPerCheckpoint, depositPerByte, accountPrice, burnShare } = values;
    return {
      feePerByte: amountIn(feePerByte),
      rewardPerCheckpoint: amountIn(rewardPerCheckpoint),
      depositPerByte: amountIn(depositPerByte),
      accountPrice: amountIn(accountPrice),
      burnShare: Number(amountIn(burnShare)),
      votes,
    };
  }

  async sponsorships(sponsor?: Address): Promise<readonly SponsorshipStatus[]> {
    const query = sponsor === undefined ? {} : { sponsor: formatAddress(sponsor) };
    return (await this.#get<{ sponsorships: readonly SponsorshipStatus[] }>('/sponsorships', query))
      .sponsorships;
  }

  sponsorship(id: Hash): Promise<SponsorshipStatus> {
    return this.#get(`/sponsorships/${toHex(id)}`);
  }

  /** Those the account pays and those it is paid by. */
  async streams(account: Address): Promise<readonly StreamStatus[]> {
    const query = { account: formatAddress(account) };
    return (await this.#get<{ streams: readonly StreamStatus[] }>('/streams', query)).streams;
  }

  /** What happened to an account, newest first, until `from`; for `statement`. */
  async *history(account: Address, from = 0): AsyncGenerator<LogEntry, void> {
    let before: string | undefined;
    do {
      const page: LogPage = await this.#get('/log', {
        about: formatAddress(account),
        limit: LOG_PAGE,
        ...(before !== undefined && { before }),
      });
      for (const entry of page.entries) {
        if (entry.time < from) return;
        yield entry;
      }
      before = page.next;
    } while (before !== undefined);
  }

  async nextNonce(address: Address, lane = 0): Promise<number> {
    return (await this.account(address)).nonces[String(lane)] ?? 0;
  }

  /** Taken by the node, not executed yet. */
  async submit(
    transaction: Pick<SignedTransaction, 'id' | 'encoded'>,
    o: { readonly signal?: AbortSignal } = {},
  ): Promise<Hash> {
    await this.#post('/transactions', { transaction: toHex(transaction.encoded) }, o);
    return transaction.id;
  }

  /** With `proof`, a final one comes with the proof that `checkFinality` judges. */
  transaction(
    id: Hash,
    o: { readonly proof?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<TransactionStatus> {
    const { signal } = o;
    return this.#get(`/transactions/${toHex(id)}`, o.proof === true ? { proof: 1 } : {}, { signal });
  }

  /**
   * Submits, and waits until the transaction is in a certified block. A node that lost it (a restart) gets it
   * again: it can be executed only once. Accepted or refused is in `status.receipt`.
   */
  async submitAndWait(
    transaction: Pick<SignedTransaction, 'id' | 'encoded'>,
    o: WaitOptions = {},
  ): Promise<FinalTransaction> {
    await this.#submitOnce(transaction);
    return this.#untilFinal(transaction, o);
  }

  /** The same for a transaction that was submitted before. */
  async waitForTransaction(id: Hash, o: WaitOptions = {}): Promise<FinalTransaction> {
    return this.#untilFinal({ id, encoded: undefined }, o);
  }

  /**
   * As `submitAndWait`, and believes only what the validators signed, whoever they are by now: `peer.message` for a node
   * that shows no proof that holds.
   */
  async submitAndVerify(
    transaction: Pick<SignedTransaction, 'id' | 'encoded'>,
    believer: Believer,
    o: WaitOptions = {},
  ): Promise<FinalTransaction & { readonly finality: Finality }> {
    const final = await this.submitAndWait(transaction, o);
    const status = await this.transaction(transaction.id, { proof: true });
    const finality = checkFinality(believer, transaction.id, status);
    if (!finality.ok) throw new LedgerError(finality.code, finality.message, { id: status.id });
    return { ...final, status, finality: finality.value };
  }

  async devices(): Promise<readonly DeviceStatus[]> {
    return (await this.#get<{ devices: readonly DeviceStatus[] }>('/devices')).devices;
  }

  /** By address or by the name its owner gave it. */
  device(device: string): Promise<DeviceDetail> {
    return this.#get(`/devices/${encodeURIComponent(device)}`);
  }

  /**
   * Readings belong to whoever owned the device when they were made. With `signedBy` those of the signer's own time are told, also
   * long after a sale; without, those of the present owner, where the gateway answers its home.
   */
  async readings(
    device: string,
    o: Page & { readonly name?: string; readonly signedBy?: SignedBy } = {},
  ): Promise<readonly Reading[]> {
    const { signedBy, ...query } = o;
    const path = `/devices/${encodeURIComponent(device)}/readings`;
    return (await this.#get<{ readings: readonly Reading[] }>(path, query, { signedBy })).readings;
  }

  series(device: string, o: { readonly name: string; readonly points?: number }): Promise<Series> {
    return this.#get(`/devices/${encodeURIComponent(device)}/series`, { ...o });
  }

  payload(id: Hash): Promise<PayloadStatus> {
    return this.#get(`/payloads/${toHex(id)}`);
  }

  /** At most 1000 at a time. */
  payloadStatuses(ids: readonly Hash[]): Promise<PayloadStatuses> {
    return this.#post('/payloads/status', { ids: ids.map(toHex) });
  }

  /** By a member of the subnet: security level 0 to 3, or why it was ignored. */
  payloadLevel(subnet: Hash, payload: Hash): Promise<PayloadLevel> {
    return this.#get(`/subnets/${toHex(subnet)}/payloads/${toHex(payload)}`);
  }

  /** `judgeBalance` says whether to believe it. */
  subnetBalance(subnet: Hash, address: Address): Promise<SubnetBalance> {
    return this.#get(`/subnets/${toHex(subnet)}/balances/${formatAddress(address)}`);
  }

  /** What waits on the main chain for this address, with the paths: nobody has to remember them. */
  subnetWithdrawals(subnet: Hash, to: Address): Promise<WaitingWithdrawals> {
    return this.#get(`/subnets/${toHex(subnet)}/withdrawals/${formatAddress(to)}`);
  }

  subnetMembers(subnet: Hash): Promise<SubnetMembersAnswer> {
    return this.#get(`/subnets/${toHex(subnet)}/members`);
  }

  /** What the owner of a device has asked for at this gateway. */
  deviceLevel(device: Address): Promise<{ readonly device: string; readonly level?: 0 | 1 | 2 | 3 }> {
    return this.#get(`/levels/${formatAddress(device)}`);
  }

  /**
   * Until the payload has reached a security level, by default the one its device asks for and else 3, or is ignored: see `state`. Of a level below 3 it is not certain that an order is
   * covered. Throws `peer.timeout` when the time is over.
   */
  async waitForLevel(
    o: { readonly subnet: Hash; readonly payload: Hash; readonly level?: 0 | 1 | 2 | 3 },
    wait: WaitOptions = {},
  ): Promise<PayloadLevel> {
    let status: PayloadLevel = { payload: toHex(o.payload), state: 'unknown' };
    const wanted = (): number => o.level ?? status.needed ?? 3;
    const isReached = await this.#poll(wait, async () => {
      status = await this.payloadLevel(o.subnet, o.payload);
      return status.state === 'ignored' || (status.level ?? -1) >= wanted();
    });
    if (isReached) return status;
    throw new LedgerError(
      'peer.timeout',
      `the payload is ${status.state}, level ${status.level ?? 'none'}, and not at level ${wanted()} yet`,
      { payload: status.payload },
    );
  }

  /** Hands an order, or a voucher of somebody, to a member: taken means seen, see `payloadLevel`. */
  async sendOrder(subnet: Hash, order: Pick<SignedOrder, 'bytes'>): Promise<Hash> {
    const body = { payload: toBase64Url(order.bytes) };
    const { payload } = await this.#post<{ payload: string }>(`/subnets/${toHex(subnet)}/orders`, body);
    const id = fromHex(payload);
    if (!id.ok || id.value.length !== HASH_BYTES)
      throw new LedgerError('peer.message', 'expected the id of a payload', { payload });
    return asHash(id.value);
  }

  /** The encoded proof; `verifyReading` of core/light judges it against the genesis hash the caller trusts. */
  async readingProof(payload: Hash): Promise<Uint8Array> {
    return proofBytes(await this.#get<{ proof: string }>(`/proofs/reading/${toHex(payload)}`));
  }

  /** Of a reading that came in a batch: its proof (DEVICE-3.3), its place in the batch, and which record of it is meant. */
  async batchProof(
    payload: Hash,
    index: number,
  ): Promise<{ readonly proof: Uint8Array; readonly index: number; readonly record: number }> {
    const answer = await this.#get<{ proof: string; index: number; record: number }>(
      `/payloads/${toHex(payload)}/readings/${index}`,
    );
    return { ...answer, proof: proofBytes(answer) };
  }

  async accessProof(o: { readonly device: Address; readonly subject: Address }): Promise<Uint8Array> {
    const query = { device: formatAddress(o.device), subject: formatAddress(o.subject) };
    return proofBytes(await this.#get<{ proof: string }>('/proofs/access', query));
  }

  sendCommand(command: Pick<SignedCommand, 'bytes'>): Promise<CommandStatus> {
    return this.#post('/commands', { payload: toHex(command.bytes) });
  }

  command(id: Hash): Promise<CommandStatus> {
    return this.#get(`/commands/${toHex(id)}`);
  }

  async commands(
    o: { readonly device?: string; readonly limit?: number } = {},
  ): Promise<readonly CommandStatus[]> {
    return (await this.#get<{ commands: readonly CommandStatus[] }>('/commands', { ...o })).commands;
  }

  /** Until the device has said what it did, or the time is over; then what is known is returned, with why it waits. */
  async commandAndWait(command: SignedCommand, o: WaitOptions = {}): Promise<CommandStatus> {
    let status = await this.sendCommand(command);
    await this.#poll(o, async () => {
      if (status.outcome === undefined) status = await this.command(command.id);
      return status.outcome !== undefined;
    });
    return status;
  }

  async subnets(): Promise<readonly SubnetStatus[]> {
    return (await this.#get<{ subnets: readonly SubnetStatus[] }>('/subnets')).subnets;
  }

  async graph(subnet: Hash, o: { readonly limit?: number } = {}): Promise<readonly Vertex[]> {
    return (await this.#get<{ vertices: readonly Vertex[] }>(`/subnets/${toHex(subnet)}/graph`, { ...o }))
      .vertices;
  }

  async checkpoints(
    subnet: Hash,
    o: { readonly limit?: number } = {},
  ): Promise<readonly CheckpointSummary[]> {
    return (
      await this.#get<{ checkpoints: readonly CheckpointSummary[] }>(
        `/subnets/${toHex(subnet)}/checkpoints`,
        { ...o },
      )
    ).checkpoints;
  }

  /** A request signed by the owner: names a device at this gateway, or enrols one without a key. */
  async enrolDevice(
    enrolment: Enrolment,
    o: SignedBy,
  ): Promise<{ readonly address: string; readonly name: string }> {
    const { device, ...rest } = enrolment;
    const value = { ...rest, ...(device === undefined ? {} : { device: formatAddress(device) }) };
    return this.#post('/gateway/devices', value, { signedBy: o });
  }

  /** What happens, from now or from after an event seen before, across lost connections. Unknown kinds are left out. */
  async *events(
    o: Pick<SubscribeOptions, 'lastEventId' | 'signal' | 'onState'> = {},
  ): AsyncGenerator<LiveEvent, void, void> {
    const stream = subscribe({
      ...o,
      fetch: this.#fetch,
      url: `${this.url}/api/v1/events`,
      clock: this.#clock,
    });
    for await (const { id, event, data } of stream) {
      const value = parseJson(data);
      if (value !== undefined && Object.hasOwn(KINDS, event)) yield { id, event, value } as LiveEvent;
    }
  }

  async #untilFinal(
    transaction: { readonly id: Hash; readonly encoded: Uint8Array | undefined },
    o: WaitOptions,
  ): Promise<FinalTransaction> {
    let status: TransactionStatus = { id: toHex(transaction.id), status: 'unknown' };
    const done = await this.#poll(o, async () => {
      status = await this.transaction(transaction.id);
      const { id, encoded } = transaction;
      if (status.status === 'unknown' && encoded !== undefined) await this.#submitOnce({ id, encoded });
      return status.status === 'final';
    });
    if (!done)
      throw new LedgerError('peer.timeout', `the transaction is ${status.status} still`, { id: status.id });
    if (status.height === undefined)
      throw new LedgerError('peer.message', 'a final transaction has a height', { id: status.id });
    return { status, block: await this.block(status.height) };
  }

  /** A node that refuses what it has executed or holds already has not refused it: its status tells. */
  async #submitOnce(transaction: Pick<SignedTransaction, 'id' | 'encoded'>): Promise<void> {
    try {
      await this.submit(transaction);
    } catch (error) {
      const code = error instanceof LedgerError ? error.code : undefined;
      if (code !== 'transaction.duplicate' && code !== 'transaction.nonce') throw error;
      if ((await this.transaction(transaction.id)).status === 'unknown') throw error;
    }
  }

  /** Asks with growing pauses; false when the time is over. A connection lost meanwhile is not the end of it. */
  async #poll(o: WaitOptions, ask: () => Promise<boolean>): Promise<boolean> {
    const endsAt = this.#clock.now() + (o.timeoutMs ?? TIMEOUT_MS);
    for (let pauseMs = POLL_MS_MIN; ; pauseMs = Math.min(pauseMs * 1.5, POLL_MS_MAX)) {
      o.signal?.throwIfAborted();
      try {
        if (await ask()) return true;
      } catch (error) {
        if (!(error instanceof LedgerError) || (error.code !== 'peer.gone' && error.code !== 'not-ready'))
          throw error;
      }
      if (this.#clock.now() + pauseMs > endsAt) return false;
      await this.#clock.sleep(pauseMs, o.signal);
    }
  }

  /** Any answer of the API by its path below `/api/v1`, for what has a file of its own. */
  get<T>(path: string, query: Query = {}): Promise<T> {
    return this.#get<T>(path, query);
  }

  async #get<T>(path: string, query: Query = {}, o: RequestOptions = {}): Promise<T> {
    const pairs = Object.entries(query).filter(([, value]) => value !== undefined);
    const text = pairs.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join('&');
    const apiPath = `/api/v1${path}${text === '' ? '' : `?${text}`}`;
    const { signal, signedBy } = o;
    const headers: Record<string, string> = { accept: 'application/json' };
    if (signedBy !== undefined)
      headers['authorization'] = await this.#authorization(signedBy, 'GET', apiPath, '');
    const init = { method: 'GET', headers, ...(signal && { signal }) };
    return (await requestJson(this.#fetch, `${this.url}${apiPath}`, init)) as T;
  }

  async #post<T>(path: string, value: unknown, o: RequestOptions = {}): Promise<T> {
    const { signal, signedBy } = o;
    const body = JSON.stringify(value);
    const headers: Record<string, string> = {
      accept: 'application/json',
      'content-type': 'application/json',
    };
    const apiPath = `/api/v1${path}`;
    if (signedBy !== undefined)
      headers['authorization'] = await this.#authorization(signedBy, 'POST', apiPath, body);
    const init = { method: 'POST', headers, body, ...(signal && { signal }) };
    return (await requestJson(this.#fetch, `${this.url}${apiPath}`, init)) as T;
  }

  #authorization(by: SignedBy, method: string, path: string, body: string): Promise<string> {
    const time = millis(Math.floor(this.#clock.now()));
    return signRequest({ ...by, method, path, body: utf8Encode(body), time });
  }
}

export function createClient(o: ClientOptions): Client {
  return new Client(o);
}

interface LogPage {
  readonly entries: readonly LogEntry[];
  readonly next?: string;
}

const LOG_PAGE = 200;

/** Base units as the API writes them. */
function amountIn(text: string): Amount {
  if (!/^\d{1,20}$/.test(text)) throw new LedgerError('peer.message', `${text} is no amount`);
  return amount(BigInt(text));
}

/** Keys of `LiveEvents`, at run time. */
const KINDS: Readonly<Record<LiveEvent['event'], true>> = {
  block: true,
  envelope: true,
  weight: true,
  checkpoint: true,
  reading: true,
  command: true,
  device: true,
  status: true,
};

function proofBytes(answer: { readonly proof: string }): Uint8Array {
  const bytes = fromBase64Url(answer.proof);
  if (!bytes.ok) throw new LedgerError('peer.message', `the proof: ${bytes.message}`);
  return bytes.value;
}

/** A hash as the API writes it. Throws `request.malformed`. */
export function parseHash(hex: string): Hash {
  const bytes = fromHex(hex);
  if (!bytes.ok || bytes.value.length !== HASH_BYTES)
    throw new LedgerError('request.malformed', `expected ${HASH_BYTES} bytes in hex`);
  return asHash(bytes.value);
}
