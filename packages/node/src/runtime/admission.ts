/**
 * Who may connect: the processes of the configuration, whoever decides or has bonded a consensus key to do so, and members of
 * subnets by stake: those of the own subnet all, of others whoever has staked as much as a bond takes.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { endsMemberTurn } from '@itc/core/ledger/member-turns.js';
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
  'member-staked',
  'subnet-created',
  'member-leaving',
  'checkpoint-committed',
]);

const BONDS: ReadonlySet<LedgerEvent['kind']> = new Set(
  [...CONCERNING].filter(
    (kind) => !kind.startsWith('member-') && kind !== 'subnet-created' && kind !== 'checkpoint-committed',
  ),
);

export class Admission {
  readonly #chain: Chain;
  readonly #configured: ReadonlySet<PeerId>;
  #bonded: ReadonlySet<PeerId>;
  readonly #subnet: Hash | undefined;
  /** Members and candidates of subnets. */
  readonly #staked = new Set<PeerId>();

  /** `subnet`: the one this process takes part in. */
  constructor(chain: Chain, configured: Iterable<PeerId>, subnet?: Hash) {
    this.#chain = chain;
    this.#subnet = subnet;
    this.#configured = new Set(configured);
    this.#bonded = bondedPeers(chain.state);
    this.#readStakes();
  }

  allows(peer: PeerId): boolean {
    return this.#configured.has(peer) || this.#bonded.has(peer) || this.#staked.has(peer);
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
      const concerning = committed.events.filter(({ kind }) => CONCERNING.has(kind));
      let isChanged = false;
      for (const event of concerning) isChanged = this.#noteStake(event) || isChanged;
      if (concerning.some(({ kind }) => BONDS.has(kind))) refresh();
      else if (isChanged) changed();
    });
    this.#chain.onReplaced(() => {
      this.#readStakes();
      refresh();
    });
  }

  #readStakes(): void {
    const { state } = this.#chain;
    this.#staked.clear();
    for (const { id } of state.subnets()) this.#readStakesIn(id);
    this.#readOwnSubnet();
  }

  #readStakesIn(subnet: Hash): boolean {
    const before = this.#staked.size;
    for (const { stake } of this.#chain.state.stakes(subnet)) this.#judge(subnet, stake.key, stake.stake);
    return this.#staked.size > before;
  }

  /** Of one event alone: stakes of strangers may be many. */
  #noteStake(event: LedgerEvent): boolean {
    if (event.kind === 'subnet-created') return this.#readStakesIn(event.subnet);
    if (event.kind === 'member-staked') return this.#judge(event.subnet, event.key, event.stake);
    if (event.kind === 'member-leaving') {
      const record = this.#chain.state.stake(event.subnet, event.member);
      return record !== undefined && this.#judge(event.subnet, record.key, event.stake);
    }
    if (event.kind !== 'checkpoint-committed') return false;
    return this.#isOwn(event.subnet) && endsMemberTurn(event.sequence) && this.#readOwnSubnet();
  }

  #isOwn(subnet: Hash): boolean {
    return this.#subnet !== undefined && equalBytes(subnet, this.#subnet);
  }

  #judge(subnet: Hash, { bytes }: PublicKey, stake: bigint): boolean {
    const peer = toHex(bytes);
    const isIn = this.#isOwn(subnet) || stake >= this.#chain.state.parameters.bondPerWeight;
    if (!isIn || stake === 0n) return this.#staked.delete(peer);
    if (this.#staked.has(peer)) return false;
    this.#staked.add(peer);
    return true;
  }

  /** Who decides in the own subnet is let in, whatever of its stake is on its way back. */
  #readOwnSubnet(): boolean {
    const record = this.#subnet === undefined ? undefined : this.#chain.state.subnet(this.#subnet);
    const before = this.#staked.size;
    for (const { key } of [...(record?.members ?? []), ...(record?.next ?? [])])
      this.#staked.add(toHex(key.bytes));
    return this.#staked.size > before;
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
