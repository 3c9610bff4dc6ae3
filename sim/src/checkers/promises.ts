/**
 * What a correct node may send, given what is durable on its disk at that moment (spec PBFT-7): no vote without
 * the record it depends on, never two different votes in one place, no vote in a view that was left.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { LogRecord } from '@itc/core/pbft/log.js';
import type { Message, Vote } from '@itc/core/pbft/messages.js';
import type { WalRecord } from '../pbft/shell.ts';
import { Violation } from './checker.ts';

export class Promises {
  /** Node, kind, epoch, view and height of a vote → its hash. */
  readonly #votes: Map<string, Hash> = new Map();
  /** Node and epoch → the latest view asked for. */
  readonly #left: Map<string, number> = new Map();

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
      case 'pre-prepare': {
        const { epoch, view, block } = message;
        this.#once(node, message.kind, { epoch, view, height: block.height, hash: block.hash });
        this.#notLeft(node, message.kind, epoch, view);
        this.#needs(node, message.kind, wal, (record) => accepts(record, epoch, view, block.hash));
        this.#entered(node, message.kind, message, wal);
        return;
      }
      case 'prepare':
      case 'commit':
        this.#once(node, message.kind, message);
        this.#notLeft(node, message.kind, message.epoch, message.view);
        this.#vote(node, message, wal, tip);
        if (message.height > tip.height) this.#entered(node, message.kind, message, wal);
        return;
      case 'view-change': {
        const place = `${node}/${message.epoch}`;
        this.#left.set(place, Math.max(message.view, this.#left.get(place) ?? 0));
        this.#needs(
          node,
          message.kind,
          wal,
          (record) => record.kind === 'view-change' && record.message.view === message.view,
        );
        return;
      }
      case 'new-view':
      case 'checkpoint':
      case 'status':
      case 'include':
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
    const accepted = this.#needs(node, vote.kind, wal, (record) =>
      accepts(record, vote.epoch, vote.view, vote.hash),
    );
    if (vote.kind === 'commit') {
      this.#needs(node, vote.kind, wal, (record) => prepares(record, vote.epoch, vote.view, vote.hash));
      return;
    }
    // P2: the parent is final, or prepared in the same view, and this node can still say so after a crash.
    const parent = accepted.kind === 'accepted' ? accepted.block.parentHash : undefined;
    if (parent === undefined || vote.height === 1) return;
    if (tip.height === vote.height - 1 && equalBytes(tip.hash, parent)) return;
    this.#needs(
      node,
      'prepare above its parent',
      wal,
      (record) => prepares(record, vote.epoch, vote.view, parent) || isFinal(record, parent),
    );
  }

  /** No vote in a later view than the first without the NEW-VIEW that opened it. */
  #entered(
    node: number,
    what: string,
    { epoch, view }: { readonly epoch: number; readonly view: number },
    wal: readonly WalRecord[],
  ): void {
    if (view === 0) return;
    this.#needs(
      node,
      `${what} in view ${view}`,
      wal,
      (record) =>
        record.kind === 'new-view' && record.message.epoch === epoch && record.message.view === view,
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
      const { record } = wal[i] as WalRecord;
      if (fits(record)) return record;
    }
    throw new Violation('promises', `node ${node} sent a ${what} that its disk does not bear out`);
  }

  #once(
    node: number,
    kind: string,
    vote: { readonly epoch: number; readonly view: number; readonly height: number; readonly hash: Hash },
  ): void {
    const key = `${node}/${kind}/${vote.epoch}/${vote.view}/${vote.height}`;
    const known = this.#votes.get(key);
    if (known === undefined) this.#votes.set(key, vote.hash);
    else if (!equalBytes(known, vote.hash))
      throw new Violation(
        'promises',
        `node ${node} sent two different ${kind} in view ${vote.view} of epoch ${vote.epoch} at height ${vote.height}`,
      );
  }

  #notLeft(node: number, kind: string, epoch: number, view: number): void {
    const left = this.#left.get(`${node}/${epoch}`) ?? 0;
    if (view < left)
      throw new Violation(
        'promises',
        `node ${node} sent a ${kind} in view ${view} of epoch ${epoch} after it had asked for view ${left}`,
      );
  }
}

function accepts(record: LogRecord, epoch: number, view: number, hash: Hash): boolean {
  return (
    record.kind === 'accepted' &&
    record.view === view &&
    record.epoch === epoch &&
    equalBytes(record.block.hash, hash)
  );
}

function prepares(record: LogRecord, epoch: number, view: number, hash: Hash): boolean {
  return (
    record.kind === 'prepared' &&
    record.certificate.view === view &&
    record.certificate.epoch === epoch &&
    equalBytes(record.certificate.digest, hash)
  );
}

function isFinal(record: LogRecord, hash: Hash): boolean {
  switch (record.kind) {
    case 'committed':
    case 'stable':
      return equalBytes(record.certificate.hash, hash);
    case 'new-view':
      return equalBytes(record.message.base.hash, hash);
    case 'accepted':
    case 'prepared':
    case 'view-change':
    case 'checkpoint':
    case 'truncate':
      return false;
  }
}
