/**
 * The state of a subnet (spec DAG-7): which payloads have been applied, and how far each issuer's lane is final.
 * It lives in one sparse Merkle tree whose root every checkpoint carries, so a snapshot can be checked against it.
 *
 * Lanes of payloads are a high-water mark and a window of bits: constant size for any number of payloads.
 */
import { decode, type Reader } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { asHash, HASH_BYTES, hashTagged, type Hash } from '../crypto/hash.ts';
import { StateTree, type StateChange } from '../crypto/state-tree.ts';
import { addressOf } from '../ledger/address.ts';
import { LIMITS } from '../ledger/limits.ts';
import { laneKey, type Payload } from '../ledger/payload.ts';
import type { ValidatorSet } from '../ledger/validators.ts';
import { isVoucher, voucherLaneOf } from '../ledger/value-order.ts';
import { LedgerDraft, LedgerTable } from './ledger-table.ts';
import { judgeNumber, takeNumber, WINDOW_BYTES, type SequenceWindow } from './sequence-window.ts';
import { keyOf } from './slab.ts';
import { encodeTurn, indexOfMember, readTurn, TURN_KEY, TURN_KIND, type MemberTurn } from './turn.ts';
import {
  closeEpoch,
  freshStanding,
  isEpochEnd,
  isSameStanding,
  judge as judgeConduct,
  readStanding,
  writeStanding,
  type Conduct,
  type Standing,
} from './standing.ts';

/** Leading byte of keys and values; those of the ledger follow, see `ledger-records.ts`. */
const KIND = { payloadLane: 1, issuerLane: 2, member: 3 } as const;

interface PayloadLane extends SequenceWindow {
  readonly key: Hash;
}

/** The last envelope of an issuer's lane that is final and counted. */
export interface IssuerLane {
  readonly issuer: number;
  readonly lane: number;
  readonly sequence: number;
  readonly hash: Hash;
  readonly time: number;
  readonly level: number;
}

export type PayloadOutcome = 'applied' | 'duplicate' | 'stale' | 'lanes-full' | 'issuer-barred';

function treeKey(kind: number, ...parts: readonly Uint8Array[]): Hash {
  return hashTagged('stateKey', Uint8Array.of(kind), ...parts);
}

/** Key of a payload's lane in the tree, and the same as the name it has in maps. */
interface LaneName {
  readonly key: Hash;
  readonly name: string;
}

/** By the lane itself, which is one object for all payloads parsed of it: a checkpoint holds many of each. */
const laneNames = new WeakMap<Hash, LaneName>();

function laneNameOf(payload: Pick<Payload, 'signer' | 'device'>): LaneName {
  const lane = laneKey(payload);
  let named = laneNames.get(lane);
  if (named === undefined) {
    const key = treeKey(KIND.payloadLane, lane);
    named = { key, name: keyOf(key) };
    laneNames.set(lane, named);
  }
  return named;
}

export const payloadLaneKey = (payload: Pick<Payload, 'signer' | 'device'>): Hash => laneNameOf(payload).key;

const issuerLaneKey = (issuer: number, lane: number): Hash =>
  treeKey(KIND.issuerLane, Uint8Array.of(issuer, lane));
const memberKey = (issuer: number): Hash => treeKey(KIND.member, Uint8Array.of(issuer));

function encodePayloadLane(lane: PayloadLane): Uint8Array {
  return new Writer(160).u8(KIND.payloadLane).u53(lane.high).raw(lane.window).finish();
}

function encodeIssuerLane(lane: IssuerLane): Uint8Array {
  return new Writer(80)
    .u8(KIND.issuerLane)
    .u8(lane.issuer)
    .u8(lane.lane)
    .u53(lane.sequence)
    .fixed(lane.hash, HASH_BYTES)
    .u53(lane.time)
    .u53(lane.level)
    .finish();
}

function encodeStanding(issuer: number, standing: Standing): Uint8Array {
  return writeStanding(new Writer(40).u8(KIND.member).u8(issuer), standing).finish();
}

