/** Who may connect: the processes of the configuration, and whoever decides or has bonded a consensus key to do so. */
import { toHex } from '@itc/core/bytes/hex.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import type { PeerId } from '../ports.ts';
import type { LedgerEvent } from '@itc/core/state/events.js';
import type { Chain } from './chain.ts';

const CONCERNING: ReadonlySet<LedgerEvent['kind']> = new Set([
  'validator-bonded',
  'validator-jailed',
  'bond-released',
  'epoch-elected',
  'epoch-promoted',
]);

export class Admission {
  readonly #chain: Chain;
  readonly #configured: ReadonlySet<PeerId>;
  #bonded: ReadonlySet<PeerId>;

  constructor(chain: Chain, configured: Iterable<PeerId>) {
    this.#chain = chain;
    this.#configured = new Set(configured);
    this.#bonded = bondedPeers(chain.state);
  }

  allows(peer: PeerId): boolean {
    return this.#configured.has(peer) || this.#bonded.has(peer);
  }

  /** Keys that decide now or next, and those bonded to do so. */
  get bonded(): ReadonlySet<PeerId> {
    return this.#bonded;
  }

  /** Calls back when the answer may have become another one for somebody. */
  watch(changed: () => void): void {
    const refresh = (): void => {
      this.#bonded = bondedPeers(this.#chain.state);
      changed();
    };
    this.#chain.onCommitted((committed) => {
      if (!committed.events.some(({ kind }) => CONCERNING.has(kind))) return;
      refresh();
    });
    this.#chain.onReplaced(refresh);
  }
}

/** A culprit is let in no longer than it decides. */
function bondedPeers(state: LedgerState): ReadonlySet<PeerId> {
  const { validators, next } = state.epoch;
  const peers = new Set([...validators, ...(next?.validators ?? [])].map(({ key }) => toHex(key.bytes)));
  for (const { validator } of state.validators())
    if (!validator.jailed) peers.add(toHex(validator.key.bytes));
  return peers;
}
