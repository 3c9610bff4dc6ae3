/**
 * What a correct node may send, given what is durable on its disk at that moment (spec PBFT-7): no vote without
 * the record it depends on, never two different votes in one place, no vote in a view that was left.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { decodeLogRecord, type LogRecord } from '@itc/core/pbft/log.js';
import type { Message, Vote } from '@itc/core/pbft/messages.js';
import { parseSimBlock } from '../pbft/sim-block.ts';
import type { WalRecord } from '../pbft/node.ts';
import { Violation } from './checker.ts';

export class Promises {
  /** Node, kind, view and height of a vote → its hash. */
  readonly #votes: Map<string, string> = new Map();
  readonly #left: Map<number, number> = new Map();
  readonly #decoded: WeakMap<WalRecord, LogRecord> = new WeakMap();

  /**
   * @param tip height and hash of the highest block the node has delivered, whose finality its block log proves
   */
  sends(
    node: number,
    message: Message,
    wal: readonly WalRecord[],
    tip: { readonly height: number; readonly hash: Hash },
  ): void {
    switch (message.kind) {
      case 'pre-prepare':
        this.#once(node, message.kind, message.view, message.block.height, message.block.hash);
        this.#notLeft(node, message.kind, message.view);
        this.#needs(node, message.kind, wal, (record) => accepts(record, message.view, message.block.hash));
        return;
      case 'prepare':
      case 'commit':
        this.#once(node, message.kind, message.view, message.height, message.hash);
        this.#notLeft(node, message.kind, message.view);
        this.#vote(node, message, wal, tip);
        return;
      case 'view-change':
        this.#left.set(node, Math.max(message.view, this.#left.get(node) ?? 0));
        this.#needs(
          node,
          message.kind,
          wal,
          (record) => record.kind === 'view-change' && record.message.view === message.view,
        );
        return;
      case 'new-view':
      case 'checkpoint':
      case 'status':
      case 'fetch':
      case 'body':
        return;
    }
  }

  #vote(
    node: number,
    vote: Vote,
    wal: readonly WalRecord[],
    tip: { readonly height: number; readonly hash: Hash },
  ): void {
    if (vote.height <= tip.height) return;
    const accepted = this.#needs(node, vote.kind, wal, (record) => accepts(record, vote.view, vote.hash));
    if (vote.kind === 'commit') {
      this.#needs(node, vote.kind, wal, (record) => prepares(record, vote.view, vote.hash));
      return;
    }
    // P2: the parent is final, or prepared in the same view, and this node can still say so after a crash.
    const parent = accepted.kind === 'accepted' ? accepted.block.parentHash : undefined;
    if (parent === undefined || vote.height === 1) return;
    const name = toHex(parent);
    if (tip.height === vote.height - 1 && toHex(tip.hash) === name) return;
    this.#needs(
      node,
      'prepare above its parent',
      wal,
      (record) => prepares(record, vote.view, parent) || isFinal(record, name),
    );
  }

  #needs(
    node: number,
    what: string,
    wal: readonly WalRecord[],
    fits: (record: LogRecord) => boolean,
  ): LogRecord {
    // What is needed was mostly written last.
    for (let i = wal.length - 1; i >= 0; i -= 1) {
      const record = this.#record(wal[i] as WalRecord);
      if (fits(record)) return record;
    }
    throw new Violation('promises', `node ${node} sent a ${what} that its disk does not bear out`);
  }

  #record(raw: WalRecord): LogRecord {
    let record = this.#decoded.get(raw);
    if (record === undefined) {
      const decoded = decodeLogRecord(raw.bytes, parseSimBlock);
      if (!decoded.ok) throw new Violation('promises', `a log record does not decode: ${decoded.message}`);
      record = decoded.value;
      this.#decoded.set(raw, record);
    }
    return record;
  }

  #once(node: number, kind: string, view: number, height: number, hash: Hash): void {
    const key = `${node}/${kind}/${view}/${height}`;
    const name = toHex(hash);
    const known = this.#votes.get(key);
    if (known !== undefined && known !== name)
      throw new Violation(
        'promises',
        `node ${node} sent two different ${kind} in view ${view} at height ${height}`,
      );
    this.#votes.set(key, name);
  }

  #notLeft(node: number, kind: string, view: number): void {
    const left = this.#left.get(node) ?? 0;
    if (view < left)
      throw new Violation(
        'promises',
        `node ${node} sent a ${kind} in view ${view} after it had asked for view ${left}`,
      );
  }
}

function accepts(record: LogRecord, view: number, hash: Hash): boolean {
  return record.kind === 'accepted' && record.view === view && toHex(record.block.hash) === toHex(hash);
}

function prepares(record: LogRecord, view: number, hash: Hash): boolean {
  return (
    record.kind === 'prepared' &&
    record.certificate.view === view &&
    toHex(record.certificate.digest) === toHex(hash)
  );
}

function isFinal(record: LogRecord, name: string): boolean {
  switch (record.kind) {
    case 'committed':
    case 'stable':
      return toHex(record.certificate.hash) === name;
    case 'new-view':
      return toHex(record.message.base.hash) === name;
    case 'accepted':
    case 'prepared':
    case 'view-change':
    case 'checkpoint':
    case 'truncate':
      return false;
  }
}