function sharesOf(stake: readonly number[]): number[] {
  const total = stake.reduce((sum, weight) => sum + weight, 0);
  return stake.map((weight) => Math.floor((LIMITS.payloadLanesMax * weight) / total));
}

/** Lanes and standings by the indices of a next set. */
interface Turned {
  readonly turn: MemberTurn;
  readonly issuerLanes: ReadonlyMap<number, IssuerLane>;
  readonly standings: readonly Standing[];
}

/** What says whether a payload is new. */
export type PayloadPlace = Pick<Payload, 'signer' | 'device' | 'sequence' | 'contentType' | 'content'>;

/** The table as of the last checkpoint applied. Changed through a `LaneDraft` only. */
export class LaneTable {
  tree: StateTree = StateTree.empty;
  readonly payloadLanes: Map<string, PayloadLane> = new Map();
  /** By issuer · envelopeLanesMax + lane. */
  readonly issuerLanes: Map<number, IssuerLane> = new Map();
  /** By member. */
  standings: Standing[];
  readonly ledger: LedgerTable = new LedgerTable();
  stake: readonly number[];
  /** Lanes of payloads each member may open. */
  share: readonly number[];
  /** The members since they last changed; undefined while they are those of the start. */
  turn: MemberTurn | undefined;

  constructor(stake: readonly number[]) {
    this.stake = stake;
    this.standings = stake.map(freshStanding);
    this.share = sharesOf(stake);
  }

  #take(turn: MemberTurn): void {
    this.turn = turn;
    this.stake = turn.members.map((member) => member.weight);
    this.standings = this.stake.map(freshStanding);
    this.share = sharesOf(this.stake);
  }

  get root(): Hash {
    return this.tree.root;
  }

  issuerLane(issuer: number, lane: number): IssuerLane | undefined {
    return this.issuerLanes.get(issuer * LIMITS.envelopeLanesMax + lane);
  }

  /** The last final number of a payload's lane, undefined when there is no such lane. */
  laneHigh(payload: Pick<Payload, 'signer' | 'device'>): number | undefined {
    return this.payloadLanes.get(laneNameOf(payload).name)?.high;
  }

  /** Whether the payload would be applied now: what a gateway asks before it packs one again. */
  outcome(payload: PayloadPlace): 'new' | 'duplicate' | 'stale' {
    // The number of a voucher is one of the lane it draws on, whatever else its signer has sent.
    const lane: Readonly<SequenceWindow> | undefined = isVoucher(payload)
      ? this.ledger.voucherLane(addressOf(payload.signer), voucherLaneOf(payload))
      : this.payloadLanes.get(laneNameOf(payload).name);
    if (lane === undefined) return 'new';
    const verdict = judgeNumber(lane, payload.sequence);
    return verdict === 'applied' ? 'new' : verdict;
  }

  adopt(draft: LaneDraft): void {
    this.tree = draft.finish();
    for (const [key, lane] of draft.payloadLanes) this.payloadLanes.set(key, lane);
    if (draft.turned === undefined) {
      for (const [key, lane] of draft.issuerLanes) this.issuerLanes.set(key, lane);
      for (const [i, standing] of draft.standings.entries()) this.standings[i] = standing;
    } else {
      const { turn, issuerLanes, standings } = draft.turned;
      this.#take(turn);
      this.issuerLanes.clear();
      for (const [key, lane] of issuerLanes) this.issuerLanes.set(key, lane);
      this.standings = [...standings];
    }
    this.ledger.adopt(draft.ledger);
  }

  entries(): Iterable<{ readonly key: Hash; readonly value: Uint8Array }> {
    return this.tree.entries();
  }

  /** From the entries of a snapshot; throws on entries no table writes. */
  static from(stake: readonly number[], entries: readonly { key: Hash; value: Uint8Array }[]): LaneTable {
    const table = new LaneTable(stake);
    table.tree = StateTree.empty.update(entries);
    const turn = table.tree.get(TURN_KEY);
    if (turn !== undefined) {
      const read = decode(
        (reader) =>
          reader.u8() === TURN_KIND
            ? readTurn(reader)
            : reader.refuse('decode.unknown-kind', 'expected the members'),
        turn,
      );
      if (!read.ok) throw new Error(`the members of the snapshot are not readable: ${read.message}`);
      table.#take(read.value);
    }
    for (const { key, value } of entries) {
      const read = decode((reader) => table.#read(reader, key), value);
      if (!read.ok) throw new Error(`a lane of the snapshot is not readable: ${read.message}`);
    }
    return table;
  }

  #read(reader: Reader, key: Hash): void {
    const kind = reader.u8();
    if (kind === KIND.payloadLane) {
      const high = reader.u53();
      this.payloadLanes.set(keyOf(key), { key, high, window: reader.fixed(WINDOW_BYTES).slice() });
    } else if (kind === KIND.issuerLane) {
      const lane: IssuerLane = {
        issuer: reader.u8(),
        lane: reader.u8(),
        sequence: reader.u53(),
        hash: asHash(reader.fixed(HASH_BYTES).slice()),
        time: reader.u53(),
        level: reader.u53(),
      };
      this.issuerLanes.set(lane.issuer * LIMITS.envelopeLanesMax + lane.lane, lane);
    } else if (kind === KIND.member) {
      const issuer = reader.u8();
      this.standings[issuer] = readStanding(reader);
    } else if (kind === TURN_KIND) readTurn(reader);
    else if (!this.ledger.read(kind, reader))
      reader.refuse('decode.unknown-kind', 'expected a lane, a member or value');
  }
}

