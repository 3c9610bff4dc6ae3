/** What a light client accepts is what honest replicas committed at that height; and what it believed it never takes back. */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { idText } from '@itc/core/bytes/id-text.js';
import type { LightEvent } from '@itc/core/light/light-reader.js';
import type { StateKey } from '@itc/core/state/keys.js';
import { setHash } from '../pbft/sim-block.ts';
import type { Archive, Kept } from '../light/archive.ts';
import { readTrust, type Believed } from '../light/trust.ts';
import { Violation } from './checker.ts';

export interface Answered {
  readonly nonce: Uint8Array;
  readonly isHonestGateway: (key: Uint8Array) => boolean;
}

export class LightBeliefs {
  /** What was committed; it grows. */
  readonly #truth: Archive;
  /** About heights that enough validators have voted for and nobody has delivered yet. */
  #open: { readonly height: number; readonly check: () => void }[] = [];
  /** Statements of freshness that honest gateways have made: gateway, nonce. */
  readonly #stated: Set<string> = new Set();

  constructor(truth: Archive) {
    this.#truth = truth;
  }

  /** An honest gateway answers. */
  stated(gateway: Uint8Array, nonce: Uint8Array): void {
    this.#stated.add(idText(gateway) + idText(nonce));
  }

  /** The chain has grown: what was believed ahead of it must be what it has become. */
  grown(): void {
    const due = this.#open.filter(({ height }) => height <= this.#truth.height);
    if (due.length === 0) return;
    this.#open = this.#open.filter(({ height }) => height > this.#truth.height);
    for (const { check } of due) check();
  }

  /** @param where client and answer, for the message */
  accepted(where: string, before: Believed, event: LightEvent, o: Answered): void {
    if (event.kind === 'believed') {
      const { height, epoch } = readTrust(event.trust);
      if (height < before.height || epoch < before.epoch)
        throw new Violation(
          'light',
          `${where}: goes back from height ${before.height}, epoch ${before.epoch} to ${height}, ${epoch}`,
        );
    }
    const height = 'height' in event ? event.height : 0;
    if (height <= this.#truth.height) this.#check(where, event, o);
    else this.#open.push({ height, check: () => this.#check(where, event, o) });
  }

  #check(where: string, event: LightEvent, o: Answered): void {
    const fail = (what: string): never => {
      throw new Violation('light', `${where}: ${what}`);
    };
    switch (event.kind) {
      case 'believed':
        this.#header(readTrust(event.trust), fail);
        return;
      case 'history': {
        const kept = this.#truth.at(event.height);
        if (kept?.header.time !== event.time)
          fail(`a header at height ${event.height} that nobody committed`);
        return;
      }
      case 'transaction':
        if (!this.#truth.holds(event.height, event.id))
          fail(`transaction ${toHex(event.id).slice(0, 8)} at height ${event.height}, where it is not`);
        return;
      case 'state': {
        const committed = this.#truth.at(event.height)?.state.get(event.key as StateKey);
        const isSame =
          committed === undefined || event.value === undefined
            ? committed === event.value
            : equalBytes(committed, event.value);
        if (!isSame)
          fail(
            `the record ${toHex(event.key).slice(0, 10)} under height ${event.height} is ${shown(event.value)}, committed was ${shown(committed)}`,
          );
        return;
      }
      case 'fresh':
        if (o.isHonestGateway(event.gateway) && !this.#stated.has(idText(event.gateway) + idText(o.nonce)))
          fail('a statement of freshness that this gateway has not made');
        return;
      case 'applied':
        fail('a payload, though no subnet has applied one');
        return;
      case 'done':
      case 'refused':
        return;
    }
  }

  #header(after: Believed, fail: (what: string) => never): void {
    const { height, epoch } = after;
    const { header, hash, validators } = this.#truth.at(height) as Kept;
    if (!equalBytes(hash, after.hash)) fail(`believes another header at height ${height}`);
    if (header.epoch !== epoch || !equalBytes(setHash(validators), after.set))
      fail(`trusts another set than that of epoch ${header.epoch} at height ${height}`);
    if (header.time !== after.time || !equalBytes(header.stateRoot, after.stateRoot))
      fail(`remembers height ${height} wrongly`);
    if (after.ended !== (header.flags === 1)) fail(`does not know whether height ${height} ends its epoch`);
  }
}

function shown(value: Uint8Array | undefined): string {
  return value === undefined ? 'absent' : toHex(value).slice(0, 24);
}
