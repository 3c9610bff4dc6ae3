/**
 * One process of the network, put together by its role: a validator orders and executes, a gateway or member
 * observes the main chain and takes part in a subnet. What a gateway adds (devices, vault) is built on top of it.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { equalBytes, fromHex, toHex } from '@itc/core/bytes/hex.js';
import { refused } from '@itc/core/bytes/result.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { ED25519 } from '@itc/core/crypto/signature.js';
import type { CheckpointCertificate } from '@itc/core/ledger/checkpoint.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { decodeGenesis, genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { amount, height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import {
  encodeTransaction,
  transactionId,
  transactionSigningBytes,
  type UnsignedTransaction,
} from '@itc/core/ledger/transaction.js';
import { idText } from '@itc/core/state/record-map.js';
import { coSigningKeyPaths, type NodeConfig } from '../config.ts';
import { systemClock } from '../clock.ts';
import type { CoSigningKey } from '../crypto/co-signing-key.ts';
import { readCoSigningKeyFile, readKeyFile } from '../crypto/key-file.ts';
import type { KeyPair } from '../crypto/keypair.ts';
import { verifyNative } from '../crypto/native.ts';
import { VerifyPool } from '../crypto/verify-pool.ts';
import { Mempool } from '../mempool/mempool.ts';
import { PeerTransport } from '../network/peer-transport.ts';
import type { Clock, PeerId, Random, Tables, Timer, Transport } from '../ports.ts';
import { systemRandom } from '../random.ts';
import { BlockLog } from '../storage/block-log.ts';
import { nodeDisk } from '../storage/node-disk.ts';
import { SegmentStore } from '../storage/segment-store.ts';
import { AppliedRange } from './applied-range.ts';
import { LightPeers } from './light-peers.ts';
import { LightPieces } from './light-pieces.ts';
import { LmdbTables } from '../storage/lmdb-tables.ts';
import { WriteAheadLog } from '../storage/write-ahead-log.ts';
import { AddressBook } from './address-book.ts';
import { Accuser } from './accuser.ts';
import { Admission } from './admission.ts';
import { Chain } from './chain.ts';
import { CHANNELS } from './channels.ts';
import { CoSigning } from './co-signing.ts';
import { Consensus } from './consensus.ts';
import { decodeBatch, encodeBatches, Intake, type Judged } from './intake.ts';
import { createLogger, type Logger } from './logger.ts';
import { Observer } from './observer.ts';
import { ReplicaLog, type ReplicaLogPlace } from './replica-log.ts';
import { Snapshots } from './snapshots.ts';
import { Hops } from './hops.ts';
import { firstMembers } from './subnet-peers.ts';
import { SubnetPins } from './subnet-pins.ts';
import { proofOfReading } from './subnet-proof.ts';
import { logBytes, RETENTION, segmentBytes, SubnetRetention } from './subnet-retention.ts';
import { SubnetStore } from './subnet-store.ts';
import { Subnet } from './subnet.ts';

const HEARTBEAT_MS = 5_000;
/** A transaction of ours may wait this many blocks. */
const VALID_BLOCKS = 100_000;
const RESEND_MS = 3_000;
const RESEND_MAX = 512;
const MEMBER_RECORD_BYTES_MAX = 48 << 20;

export interface NodeProcessOptions {
  readonly config: NodeConfig;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Stands between this process and its peers. A bench makes a validator lie here; nothing else has a use for it. */
  readonly wrapTransport?: (transport: Transport) => Transport;
  /** In place of an empty pool with the usual bounds, for the same purpose. */
  readonly mempool?: Mempool;
}

export class NodeProcess implements AsyncDisposable {
  readonly config: NodeConfig;
  readonly keys: KeyPair;
  readonly genesis: Genesis;
  readonly chain: Chain;
  readonly tables: Tables;
  readonly transport: Transport;
  readonly pool: VerifyPool;
  readonly mempool: Mempool;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly consensus: Consensus | undefined;
  readonly observer: Observer | undefined;
  readonly snapshots: Snapshots;
  readonly coSigning: CoSigning;
  readonly subnet: Subnet | undefined;
  readonly subnetStore: SubnetStore | undefined;
  readonly light: LightPeers;
  readonly #addresses: AddressBook | undefined;
  readonly #closing: (() => Promise<void> | void)[] = [];
  #resend: Timer | undefined;
  /** Who decides now or in the next epoch, by transport name. */
  #validators: ReadonlySet<PeerId>;
  readonly #intake: Intake;

