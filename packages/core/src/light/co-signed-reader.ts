/**
 * Judges a co-signed stream as its bytes come (spec QUANTUM-3). Memory: one frame, the keys of those trusted, one checkpoint; bounded
 * whatever is sent. After a refusal, which is the last event, everything is refused and the trust is the one from before.
 */
import { idText } from '../bytes/id-text.ts';
import { decode, Reader } from '../bytes/reader.ts';
import { ok, refused, type Refused, type Result } from '../bytes/result.ts';
import { equalBytes } from '../bytes/hex.ts';
import { type Hash } from '../crypto/hash.ts';
import { merkleLeaf, merkleRootFromPath } from '../crypto/merkle.ts';
import { ML_DSA_KEY_BYTES, ML_DSA_SIGNATURE_BYTES } from '../crypto/ml-dsa.ts';
import { verifyMmrPath } from '../crypto/mmr.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import { readStateProof, verifyStateProof } from '../crypto/state-tree.ts';
import { headerHash, readHeader, transactionsRootOf, type Header } from '../ledger/block.ts';
import { readCoSigners, type CoSigner } from '../ledger/co-signers.ts';
import { readHash } from '../ledger/fields.ts';
import type { Height, Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { parseStateKey, stateKeyHash, type StateKey } from '../state/keys.ts';
import {
  believe,
  decodeCoSignedTrust,
  encodeCoSignedTrust,
  hop,
  judgeCoSignature,
  openCheckpoint,
  type CoSignedCheck,
  type CoSignedTrust,
  type OpenCheckpoint,
} from './co-signed.ts';
import {
  CO_SIGNED_FRAME_BYTES_MAX,
  CO_SIGNED_HOPS_MAX,
  CO_SIGNED_STREAM_VERSION,
  FRAME,
} from './co-signed-stream.ts';
import { readShown } from './shown-record.ts';

export type CoSignedEvent =
  | {
      readonly kind: 'believed';
      /** 149 bytes, as `encodeCoSignedTrust` writes them: to be kept. */
      readonly trust: Uint8Array;
      readonly header: Header;
      /** After that header's block. */
      readonly stateRoot: Hash;
      readonly height: Height;
      readonly time: Millis;
      readonly hops: number;
      /** Places of those that are shown to have co-signed, and how much of the weight they are. */
      readonly signers: readonly number[];
      readonly weight: number;
      readonly total: number;
    }
  | { readonly kind: 'history'; readonly header: Header; readonly height: Height; readonly time: Millis }
  | { readonly kind: 'transaction'; readonly id: Hash; readonly height: Height }
  | {
      readonly kind: 'state';
      readonly key: StateKey;
      /** Undefined: the key provably holds nothing. */
      readonly value: Uint8Array | undefined;
      /** The state is that right after this block. */
      readonly height: Height;
    }
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly check: CoSignedCheck; readonly reason: string };

const HEAD_BYTES = 3;
/** Of a record inside an item: what a transaction can leave behind. */
const RECORD_BYTES_MAX = LIMITS.transactionBytesMax;
const KEY_BYTES_MAX = 128;
/** Heights are below 2^53. */
const HISTORY_PATH_MAX = 53;

type Judged = Result<readonly CoSignedEvent[], CoSignedCheck>;

export class CoSignedReader {
  readonly #verify: SignatureVerifier;
  /** 149 bytes, until the list that belongs to them was shown. */
  readonly #kept: Uint8Array;
  #trust: CoSignedTrust | undefined;
  /** By the text of their addresses; of those trusted only. */
  #keys = new Map<string, Uint8Array>();
  /** Whose signatures are coming. */
  #open: OpenCheckpoint | undefined;
  #signatures = 0;
  #hops = 0;
  /** The checkpoint that ends the hops. */
  #believed: OpenCheckpoint | undefined;
  /** Under which transactions are shown. */
  #header: Header | undefined;
  #buffer: Uint8Array = new Uint8Array(4096);
  #have = 0;
  #end: 'done' | 'refused' | undefined;

  constructor(o: { readonly trust: Uint8Array; readonly verify: SignatureVerifier }) {
    this.#kept = o.trust.slice();
    this.#verify = o.verify;
  }

  /** Whether everything was read that the stream announced. */
  get isDone(): boolean {
    return this.#end === 'done';
  }

  /** Bytes held for keys and for a frame that is not complete. */
  get held(): number {
    return this.#buffer.length + this.#keys.size * ML_DSA_KEY_BYTES;
  }

