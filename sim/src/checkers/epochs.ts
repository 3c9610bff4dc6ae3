/**
 * Epochs (spec PBFT-14): everyone enters the same ones; nobody votes in one before its base is stable there, above
 * the block that closes it, or above the high watermark; nobody of more than F is put aside.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { indicesOf, quorumOf, validatorsHash, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { LogRecord } from '@itc/core/pbft/log.js';
import type { Checkpoint, Message } from '@itc/core/pbft/messages.js';
import type { SimLedger } from '../pbft/sim-ledger.ts';
import { Violation } from './checker.ts';

export class Epochs {
  /** Executes what was delivered first; what it says of a height is what everyone must say. */
  readonly #ledger: SimLedger;
  readonly #isFaulty: (key: number) => boolean;
  /** Epoch and height → result → indices of the correct validators that signed it. */
  readonly #signed: Map<string, Map<string, Set<number>>> = new Map();
  /** Epochs whose base is stable, and by node the highest height it knows to be. */
  readonly #open: Set<number> = new Set([0]);
  readonly #stable: Map<string, number> = new Map();

  constructor(ledger: SimLedger, isFaulty: (key: number) => boolean) {
    this.#ledger = ledger;
    this.#isFaulty = isFaulty;
  }

  enters(node: number, epoch: number, validators: ValidatorSet, base: { readonly height: number }): void {
    const known = this.#ledger.validatorsOf(epoch);
    if (known === undefined)
      throw new Violation('epochs', `node ${node} enters epoch ${epoch}, which nobody has closed the way to`);
    if (!equalBytes(validatorsHash(known), validatorsHash(validators)))
      throw new Violation('epochs', `node ${node} enters epoch ${epoch} with another validator set`);
    if (base.height !== this.#ledger.baseOf(epoch))
      throw new Violation('epochs', `node ${node} begins epoch ${epoch} above height ${base.height}`);
  }

  /** Of a correct node. */
  sends(node: number, message: Message): void {
    switch (message.kind) {
      case 'checkpoint':
        this.#sign(message);
        return;
      case 'pre-prepare':
        this.#votes(node, message.kind, message.epoch, message.block.height);
        return;
      case 'prepare':
      case 'commit':
        this.#votes(node, message.kind, message.epoch, message.height);
        return;
      case 'view-change':
      case 'new-view':
      case 'status':
      case 'include':
      case 'fetch':
      case 'body':
        return;
    }
  }

  /** Of a correct node: also a NEW-VIEW that a faulty one has made is recorded only when it is believed. */
  persists(node: number, record: LogRecord): void {
    if (record.kind === 'stable') {
      const { epoch, height } = record.certificate;
      const place = `${node}/${epoch}`;
      this.#stable.set(place, Math.max(height, this.#stable.get(place) ?? 0));
    }
    if (record.kind !== 'new-view') return;
    const { message } = record;
    const set = this.#ledger.validatorsOf(message.epoch) ?? [];
    const { faulty } = quorumOf(set.map(({ weight }) => weight));
    const skipped = indicesOf(message.skipped, set.length);
    const weight = (skipped ?? []).reduce((sum, index) => sum + (set[index]?.weight ?? 0), 0);
    if (skipped === undefined || weight > faulty)
      throw new Violation(
        'epochs',
        `node ${node} believes a NEW-VIEW that puts aside weight ${weight}, more than ${faulty}`,
      );
  }

  #votes(node: number, kind: string, epoch: number, height: number): void {
    const fail = (why: string): never => {
      throw new Violation(
        'epochs',
        `node ${node} sent a ${kind} in epoch ${epoch} at height ${height}, ${why}`,
      );
    };
    const base = this.#ledger.baseOf(epoch);
    if (base === undefined || height <= base) return fail('which is not of that epoch');
    const closing = this.#ledger.closingOf(epoch);
    if (closing !== undefined && height > closing) fail(`but the block at ${closing} closes it`);
    if (!this.#open.has(epoch)) fail('before enough of its members have signed its base');
    const stable = this.#stable.get(`${node}/${epoch}`) ?? base;
    if (height > stable + LIMITS.watermarkWindow) fail(`above the watermark of the checkpoint at ${stable}`);
  }

  /** Faulty validators are taken to have signed everything. */
  #sign({ epoch, height, sender, hash, stateRoot }: Checkpoint): void {
    const place = `${epoch}/${height}`;
    const results = this.#signed.get(place) ?? new Map<string, Set<number>>();
    this.#signed.set(place, results);
    const result = `${toHex(hash)}/${toHex(stateRoot)}`;
    const signers = results.get(result) ?? new Set<number>();
    results.set(result, signers);
    signers.add(sender);
    const set = this.#ledger.validatorsOf(epoch) ?? [];
    const { strong } = quorumOf(set.map(({ weight }) => weight));
    let weight = 0;
    for (const [index, validator] of set.entries())
      if (signers.has(index) || this.#isFaulty(validator.key.bytes[0] ?? -1)) weight += validator.weight;
    if (weight >= strong) this.#open.add(epoch);
  }
}