  private constructor(parts: {
    readonly options: NodeProcessOptions;
    readonly keys: KeyPair;
    readonly genesis: Genesis;
    readonly chain: Chain;
    readonly tables: Tables;
    readonly log: BlockLog;
    readonly transport: Transport;
    readonly direct: PeerTransport;
    readonly admission: Admission;
    readonly pool: VerifyPool;
    readonly logger: Logger;
    readonly replicaLog: { readonly log: ReplicaLog; readonly place: ReplicaLogPlace } | undefined;
    readonly member:
      | { readonly log: WriteAheadLog; readonly records: readonly Uint8Array[]; readonly store: SubnetStore }
      | undefined;
    readonly closing: readonly (() => Promise<void> | void)[];
  }) {
    const { config, clock = systemClock, random = systemRandom } = parts.options;
    this.config = config;
    this.clock = clock;
    this.random = random;
    this.keys = parts.keys;
    this.genesis = parts.genesis;
    this.chain = parts.chain;
    this.tables = parts.tables;
    this.transport = parts.transport;
    this.pool = parts.pool;
    this.logger = parts.logger;
    this.mempool = parts.options.mempool ?? new Mempool();
    this.#closing.push(...parts.closing);
    const { transport, chain, pool, logger } = this;
    chain.onCommitted(({ block }) =>
      this.mempool.committed(block.transactions, chain.state, block.header.height),
    );
    this.#validators = deciding(chain);
    chain.onCommitted(({ events }) => {
      if (events.some(({ kind }) => kind === 'epoch-elected' || kind === 'epoch-promoted'))
        this.#validators = deciding(chain);
    });
    chain.onReplaced(() => {
      this.mempool.refresh(chain.state);
      this.#validators = deciding(chain);
    });
    this.#intake = new Intake({
      chain,
      mempool: this.mempool,
      pool,
      verify: verifyNative,
      relay: (batch) => this.#toValidators(batch),
      added: () => this.consensus?.poke(),
      failed: (error) => logger.error({ err: error }, 'transactions are no longer taken'),
    });
    transport.open({
      ...CHANNELS.transaction,
      receive: (peer, bytes) => this.#relayed(peer.id, bytes),
    });
    transport.listen({ connected: ({ id }) => this.#greet(id) });
    if (parts.replicaLog !== undefined) {
      this.consensus = new Consensus({
        chain,
        keys: this.keys,
        transport,
        ...parts.replicaLog,
        mempool: this.mempool,
        pool,
        checking: (names) => this.#intake.checking(names),
        clock,
        random,
        logger,
        heartbeatMs: config.heartbeatMs ?? HEARTBEAT_MS,
        submit: (encoded) => this.submit(encoded),
        stable: (certificate) => this.snapshots.noteStable(certificate),
        ...(config.viewTimeoutMs === undefined ? {} : { timing: { viewTimeoutMs: config.viewTimeoutMs } }),
      });
    } else {
      this.observer = new Observer({ chain, transport, clock, logger });
    }
    const { direct, admission } = parts;
    if (config.role === 'validator') {
      const addresses = new AddressBook({
        chain,
        keys: this.keys,
        transport,
        clock,
        listen: () => direct.listens,
        bonded: () => admission.bonded,
        configured: new Set(config.peers.map(({ key }) => key)),
        dial: (peers) => direct.learn(peers),
      });
      admission.watch(() => addresses.refresh());
      this.#addresses = addresses;
    }
    const { log } = parts;
    this.coSigning = new CoSigning({
      chain,
      tables: this.tables,
      transport,
      clock,
      random,
      pool,
      logger,
      keys: () => coSigningKeys(config),
    });
    const { tables, consensus } = this;
    const verify = verifyNative;
    this.snapshots = new Snapshots({
      config,
      chain,
      tables,
      log,
      transport,
      clock,
      random,
      logger,
      verify,
      consensus,
    });
    if (parts.member !== undefined && config.subnet !== undefined) {
      const id = hashFrom(config.subnet);
      const listed = parts.genesis.subnets.find((subnet) => equalBytes(subnet.id, id));
      const members = listed?.members ?? firstMembers(chain.state, id);
      if (members === undefined)
        throw new LedgerError('config.invalid', `the chain has no subnet ${config.subnet}`);
      const { store, log: memberLog } = parts.member;
      this.subnetStore = store;
      const { retainEnvelopeBytes: bytesTarget, retainEnvelopeMs: keepMs } = config;
      const sources = { chain, hops: new Hops(chain), subnet: id, store };
      const retention = new SubnetRetention({
        policy: {
          ...(bytesTarget === undefined ? {} : { bytesTarget }),
          ...(keepMs === undefined ? {} : { keepMs }),
        },
        store,
        pins: new SubnetPins({
          tables,
          store,
          prove: (payload) => proofOfReading(sources, payload),
          bytesMax: (bytesTarget ?? Number.MAX_SAFE_INTEGER) / RETENTION.pinsPart,
        }),
        logBytes: () => memberLog.size,
        now: () => clock.now(),
      });
      const accuser = new Accuser({
        chain,
        keys: this.keys,
        clock,
        logger,
        submit: (encoded) => this.submit(encoded),
      });
      this.#closing.push(() => accuser.stop());
      this.subnet = new Subnet({
        retention,
        ...auditOf(config),
        ...(bytesTarget === undefined ? {} : { logBytesMax: logBytes(bytesTarget) }),
        chain,
        subnet: id,
        members,
        powBits: listed?.powBits ?? chain.state.basePowBits(id) ?? 0,
        keys: this.keys,
        transport,
        pool,
        log: memberLog,
        records: parts.member.records,
        store,
        clock,
        random,
        logger,
        accuser,
        submit: (certificate) => this.#submitCheckpoint(certificate),
      });
      const sweep = (): void => {
        store.withdrawals
          .sweep(id, chain.state)
          .catch((error: unknown) => logger.warn({ err: error }, 'paid withdrawals are forgotten later'));
      };
      sweep();
      chain.onCommitted(({ events }) => {
        if (events.some((event) => event.kind === 'withdrawn' && equalBytes(event.subnet, id))) sweep();
      });
    }
    this.light = new LightPeers({ chain, transport, clock, pieces: this.#lightPieces() });
  }

  #lightPieces(): LightPieces {
    const { chain, tables, subnet, subnetStore: store } = this;
    if (subnet === undefined || store === undefined) return new LightPieces({ chain });
    const { id } = subnet;
    const range = new AppliedRange({ chain, subnet: id, tables });
    this.#closing.push(() => range.close());
    return new LightPieces({ chain, subnet: { id, store, range } });
  }

  /** Opens everything on disk; nothing is sent or received before `start`. */
  static async open(options: NodeProcessOptions): Promise<NodeProcess> {
    const { config } = options;
    const clock = options.clock ?? systemClock;
    const random = options.random ?? systemRandom;
    const disk = nodeDisk;
    const logger = createLogger(config.name, config.logLevel ?? 'info');
    const closing: (() => Promise<void> | void)[] = [];
    const keys = await readKeyFile(config.keyFile, process.env['ITC_PASSPHRASE']);
    const genesis = readGenesis(config.genesisFile);
    mkdirSync(config.dataDir, { recursive: true });
    const folder = (name: string): string => join(config.dataDir, name);
    const tables = await LmdbTables.open({ folder: folder('tables') });
    closing.push(() => tables[Symbol.asyncDispose]());
    const log = await BlockLog.open({ disk, folder: folder('blocks'), random });
    closing.push(() => log.close());
    const eventLog = config.eventLog ?? config.role !== 'validator';
    const chain = await Chain.open({ genesis, log, tables, verify: verifyNative, eventLog });
    const pool = new VerifyPool({ workers: config.verifyThreads ?? 1 });
    closing.push(() => pool[Symbol.asyncDispose]());
    const admission = new Admission(
      chain,
      config.peers.map(({ key }) => key),
      config.subnet === undefined ? undefined : hashFrom(config.subnet),
    );
    const transport = new PeerTransport({
      chain: genesisHash(genesis),
      keys,
      role: config.role,
      host: config.peer.host,
      port: config.peer.port,
      peers: config.peers.map((peer) => ({ id: peer.key, host: peer.host, port: peer.port })),
      allow: ({ id }) => admission.allows(id),
      ...(config.advertise === undefined ? {} : { advertise: config.advertise }),
      ...(config.hybrid === undefined ? {} : { hybrid: config.hybrid }),
      clock,
      random,
    });
    admission.watch(() => transport.review());
    let replicaLog;
    if (config.role === 'validator') {
      const place = { disk, folder: config.dataDir, random };
      const opened = await ReplicaLog.open(place);
      closing.push(() => opened[Symbol.asyncDispose]());
      replicaLog = { log: opened, place };
    }
    let member;
    if (config.role !== 'validator' && config.subnet !== undefined) {
      const { retainEnvelopeBytes: target } = config;
      // A snapshot of a subnet with all the lanes it may have is one record.
      const opened = await WriteAheadLog.open({
        disk,
        folder: folder('member'),
        random,
        recordBytesMax: MEMBER_RECORD_BYTES_MAX,
      });
      const segments = await SegmentStore.open({
        disk,
        folder: folder('envelopes'),
        random,
        ...(target === undefined ? {} : { segmentBytesMin: segmentBytes(target) }),
      });
      closing.push(
        () => opened.log.close(),
        () => segments.close(),
      );
      member = { ...opened, store: new SubnetStore({ chain: chain.id, tables, segments }) };
    }
    return new NodeProcess({
      options,
      keys,
      genesis,
      chain,
      tables,
      log,
      transport: options.wrapTransport?.(transport) ?? transport,
      direct: transport,
      admission,
      pool,
      logger,
      replicaLog,
      member,
      closing,
    });
  }

  async start(): Promise<void> {
    await this.transport.start();
    this.#addresses?.start();
    await this.consensus?.start();
    this.observer?.start();
    this.snapshots.start();
    this.coSigning.start();
    this.subnet?.start();
    this.#sendAgain();
    this.logger.info(
      { role: this.config.role, height: this.chain.height, chain: toHex(this.chain.id) },
      'started',
    );
  }

  /** Ends in the reverse order of opening; what was promised is on disk when it resolves. */
  async stop(): Promise<void> {
    this.#resend?.cancel();
    this.#addresses?.stop();
    await this.subnet?.stop();
    this.observer?.stop();
    await this.coSigning.stop();
    await this.snapshots.stop();
    await this.consensus?.stop();
    await this.transport[Symbol.asyncDispose]();
    for (const close of this.#closing.splice(0).reverse()) await close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /**
   * Takes a transaction for the network: a validator pools and passes it on, others bring it to the validators.
   * Throws with the code of the refusal.
   */
  async submit(encoded: Uint8Array): Promise<Hash> {
    const judged = await new Promise<Judged>((resolve) => {
      if (!this.offer(encoded, resolve))
        resolve(refused('pool.full', 'too many transactions wait to be checked'));
    });
    if (judged.ok) return judged.value.id;
    if (judged.code === 'transaction.duplicate' && !this.#orders) {
      const id = transactionId(encoded);
      if (this.isPending(id)) return id;
    }
    throw new LedgerError(judged.code, judged.message);
  }

  /** The same for many: the verdict comes through `done`. False when too many wait, and nothing was kept. */
  offer(encoded: Uint8Array, done: (judged: Judged) => void): boolean {
    const full = this.consensus?.full;
    if (full !== undefined) {
      done(refused('storage.full', full.message));
      return true;
    }
    return this.#intake.offer({ encoded, relay: true, again: !this.#orders, done });
  }

  isPending(id: Hash): boolean {
    return this.mempool.get(idText(id)) !== undefined;
  }

  /** From another process. A refusal is not answered: whoever submitted asks for the receipt. */
  #relayed(peer: string, bytes: Uint8Array): void {
    if (this.consensus === undefined) return;
    const batch = decodeBatch(bytes);
    if (batch === undefined) return this.#blame(peer, 'relayed transactions do not decode');
    // Only what comes from outside the validators is passed on, so that nothing circles.
    const relay = !this.#validators.has(peer);
    const done = (judged: Judged): void => {
      if (!judged.ok && judged.code === 'signature.invalid')
        this.#blame(peer, 'a relayed transaction is not signed by its sender');
    };
    // What finds no room is dropped: the sender sends again.
    for (const encoded of batch) if (!this.#intake.offer({ encoded, relay, done })) return;
  }

  #blame(peer: string, message: string): void {
    this.logger.warn({ peer }, message);
    this.transport.disconnect(peer);
  }

  /** Whether this node's own pool goes into blocks; otherwise others have to hear of what it is to bring. */
  get #orders(): boolean {
    return this.consensus?.votes === true;
  }

  #toValidators(batch: Uint8Array): void {
    for (const id of this.#validators)
      if (id !== this.transport.self) this.transport.send(id, CHANNELS.transaction.number, batch);
  }

  /** What was submitted here and is not final goes out again: validators may have been away. */
  #sendAgain(): void {
    this.#resend = this.clock.after(RESEND_MS, () => this.#sendAgain());
    if (this.#orders) return;
    for (const batch of this.#waiting()) this.#toValidators(batch);
  }

  /** A validator that comes back may be the next to propose, and has missed what was said meanwhile. */
  #greet(peer: PeerId): void {
    if (!this.#validators.has(peer)) return;
    for (const batch of this.#waiting()) this.transport.send(peer, CHANNELS.transaction.number, batch);
  }

  #waiting(): Uint8Array[] {
    const waiting = this.mempool.take(this.chain.state, {
      bytesMax: LIMITS.blockBytesMax,
      countMax: RESEND_MAX,
      exclude: new Set(),
    });
    return encodeBatches(waiting.map(({ encoded }) => encoded));
  }

  #submitCheckpoint(certificate: CheckpointCertificate): void {
    const unsigned: UnsignedTransaction = {
      key: { algorithm: ED25519, bytes: this.keys.publicKey.bytes },
      lane: 0,
      nonce: 0,
      fee: amount(0n),
      validUntil: height(this.chain.height + VALID_BLOCKS),
      body: { kind: 'checkpoint', certificate },
    };
    const signature = this.keys.sign(transactionSigningBytes(this.chain.id, unsigned));
    for (const batch of encodeBatches([encodeTransaction({ ...unsigned, signature })]))
      this.#toValidators(batch);
  }
}

/** A gateway keeps what it hears of other gateways and shows it to its owner: it checks all of it (spec DAG-13.1). */
function auditOf({ role, auditShare }: NodeConfig): { readonly auditShare?: number } {
  if (role === 'gateway') return { auditShare: 1 };
  return auditShare === undefined ? {} : { auditShare };
}

/** The key in use and its successor, as far as there are any. */
async function coSigningKeys({ role, keyFile }: NodeConfig): Promise<CoSigningKey[]> {
  if (role !== 'validator') return [];
  const paths = coSigningKeyPaths(keyFile).filter((path) => existsSync(path));
  return Promise.all(paths.map((path) => readCoSigningKeyFile(path, process.env['ITC_PASSPHRASE'])));
}

function deciding(chain: Chain): ReadonlySet<PeerId> {
  const { validators, next } = chain.state.epoch;
  return new Set([...validators, ...(next?.validators ?? [])].map(({ key }) => toHex(key.bytes)));
}

export function readGenesis(path: string): Genesis {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new LedgerError('not-found', `the genesis file ${path} cannot be read`, { path }, error);
  }
  if (bytes.length > LIMITS.genesisBytesMax)
    throw new LedgerError('config.invalid', `${path} is too long for a genesis document`, { path });
  const genesis = decodeGenesis(bytes);
  if (!genesis.ok)
    throw new LedgerError('config.invalid', `${path} is not a genesis document: ${genesis.message}`, {
      path,
    });
  return genesis.value;
}

function hashFrom(hex: string): Hash {
  const bytes = fromHex(hex);
  if (!bytes.ok) throw new LedgerError('config.invalid', bytes.message);
  return asHash(bytes.value);
}
