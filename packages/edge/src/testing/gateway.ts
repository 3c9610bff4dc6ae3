/** A gateway on a ledger and a subnet that tests move by hand, with real clients over real sockets. */
import { toHex } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { hashTagged, type Hash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { NO_DEPOSIT } from '@itc/core/state/record-deposit.js';
import { StateTree } from '@itc/core/crypto/state-tree.js';
import type { KeySet } from '@itc/core/ledger/account-keys.js';
import { addressOf, type Address } from '@itc/core/ledger/address.js';
import { encodeCommand, type Action } from '@itc/core/ledger/command.js';
import { headerHash } from '@itc/core/ledger/block.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { amount, epoch, millis } from '@itc/core/ledger/ids.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { ACTIONS, type ModelLimits } from '@itc/core/ledger/terms.js';
import { encodeLinkedHeader } from '@itc/core/light/certified.js';
import { encodeAccessProof, proveAccess } from '@itc/core/light/access-proof.js';
import { ownedBy, type Device } from '@itc/core/state/device-record.js';
import { accessKeys } from '@itc/core/light/stream-access.js';
import { encodeLightStream } from '@itc/core/light/stream.js';
import { deviceKey, grantKey, keysKey, stateKey, stateKeyHash, type StateKey } from '@itc/core/state/keys.js';
import type { Rental } from '@itc/core/state/rental-record.js';
import { encodeRecord, type GrantRecord } from '@itc/core/state/records.js';
import {
  signedPayload,
  world,
  GENESIS_TIME,
  type CertifiedBlock,
  type Group,
  type World,
} from '@itc/core/testing/chain.js';
import { grantBy, ownedDevice } from '@itc/core/testing/devices.js';
import { EpochChain } from '@itc/core/testing/epochs.js';
import { installNativeSha256, keyPair, verifyQuickly, type KeyPair } from '@itc/core/testing/keys.js';
import type { Tables } from '@itc/node/ports.js';
import { MemoryTables } from '@itc/node/storage/memory-tables.js';
import { Vault } from '../3-cyber/vault/vault.ts';
import { Lamp } from '../device/lamp.ts';
import type { Flash } from '../device-sdk/flash.ts';
import { FlashChip } from './flash-chip.ts';
import { Gateway } from '../gateway.ts';
import { SILENT } from '../log.ts';
import type { BatchPort, LedgerPort, PayloadProgress, SubnetPort } from '../ports.ts';

installNativeSha256();

export const owner: KeyPair = keyPair(10);
export const guest: KeyPair = keyPair(11);
export const stranger: KeyPair = keyPair(12);
export const lampKey: KeyPair = keyPair(20);
export const sensorKey: KeyPair = keyPair(21);
export const gatewayKey: KeyPair = keyPair(30);

/** One block a call; records change as the test says. */
export class FakeLedger implements LedgerPort {
  readonly world: World = world();
  readonly gateway: Address = gatewayKey.address;
  readonly #chain: EpochChain;
  readonly #listeners: Set<() => void> = new Set();
  readonly #devices: Map<string, Device> = new Map();
  readonly #grants: Map<string, Partial<GrantRecord> | undefined> = new Map();
  readonly #values: Map<string, Uint8Array> = new Map();
  #tree: StateTree = StateTree.empty;
  #head: CertifiedBlock | undefined;

  /** `later`: the validators of epochs 1, 2, …, the last of which is now; one epoch when left out. */
  constructor(later: readonly Group[] = []) {
    this.#chain = new EpochChain(this.world, later);
  }

  get chain(): Hash {
    return this.world.chain;
  }

  claim(device: KeyPair, by: KeyPair): void {
    this.#setDevice(ownedDevice({ key: device.key, owner: by.address, at: millis(GENESIS_TIME) }));
  }

  /** To another owner, now. */
  transfer(device: KeyPair, to: KeyPair): void {
    const record = this.#devices.get(toHex(device.address));
    if (record === undefined) throw new Error('nobody has claimed it');
    const at = millis(this.time);
    this.#setDevice(ownedBy(record, { owner: to.address, how: 'transferred', at, delay: 0 }));
  }

  /** Stolen, found, retired. */
  mark(device: KeyPair, state: Device['state']): void {
    const record = this.#devices.get(toHex(device.address));
    if (record !== undefined) this.#setDevice({ ...record, state });
  }

  #setDevice(record: Device): void {
    const address = addressOf(record.key);
    this.#devices.set(toHex(address), record);
    this.#set(stateKeyHash(deviceKey(address)), encodeRecord('device', record));
  }

  grant(
    device: KeyPair,
    to: KeyPair,
    grant: Partial<GrantRecord> | undefined,
    granter: KeyPair = owner,
  ): void {
    const value =
      grant === undefined
        ? undefined
        : encodeRecord('grant', grantBy(granter.address, millis(this.time), grant));
    this.#grants.set(toHex(device.address) + toHex(to.address), grant);
    this.#set(stateKeyHash(grantKey(device.address, to.address)), value);
  }

  /** These act for the account from now on. */
  keys(account: Address, set: KeySet): void {
    this.#set(stateKeyHash(keysKey(account)), encodeRecord('keys', { ...set, deposit: NO_DEPOSIT }));
  }

  /** The record of a rental, as the ledger would have it. */
  rental(device: KeyPair, rental: Partial<Rental> | undefined): void {
    const record = rental && encodeRecord('rental', rentalOf(rental));
    this.#set(stateKeyHash(stateKey('rental', device.address)), record);
  }

  #set(key: Hash, value: Uint8Array | undefined): void {
    if (value === undefined) this.#values.delete(toHex(key));
    else this.#values.set(toHex(key), value);
    this.#tree = this.#tree.update([{ key, value }]);
  }

  block(): CertifiedBlock {
    this.#head = this.#chain.append([], { stateRoot: this.#tree.root });
    for (const listener of this.#listeners) listener();
    return this.#head;
  }

  /** Chain time. */
  get time(): number {
    return this.#head?.block.header.time ?? GENESIS_TIME;
  }

  head(): ReturnType<LedgerPort['head']> {
    const { height, time } = (this.#head ?? this.block()).block.header;
    return { height, time };
  }

  device(address: Address): Device | undefined {
    return this.#devices.get(toHex(address));
  }

  accessProof(device: Address, subject: Address): Uint8Array | undefined {
    const { block, certificate } = this.#head ?? this.block();
    const proof = proveAccess({ tree: this.#tree, header: block.header, certificate, device, subject });
    return proof && encodeAccessProof(proof);
  }

  accessKeys(device: Address, subject: Address): readonly StateKey[] | undefined {
    const record = this.device(device);
    if (record === undefined) return undefined;
    const isOwner = toHex(record.owner) === toHex(subject);
    return accessKeys({ device, owner: record.owner, subject, ...(!isOwner && { path: { granters: [] } }) });
  }

  stream(from: number, keys: readonly StateKey[]): Uint8Array | undefined {
    const { block, certificate } = this.#head ?? this.block();
    const items = keys.map((key) => {
      const hash = stateKeyHash(key);
      const value = this.#values.get(toHex(hash));
      return { kind: 'state', key, ...(value && { value }), proof: this.#tree.prove(hash) } as const;
    });
    const { header } = block;
    const { groups } = this.#chain;
    const trusted = groups[from]?.set;
    const set = groups[header.epoch]?.set;
    const hops = set && this.#chain.index().hopsFrom(epoch(from), { header, certificate }, set, 2);
    if (trusted === undefined || hops === undefined) return undefined;
    return encodeLightStream({ trusted, hops, header, certificate, items });
  }

  epoch(): number {
    return (this.#head ?? this.block()).block.header.epoch;
  }

  deviceNews(device: Address): string {
    const values = [deviceKey(device), stateKey('rental', device)].map((key) =>
      toHex(this.#values.get(toHex(stateKeyHash(key))) ?? new Uint8Array()),
    );
    return values.join(' ');
  }

  mayRead(device: Address, subject: Address): boolean {
    return ((this.#grants.get(toHex(device) + toHex(subject))?.actions ?? 0) & ACTIONS.read) !== 0;
  }

  anchor(at: number): Hash | undefined {
    const block = this.#chain.builder.blocks[at - 1]?.block;
    return block && headerHash(block.header);
  }

  trustUpdate(): Uint8Array | undefined {
    if (this.#head === undefined) return undefined;
    const { block, certificate } = this.#head;
    return encodeLinkedHeader({ hops: this.#chain.hopsTo(this.#head), header: block.header, certificate });
  }

  onHead(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

function rentalOf(changes: Partial<Rental>): Rental {
  return {
    id: hashTagged('rental'),
    owner: owner.address,
    renter: guest.address,
    terms: {
      unit: 'minute',
      price: amount(1n),
      minimum: 1,
      maximum: 60,
      duration: millis(0),
      deposit: amount(0n),
      carriage: amount(0n),
      startWithin: millis(60_000),
      window: millis(60_000),
      arbiter: undefined,
      actions: ACTIONS.onOff,
      levelMax: 254,
    },
    maximum: 60,
    rentedAt: millis(GENESIS_TIME),
    running: undefined,
    deposit: NO_DEPOSIT,
    ...changes,
  };
}

export class FakeSubnet implements SubnetPort {
  readonly key: KeyPair['key'] = gatewayKey.key;
  readonly offered: Payload[] = [];
  readonly #listeners: Set<(progress: PayloadProgress) => void> = new Set();
  readonly #hearers: Set<(payloads: readonly Payload[]) => void> = new Set();
  /** By payload id in hex: what the member's store knows to be final. */
  readonly finals: Map<string, { checkpoint: number; height: number; time: number }> = new Map();
  /** In the member's store, and never told. */
  readonly missed: Payload[] = [];
  full = false;
  bits = 0;

  powBits(): number {
    return this.bits;
  }

  sign(bytes: Uint8Array): Uint8Array {
    return gatewayKey.sign(bytes);
  }

  offer(payload: Payload): Result<void, ErrorCode> {
    if (this.full) return refused('pool.full', 'the test says so');
    this.offered.push(payload);
    return ok(undefined);
  }

  onProgress(listener: (progress: PayloadProgress) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onHeard(listener: (payloads: readonly Payload[]) => void): () => void {
    this.#hearers.add(listener);
    return () => this.#hearers.delete(listener);
  }

  recent(): readonly Payload[] {
    return this.missed;
  }

  final(payload: Hash): { checkpoint: number; height: number; time: number } | undefined {
    return this.finals.get(toHex(payload));
  }

  /** An envelope of another member brings these. */
  hear(payloads: readonly Payload[]): void {
    for (const listener of this.#hearers) listener(payloads);
  }

  progress(progress: PayloadProgress): void {
    for (const listener of this.#listeners) listener(progress);
  }
}

export interface TestGateway extends AsyncDisposable {
  readonly ledger: FakeLedger;
  readonly subnet: FakeSubnet;
  readonly gateway: Gateway;
  readonly vault: Vault;
  readonly url: string;
  /** Signatures of payloads that were checked. */
  readonly signaturesChecked: () => number;
  /** The gateway's clock. */
  advance(ms: number): void;
  now(): number;
  /** A lamp with the lamp key, connected. */
  lamp(o?: LampChoices): Promise<Lamp>;
  /** The process dies and comes back on the same tables. `finals`: what became final meanwhile. */
  restart(o?: { readonly finals: FakeSubnet['finals']; readonly missed?: readonly Payload[] }): Promise<void>;
}

export async function openGateway(
  o: {
    tables?: Tables;
    ledger?: FakeLedger;
    clock?: () => number;
    batches?: BatchPort;
    /** Ed25519 when left out. */
    verify?: SignatureVerifier;
  } = {},
): Promise<TestGateway> {
  const tables = o.tables ?? new MemoryTables();
  const ledger = o.ledger ?? new FakeLedger();
  ledger.claim(lampKey, owner);
  ledger.claim(sensorKey, owner);
  ledger.block();
  const lamps: Lamp[] = [];
  let offset = 0;
  let checked = 0;
  const clock = o.clock ?? Date.now;
  const now = (): number => clock() + offset;
  const build = async (
    finals: FakeSubnet['finals'] = new Map(),
    missed: readonly Payload[] = [],
  ): Promise<Pick<TestGateway, 'subnet' | 'gateway' | 'vault' | 'url'>> => {
    const subnet = new FakeSubnet();
    for (const [id, place] of finals) subnet.finals.set(id, place);
    subnet.missed.push(...missed);
    const vault = Vault.open({ tables });
    const gateway = new Gateway({
      ledger,
      subnet,
      vault,
      ...(o.batches && { batches: o.batches }),
      mqttHost: '127.0.0.1',
      mqttPort: 0,
      verify: o.verify ?? verifyQuickly,
      verifyBatch: (items) => {
        checked += items.length;
        return Promise.resolve(
          items.map(({ key, message, signature }) =>
            verifyQuickly({ algorithm: 1, bytes: key }, message, signature),
          ),
        );
      },
      now,
      log: SILENT,
      mayEnrol: (caller) => toHex(caller) === toHex(owner.address),
    });
    const { mqttPort } = await gateway.start();
    return { subnet, gateway, vault, url: `mqtt://127.0.0.1:${mqttPort}` };
  };
  let current = await build();
  const close = async (): Promise<void> => {
    await current.gateway.stop();
    await current.vault.close();
  };
  return {
    ledger,
    get subnet() {
      return current.subnet;
    },
    get gateway() {
      return current.gateway;
    },
    get vault() {
      return current.vault;
    },
    get url() {
      return current.url;
    },
    now,
    signaturesChecked: () => checked,
    advance: (ms) => {
      offset += ms;
    },
    lamp: async (options = {}) => {
      const lamp = newLamp({ ledger, url: current.url, ...options });
      lamps.push(lamp);
      await lamp.start();
      return lamp;
    },
    restart: async (restarted) => {
      await close();
      current = await build(restarted?.finals, restarted?.missed);
    },
    [Symbol.asyncDispose]: async () => {
      for (const lamp of lamps) await lamp.stop();
      await close();
    },
  };
}

export interface LampChoices {
  readonly flash?: Flash;
  readonly monotonicMs?: () => number;
  readonly reportMs?: number;
  readonly colour?: { readonly min: number; readonly max: number };
  readonly limits?: ModelLimits;
}

/** As small as it may be with some room for readings. */
export function newFlash(): FlashChip {
  const chip = new FlashChip({ sectorBytes: 4096, sectors: 20 });
  for (let sector = 0; sector < chip.sectors; sector += 1) chip.erase(sector);
  return chip;
}

export function newLamp(o: LampChoices & { ledger: FakeLedger; url: string }): Lamp {
  return new Lamp({
    genesis: o.ledger.world.genesis,
    signer: { publicKey: lampKey.key, address: lampKey.address, sign: lampKey.sign },
    gateways: [{ url: o.url, address: gatewayKey.address }],
    flash: o.flash ?? newFlash(),
    verify: verifyQuickly,
    monotonicMs: o.monotonicMs ?? ((): number => performance.now()),
    random: Math.random,
    log: SILENT,
    ...(o.reportMs !== undefined && { reportMs: o.reportMs }),
    ...(o.colour && { colour: o.colour }),
    ...(o.limits && { limits: o.limits }),
  });
}

let sequence = 0;

/** A signed command, valid for a minute by the clock of the gateway, which runs ahead of the time of the chain, unless said. */
export function command(
  t: { ledger: FakeLedger },
  by: KeyPair,
  action: Action,
  o: { notAfter?: number; sequence?: number; device?: KeyPair } = {},
): Payload {
  sequence += 1;
  const device = (o.device ?? lampKey).address;
  const content = encodeCommand({ device, action, notAfter: millis(o.notAfter ?? Date.now() + 60_000) });
  return signedPayload(t.ledger.chain, by, {
    device,
    sequence: o.sequence ?? sequence,
    contentType: 'command',
    content,
  });
}
