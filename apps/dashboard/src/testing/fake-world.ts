/**
 * A believable devnet without a ledger: four validators, two gateways, two further members, lamps and
 * sensors. It plays the documents of the HTTP API, not the protocol. Advanced by `step`; it has no clock
 * and no sockets of its own, so tests can run a minute of it in a moment.
 */
import type {
  Block,
  BlockItem,
  Checkpoint,
  CommandState,
  LiveEvent,
  PayloadStatus,
  Process,
  Reading,
  Vertex,
} from '../wire.ts';
import { makeDevices, rounded, type FakeDevice } from './fake-devices.ts';
import { seededRandom, type Random } from './random.ts';

export interface FakePayload {
  readonly id: string;
  readonly device: string;
  readonly sequence: number;
  readonly receivedAt: number;
  readonly readings: Reading[];
  status: PayloadStatus;
  envelope?: string;
  checkpoint?: number;
  height?: number;
  finalAt?: number;
}

export interface FakeNode {
  readonly index: number;
  readonly address: string;
  readonly name: string;
  readonly weight: number;
}

export interface FakeProcess {
  readonly role: string;
  state: Process['state'];
  restarts: number;
}

interface Scheduled {
  readonly at: number;
  readonly run: (time: number) => void;
}

const KEPT = { readings: 4_000, vertices: 600, blocks: 400, checkpoints: 200 } as const;
const STEP_MS = 20;
const QUORUM = 3;

export class FakeWorld {
  readonly random: Random;
  readonly chain: string;
  readonly owner: string;
  readonly subnet: string;
  readonly validators: readonly FakeNode[];
  readonly members: readonly FakeNode[];
  readonly devices: readonly FakeDevice[];
  readonly processes: Map<string, FakeProcess>;
  readonly blocks: Block[] = [];
  readonly vertices: Vertex[] = [];
  readonly checkpoints: Checkpoint[] = [];
  readonly commands: CommandState[] = [];
  readonly payloads: Map<string, FakePayload> = new Map();
  readonly readings: Reading[] = [];
  time: number;
  height: number = 18_240;
  transactions: number = 71_402;
  payloadsFinal: number = 2_418_330;
  view: number = 0;
  emit: (event: LiveEvent) => void = () => undefined;

  #schedule: Scheduled[] = [];
  #nextBlock: number;
  readonly #nextEnvelope: number[];
  readonly #sequences: number[];
  #laneSequence = 7_000;
  readonly #mempool: BlockItem[] = [];

  constructor(seed: number, time: number) {
    const random = seededRandom(seed);
    this.random = random;
    this.time = time;
    this.chain = random.hash();
    this.owner = random.address();
    this.subnet = random.hash();
    const node = (name: string, index: number): FakeNode => ({
      index,
      address: random.address(),
      name,
      weight: 1,
    });
    this.validators = ['validator-1', 'validator-2', 'validator-3', 'validator-4'].map(node);
    this.members = ['gateway-1', 'gateway-2', 'member-1', 'member-2'].map(node);
    this.devices = makeDevices(random, time);
    this.processes = new Map();
    for (const { name } of [...this.validators, ...this.members, { name: 'home' }])
      this.processes.set(name, { role: name.replace(/-\d+$/, ''), state: 'running', restarts: 0 });
    this.#nextBlock = time + 400;
    this.#nextEnvelope = this.members.map((_, i) => time + 120 * i);
    this.#sequences = this.members.map((_, i) => 9_100 + 37 * i);
  }

  running(name: string): boolean {
    return this.processes.get(name)?.state === 'running';
  }

  setProcess(name: string, action: 'stop' | 'start' | 'kill'): Process['state'] | undefined {
    const process = this.processes.get(name);
    if (process === undefined) return undefined;
    if (action === 'kill') process.restarts += 1;
    process.state = action === 'stop' ? 'stopped' : 'running';
    // A stopped primary costs a view change.
    if (action === 'stop' && this.validators[this.view % 4]?.name === name) this.view += 1;
    return process.state;
  }

  at(time: number, run: (time: number) => void): void {
    this.#schedule.push({ at: time, run });
  }