/** Changes on top of a table: a proposal is tried out here and forgotten, or adopted when it is committed. */
export class LaneDraft {
  readonly #base: LaneTable;
  readonly payloadLanes: Map<string, PayloadLane> = new Map();
  readonly issuerLanes: Map<number, IssuerLane> = new Map();
  readonly standings: readonly Standing[];
  readonly ledger: LedgerDraft;
  /** What the next set of members starts from, by its own indices; undefined when the members stay. */
  turned: Turned | undefined;
  #opened = 0;
  #tree: StateTree | undefined;

  constructor(base: LaneTable, subnet: Hash) {
    this.#base = base;
    this.ledger = new LedgerDraft(base.ledger, subnet);
    this.standings = base.standings.map((standing) => ({ ...standing }));
  }

  /** What `apply` would say, without a trace. */
  outcome(payload: Payload, issuer: number): PayloadOutcome {
    const { name } = laneNameOf(payload);
    const lane = this.payloadLanes.get(name) ?? this.#base.payloadLanes.get(name);
    if (lane !== undefined) return judgeNumber(lane, payload.sequence);
    return this.#mayOpen(issuer) ? 'applied' : 'lanes-full';
  }

  /** Applies a payload once: the sequence is above the window's end and has not been seen (spec DAG-7.2). */
  apply(payload: Payload, issuer: number): PayloadOutcome {
    const { key, name } = laneNameOf(payload);
    let lane = this.payloadLanes.get(name);
    if (lane === undefined) {
      const held = this.#base.payloadLanes.get(name);
      if (held === undefined) {
        if (!this.#mayOpen(issuer)) return 'lanes-full';
        (this.standings[issuer] as Standing).opened += 1;
        this.#opened += 1;
        lane = { key, high: 0, window: new Uint8Array(WINDOW_BYTES) };
      } else {
        const verdict = judgeNumber(held, payload.sequence);
        if (verdict !== 'applied') return verdict;
        lane = { key, high: held.high, window: held.window.slice() };
      }
      this.payloadLanes.set(name, lane);
    }
    const verdict = judgeNumber(lane, payload.sequence);
    if (verdict === 'applied') takeNumber(lane, payload.sequence);
    return verdict;
  }

  /** Within its share; lanes that members opened who have left are still there. */
  #mayOpen(issuer: number): boolean {
    const { opened } = this.standings[issuer] as Standing;
    const lanes = this.#base.payloadLanes.size + this.#opened;
    return opened < (this.#base.share[issuer] as number) && lanes < LIMITS.payloadLanesMax;
  }

  /** From now on what this member issues is ignored. A second accusation changes nothing. */
  bar(member: number): PayloadOutcome {
    const standing = this.standings[member] as Standing;
    if (standing.barred) return 'duplicate';
    standing.barred = true;
    return 'applied';
  }

  isBarred(member: number): boolean {
    return (this.standings[member] as Standing).barred;
  }

  issuerLane(index: number): IssuerLane | undefined {
    return this.issuerLanes.get(index) ?? this.#base.issuerLanes.get(index);
  }

  setIssuerLane(lane: IssuerLane): void {
    this.issuerLanes.set(lane.issuer * LIMITS.envelopeLanesMax + lane.lane, lane);
  }

  /** What checkpoint `sequence` makes of the members' standings, once, before `finish`. `powBits`: the subnet's base. */
  judge(conducts: readonly Conduct[], sequence: number, powBits: number): void {
    for (const [i, standing] of this.standings.entries()) judgeConduct(standing, conducts[i] as Conduct);
    if (isEpochEnd(sequence)) closeEpoch(this.standings, this.#base.stake, powBits);
  }

  /** The members change behind this checkpoint: after `judge`, before `finish`. Who leaves takes nothing along. */
  turn(from: ValidatorSet, turn: MemberTurn): void {
    const issuerLanes = new Map<number, IssuerLane>();
    const moved = new Map<number, number>();
    const standings = turn.members.map(({ key, weight }, index) => {
      const before = indexOfMember(from, key);
      if (before < 0) return freshStanding();
      moved.set(before, index);
      const standing = this.standings[before] as Standing;
      return { ...standing, workWeight: Math.min(weight, standing.workWeight) };
    });
    for (const lane of this.#everyIssuerLane()) {
      const issuer = moved.get(lane.issuer);
      if (issuer !== undefined)
        issuerLanes.set(issuer * LIMITS.envelopeLanesMax + lane.lane, { ...lane, issuer });
    }
    this.turned = { turn, issuerLanes, standings };
  }

  #everyIssuerLane(): IterableIterator<IssuerLane> {
    return new Map([...this.#base.issuerLanes, ...this.issuerLanes]).values();
  }

  /** Everything under the old indices goes, then what the next set starts from is written; of two changes to a key the later counts. */
  #turnChanges({ turn, issuerLanes, standings }: Turned): StateChange[] {
    const changes: StateChange[] = [];
    for (const lane of this.#everyIssuerLane())
      changes.push({ key: issuerLaneKey(lane.issuer, lane.lane), value: undefined });
    for (const issuer of this.standings.keys()) changes.push({ key: memberKey(issuer), value: undefined });
    for (const lane of issuerLanes.values())
      changes.push({ key: issuerLaneKey(lane.issuer, lane.lane), value: encodeIssuerLane(lane) });
    for (const [issuer, standing] of standings.entries())
      changes.push({ key: memberKey(issuer), value: encodeStanding(issuer, standing) });
    changes.push({ key: TURN_KEY, value: encodeTurn(turn) });
    return changes;
  }

  /** The tree with all changes; computed once. */
  finish(): StateTree {
    if (this.#tree !== undefined) return this.#tree;
    const changes: StateChange[] = this.ledger.changes();
    for (const lane of this.payloadLanes.values())
      changes.push({ key: lane.key, value: encodePayloadLane(lane) });
    for (const lane of this.issuerLanes.values())
      changes.push({ key: issuerLaneKey(lane.issuer, lane.lane), value: encodeIssuerLane(lane) });
    for (const [issuer, standing] of this.standings.entries()) {
      if (isSameStanding(standing, this.#base.standings[issuer] as Standing)) continue;
      changes.push({ key: memberKey(issuer), value: encodeStanding(issuer, standing) });
    }
    if (this.turned !== undefined) changes.push(...this.#turnChanges(this.turned));
    this.#tree = this.#base.tree.update(changes);
    return this.#tree;
  }
}