  /** What these bytes prove, in order. Bytes behind the end are refused. */
  push(input: Uint8Array): CoSignedEvent[] {
    const events: CoSignedEvent[] = [];
    let at = 0;
    while (at < input.length) {
      if (this.#end !== undefined) {
        if (this.#end === 'done') events.push(this.#refuse(refused('format', 'bytes follow the end')));
        break;
      }
      const need = this.#need();
      const taken = Math.min(need - this.#have, input.length - at);
      this.#hold(input.subarray(at, at + taken));
      at += taken;
      if (this.#have < need) continue;
      const judged = this.#have === HEAD_BYTES ? this.#judgeHead() : this.#judgeFrame();
      if (judged.ok) events.push(...judged.value);
      else events.push(this.#refuse(judged));
    }
    return events;
  }

  #need(): number {
    return this.#have < HEAD_BYTES ? HEAD_BYTES : HEAD_BYTES + this.#length();
  }

  #length(): number {
    return ((this.#buffer[1] as number) << 8) | (this.#buffer[2] as number);
  }

  #hold(bytes: Uint8Array): void {
    const need = this.#have + bytes.length;
    if (need > this.#buffer.length) {
      const grown = new Uint8Array(Math.min(2 * need, HEAD_BYTES + CO_SIGNED_FRAME_BYTES_MAX));
      grown.set(this.#buffer.subarray(0, this.#have));
      this.#buffer = grown;
    }
    this.#buffer.set(bytes, this.#have);
    this.#have = need;
  }

  #refuse({ code, message }: Refused<CoSignedCheck>): CoSignedEvent {
    this.#end = 'refused';
    return { kind: 'refused', check: code, reason: message };
  }

  /** Before room is made for the body. */
  #judgeHead(): Judged {
    if (this.#length() > CO_SIGNED_FRAME_BYTES_MAX) return refused('format', 'a frame is too long');
    return this.#length() === 0 ? this.#judgeFrame() : ok([]);
  }

  #judgeFrame(): Judged {
    const body = this.#buffer.subarray(HEAD_BYTES, this.#have);
    this.#have = 0;
    const kind = this.#buffer[0] as number;
    const trust = this.#trust;
    if (trust === undefined)
      return kind === FRAME.trusted ? this.#takeTrusted(body) : refused('format', 'expected who is trusted');
    const open = this.#open;
    if (open !== undefined && this.#signatures < open.indices.length)
      return kind === FRAME.signature
        ? this.#takeSignature(trust, open, body)
        : refused('format', 'expected a signature');
    if (open !== undefined && kind === FRAME.successors) return this.#takeHop(trust, open, body);
    if (this.#believed === undefined) {
      if (open === undefined)
        return kind === FRAME.checkpoint
          ? this.#takeCheckpoint(trust, body)
          : refused('format', 'expected a checkpoint');
      return this.#takeLast(trust, open, kind, body);
    }
    return this.#takeItem(this.#believed, kind, body);
  }

  #takeTrusted(body: Uint8Array): Judged {
    const decoded = decode((reader) => {
      if (reader.u8() !== CO_SIGNED_STREAM_VERSION)
        reader.refuse('decode.unknown-kind', 'another version of the stream');
      return readCoSigners(reader);
    }, body);
    if (!decoded.ok) return refused('format', decoded.message);
    const trust = decodeCoSignedTrust(this.#kept, decoded.value);
    if (!trust.ok) return refused('trusted', trust.message);
    this.#trust = trust.value;
    return ok([]);
  }

  #takeCheckpoint(trust: CoSignedTrust, body: Uint8Array): Judged {
    const shown = decode(
      (reader) => ({
        header: readHeader(reader),
        stateRoot: readHash(reader),
        signers: reader.bytes(Math.ceil(LIMITS.validatorsMax / 8)).slice(),
      }),
      body,
    );
    if (!shown.ok) return refused('format', shown.message);
    const open = openCheckpoint(trust, shown.value);
    if (!open.ok) return open;
    this.#open = open.value;
    this.#signatures = 0;
    return ok([]);
  }

  #takeSignature(trust: CoSignedTrust, open: OpenCheckpoint, body: Uint8Array): Judged {
    const place = this.#signatures;
    const member = trust.coSigners.members[open.indices[place] as number] as CoSigner;
    const name = idText(member.key);
    const known = this.#keys.get(name);
    // A key is shown once: otherwise a stream would have several forms.
    const keyBytes = known === undefined ? ML_DSA_KEY_BYTES : 0;
    if (body.length !== keyBytes + ML_DSA_SIGNATURE_BYTES)
      return refused('format', `expected ${keyBytes + ML_DSA_SIGNATURE_BYTES} bytes of a signature`);
    const key = known ?? body.slice(0, ML_DSA_KEY_BYTES);
    const signature = body.subarray(keyBytes);
    const flaw = judgeCoSignature(trust, open, { place, key, signature, verify: this.#verify });
    if (flaw !== undefined) return flaw;
    this.#keys.set(name, key);
    this.#signatures += 1;
    return ok([]);
  }

  #takeHop(trust: CoSignedTrust, open: OpenCheckpoint, body: Uint8Array): Judged {
    if (this.#hops >= CO_SIGNED_HOPS_MAX) return refused('format', 'too many hops');
    const shown = decode(
      (reader) => ({ record: reader.bytes(RECORD_BYTES_MAX).slice(), proof: readStateProof(reader) }),
      body,
    );
    if (!shown.ok) return refused('format', shown.message);
    const next = hop(trust, open, shown.value);
    if (!next.ok) return next;
    this.#trust = next.value;
    this.#hops += 1;
    this.#open = undefined;
    const still = new Set(next.value.coSigners.members.map(({ key }) => idText(key)));
    for (const name of this.#keys.keys()) if (!still.has(name)) this.#keys.delete(name);
    return ok([]);
  }

  /** No hop follows, so the checkpoint is the newest one; the frame that shows it is judged under it. */
  #takeLast(trust: CoSignedTrust, open: OpenCheckpoint, kind: number, body: Uint8Array): Judged {
    const believed = believe(trust, open);
    if (!believed.ok) return believed;
    const { header, stateRoot } = open;
    this.#trust = believed.value;
    this.#believed = open;
    this.#header = header;
    const item = this.#takeItem(open, kind, body);
    if (!item.ok) return item;
    const { height, time } = header;
    const kept = encodeCoSignedTrust(believed.value);
    const { value: events } = item;
    const { members } = trust.coSigners;
    const weightAt = (index: number): number => (members[index] as CoSigner).weight;
    const first: CoSignedEvent = {
      kind: 'believed',
      trust: kept,
      header,
      stateRoot,
      height,
      time,
      hops: this.#hops,
      signers: open.indices,
      weight: open.indices.reduce((sum, index) => sum + weightAt(index), 0),
      total: members.reduce((sum, { weight }) => sum + weight, 0),
    };
    return ok([first, ...events]);
  }

  #takeItem(believed: OpenCheckpoint, kind: number, body: Uint8Array): Judged {
    switch (kind) {
      case FRAME.history:
        return this.#takeHistory(believed, body);
      case FRAME.transaction:
        return this.#takeTransaction(body);
      case FRAME.state:
        return takeState(believed, body);
      case FRAME.end:
        if (body.length > 0) return refused('format', 'the end has no body');
        this.#end = 'done';
        return ok([{ kind: 'done' }]);
      default:
        return refused('format', 'expected an item or the end');
    }
  }

  #takeHistory({ header: newest }: OpenCheckpoint, body: Uint8Array): Judged {
    const shown = decode(
      (reader) => ({ header: readHeader(reader), siblings: reader.list(HISTORY_PATH_MAX, readHash) }),
      body,
    );
    if (!shown.ok) return refused('format', shown.message);
    const { header, siblings } = shown.value;
    const path = { index: header.height - 1, count: newest.height - 1, siblings };
    if (
      header.height >= newest.height ||
      !verifyMmrPath({ root: newest.historyRoot, leaf: headerHash(header), path })
    )
      return refused('history', 'the history that was co-signed does not hold this header');
    this.#header = header;
    return ok([{ kind: 'history', header, height: header.height, time: header.time }]);
  }

  #takeTransaction(body: Uint8Array): Judged {
    const shown = decode(
      (reader) => ({
        id: readHash(reader),
        index: reader.u32(),
        count: reader.u32(),
        path: reader.list(LIMITS.merklePathMax, readHash),
      }),
      body,
    );
    if (!shown.ok) return refused('format', shown.message);
    const { id, index, count, path } = shown.value;
    const header = this.#header as Header;
    const root = merkleRootFromPath({ leafHash: merkleLeaf(id), index, count, path });
    if (root === undefined || !equalBytes(transactionsRootOf(count, root), header.txRoot))
      return refused('transaction', 'the path does not lead to the transactions of its header');
    return ok([{ kind: 'transaction', id, height: header.height }]);
  }
}

function takeState({ header, stateRoot }: OpenCheckpoint, body: Uint8Array): Judged {
  const shown = decode(
    (reader: Reader) => ({
      key: reader.bytes(KEY_BYTES_MAX).slice(),
      ...readShown(reader, RECORD_BYTES_MAX),
    }),
    body,
  );
  if (!shown.ok) return refused('format', shown.message);
  const { key, record, proof } = shown.value;
  if (parseStateKey(key) === undefined) return refused('format', 'expected a state key');
  if (!verifyStateProof(stateRoot, stateKeyHash(key as StateKey), record, proof))
    return refused('state', 'the record is not in the state that was co-signed, as shown');
  return ok([{ kind: 'state', key: key as StateKey, value: record, height: header.height }]);
}
