/**
 * Transactions of every kind, drawn for the state they are to meet: the stories of the ledger's model (`@itc/core/testing`), sent
 * through consensus. Most are right when they are drawn; others have meanwhile made some of them wrong when they are executed.
 */
import { idText } from '@itc/core/bytes/id-text.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { KINDS, type Body, type BodyKind } from '@itc/core/ledger/body.js';
import { millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { BlockContext } from '@itc/core/state/block-context.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import { DRAWS, OFTEN } from '@itc/core/testing/ledger-model.js';
import type { Person } from '@itc/core/testing/state-world.js';
import { Chance, WholeLedger } from '@itc/core/testing/whole-ledger.js';
import type { Random } from '../random.ts';

const TURNS: readonly BodyKind[] = KINDS.flatMap((kind) =>
  Array.from({ length: OFTEN[kind] ?? 1 }, () => kind),
);
/** Kinds that are tried until one of them has something to be about. */
const ATTEMPTS = 6;

/** The people of the model at a moment of this chain. */
class Town extends WholeLedger {
  time = 0;

  override get context(): BlockContext {
    return { ...super.context, time: millis(this.time) };
  }
}

export class Traffic {
  readonly #random: Random;
  readonly #town: Town;
  /** Account and lane of what was drawn and is not executed: a second one there would have to come in order. */
  readonly #taken: Set<string> = new Set();
  readonly #lanes: Map<string, string> = new Map();

  constructor(random: Random, validators: ValidatorSet) {
    this.#random = random;
    this.#town = new Town(undefined, validators);
  }

  get chain(): Hash {
    return this.#town.chain;
  }

  get genesisState(): LedgerState {
    return this.#town.state;
  }

  /** Everybody who sends and is given things. */
  get people(): readonly Person[] {
    return this.#town.people;
  }

  /** For the block above this state. */
  draw(state: LedgerState, height: number, time: number): VerifiedTransaction {
    const town = this.#town;
    town.state = state;
    town.height = height;
    town.time = Math.round(time);
    const chance = new Chance(this.#random.below(0x1_0000_0000));
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const drawn = DRAWS[this.#random.pick(TURNS)]?.(town, chance);
      if (drawn !== undefined) return this.#signed(drawn.sender, drawn.body, chance);
    }
    const sender = town.anyone(chance);
    return this.#signed(sender, { kind: 'register-maker', name: sender.name }, chance);
  }

  /** It is in a block: its lane is free. */
  executed(id: Hash): void {
    const name = idText(id);
    const lane = this.#lanes.get(name);
    if (lane === undefined) return;
    this.#taken.delete(lane);
    this.#lanes.delete(name);
  }

  #signed(sender: Person, body: Body, chance: Chance): VerifiedTransaction {
    const town = this.#town;
    const account = idText(sender.address);
    const isFree = (lane: number): boolean => !this.#taken.has(`${account} ${lane}`);
    const lane = Array.from({ length: LIMITS.lanesMax }, (_, n) => n).find(isFree) ?? 0;
    const next = town.state.account(sender.address)?.nonces[lane] ?? 0;
    // Now and then one that was used, or one too far.
    const skew = chance.isOneIn(24) ? chance.below(3) - 1 : 0;
    const nonce = body.kind === 'checkpoint' ? 0 : Math.max(0, next + skew);
    const sponsor =
      chance.isOneIn(6) && body.kind !== 'checkpoint' ? town.one(chance, 'sponsorship')?.[0] : undefined;
    const transaction = town.signed(sender, body, { lane, nonce, sponsor: sponsor && asHash(sponsor) });
    if (body.kind !== 'checkpoint') {
      this.#taken.add(`${account} ${lane}`);
      this.#lanes.set(transaction.name, `${account} ${lane}`);
    }
    return transaction;
  }
}