  /** Puts a transaction into the next block. */
  submit(kind: string, sender: string): string {
    const item = this.#item(kind, sender);
    this.#mempool.push(item);
    return item.id;
  }

  /** Plays everything up to `time`. */
  step(time: number): void {
    while (this.time < time) {
      this.time = Math.min(time, this.time + STEP_MS);
      const due = this.#schedule.filter((entry) => entry.at <= this.time).sort((a, b) => a.at - b.at);
      if (due.length > 0) this.#schedule = this.#schedule.filter((entry) => entry.at > this.time);
      for (const entry of due) entry.run(this.time);
      if (this.running('home')) for (const device of this.devices) this.#measure(device);
      this.members.forEach((member, i) => this.#issue(member, i));
      if (this.time >= this.#nextBlock) this.#block();
    }
  }

  #measure(device: FakeDevice): void {
    if (!device.online || this.time < device.nextReading) return;
    device.nextReading = this.time + 1_500 + Math.floor(this.random.next() * 1_200);
    device.lastSeen = this.time;
    const id = this.random.hash();
    this.#laneSequence += 1;
    const readings = device.quantities.map((quantity, index): Reading => {
      const lit = device.state?.on === true ? 8.4 * (device.state.level / 254) : 0;
      const value = rounded(quantity.at(this.time, this.random.next() - 0.5) + lit, 2);
      const { name, unit } = quantity;
      return {
        id: `${id}:${index}`,
        payload: id,
        index,
        device: device.address,
        name,
        unit,
        value,
        time: this.time,
        status: 'received',
      };
    });
    this.payloads.set(id, {
      id,
      device: device.address,
      sequence: this.#laneSequence,
      receivedAt: this.time,
      readings,
      status: 'received',
    });
    this.readings.push(...readings);
    for (const reading of readings) this.emit({ kind: 'reading', reading });
    const excess = this.readings.length - KEPT.readings;
    if (excess > 0)
      for (const reading of this.readings.splice(0, excess)) this.payloads.delete(reading.payload);
  }

  #issue(member: FakeNode, i: number): void {
    if (this.time < (this.#nextEnvelope[i] ?? 0) || !this.running(member.name)) return;
    this.#nextEnvelope[i] = this.time + 380 + Math.floor(this.random.next() * 520);
    const sequence = (this.#sequences[i] ?? 0) + 1;
    this.#sequences[i] = sequence;
    // Gossip takes a moment: nobody approves what is younger than 60 ms.
    const known = this.vertices
      .slice(-14)
      .filter((vertex) => this.time - vertex.time > 60)
      .reverse();
    const own = known.find((vertex) => vertex.issuer === i);
    const others = known.filter((vertex) => vertex.issuer !== i && this.random.next() < 0.55).slice(0, 3);
    const parents = [...(own === undefined ? [] : [own]), ...others].map((vertex) => vertex.hash);
    const gateway = member.name.startsWith('gateway');
    const waiting = gateway
      ? [...this.payloads.values()].filter(
          (payload) => payload.status === 'received' && this.time - payload.receivedAt > 80,
        )
      : [];
    const vertex: Vertex = {
      hash: this.random.hash(),
      issuer: i,
      lane: 0,
      sequence,
      parents: parents.length === 0 ? [this.subnet] : parents,
      time: this.time,
      payloads: gateway ? waiting.length + Math.floor(this.random.next() * 60) : 0,
      weight: 0.25,
      state: 'pending',
    };
    this.vertices.push(vertex);
    if (this.vertices.length > KEPT.vertices) this.vertices.splice(0, 100);
    for (const payload of waiting) {
      payload.envelope = vertex.hash;
      this.#advance(payload, 'in-dag');
    }
    this.emit({ kind: 'envelope', subnet: this.subnet, vertex });
    this.at(this.time + 420 + this.random.next() * 300, () => this.#accept(vertex.hash));
  }

  #advance(payload: FakePayload, status: PayloadStatus): void {
    payload.status = status;
    payload.readings.forEach((reading, i) => {
      const next = { ...reading, status };
      payload.readings[i] = next;
      const at = this.readings.findIndex((known) => known.id === reading.id);
      if (at !== -1) this.readings[at] = next;
    });
  }

  #replace(hash: string, change: Partial<Vertex>): void {
    const at = this.vertices.findIndex((vertex) => vertex.hash === hash);
    const known = this.vertices[at];
    if (known !== undefined) this.vertices[at] = { ...known, ...change };
  }

  #accept(hash: string): void {
    if (this.members.filter((member) => this.running(member.name)).length < QUORUM) {
      this.at(this.time + 500, () => this.#accept(hash));
      return;
    }
    this.#replace(hash, { state: 'accepted', weight: this.random.next() < 0.5 ? 0.75 : 1 });
    for (const payload of this.payloads.values())
      if (payload.envelope === hash) this.#advance(payload, 'accepted');
    this.emit({ kind: 'weight', subnet: this.subnet, accepted: [hash] });
  }

  #item(kind: string, sender: string): BlockItem {
    return {
      id: this.random.hash(),
      kind,
      sender,
      fee: kind === 'checkpoint' ? '0' : '184000',
      ok: true,
    };
  }

  #block(): void {
    this.#nextBlock = this.time + 880 + Math.floor(this.random.next() * 260);
    const up = this.validators.filter((validator) => this.running(validator.name));
    if (up.length < QUORUM) return;
    this.height += 1;
    const covered = this.vertices.filter((vertex) => vertex.state === 'accepted');
    const items = this.#mempool.splice(0, 40);
    for (let i = Math.floor(this.random.next() ** 3 * 9); i > 0; i -= 1)
      items.push(this.#item('transfer', this.owner));
    if (covered.length > 0)
      items.push(this.#item('checkpoint', this.members[this.height % 4]?.address ?? ''));
    // The fourth signature is sometimes late; a certificate does not wait for it.
    const signers = up
      .filter((_, i) => i < QUORUM || this.random.next() < 0.85)
      .map((validator) => validator.index);
    const block: Block = {
      height: this.height,
      hash: this.random.hash(),
      time: this.time,
      transactions: items.length,
      proposer: this.validators[this.view % 4]?.address ?? '',
      view: this.view,
      signers,
      bytes: 412 + 460 * items.length,
      header: {
        height: this.height,
        parent: this.blocks[this.blocks.length - 1]?.hash ?? this.chain,
        time: this.time,
        stateRoot: this.random.hash(),
        transactionsRoot: this.random.hash(),
        receiptsRoot: this.random.hash(),
      },
      certificate: {
        view: this.view,
        signers,
        signatures: signers.map(() => this.random.hash() + this.random.hash()),
      },
      items,
    };
    this.transactions += items.length;
    this.blocks.push(block);
    if (this.blocks.length > KEPT.blocks) this.blocks.shift();
    this.emit({ kind: 'block', block: summaryOf(block) });
    if (covered.length > 0) this.#checkpoint(covered);
  }

  #checkpoint(covered: readonly Vertex[]): void {
    const payloads = covered.reduce((sum, vertex) => sum + vertex.payloads, 0);
    const checkpoint: Checkpoint = {
      sequence: (this.checkpoints[this.checkpoints.length - 1]?.sequence ?? 15_880) + 1,
      hash: this.random.hash(),
      time: this.time,
      envelopes: covered.length,
      payloads,
      height: this.height,
    };
    this.checkpoints.push(checkpoint);
    if (this.checkpoints.length > KEPT.checkpoints) this.checkpoints.shift();
    this.payloadsFinal += payloads;
    const hashes = new Set(covered.map((vertex) => vertex.hash));
    for (const hash of hashes) this.#replace(hash, { state: 'final', weight: 1 });
    for (const payload of this.payloads.values()) {
      if (payload.envelope === undefined || !hashes.has(payload.envelope)) continue;
      payload.checkpoint = checkpoint.sequence;
      payload.height = this.height;
      payload.finalAt = this.time;
      this.#advance(payload, 'final');
    }
    const { sequence } = checkpoint;
    this.emit({ kind: 'checkpoint', subnet: this.subnet, sequence, final: [...hashes], checkpoint });
  }
}

export function summaryOf(block: Block): Omit<Block, 'header' | 'certificate' | 'items'> {
  const { header: _header, certificate: _certificate, items: _items, ...summary } = block;
  return summary;
}
