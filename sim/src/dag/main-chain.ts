/**
 * The main chain as a subnet sees it: the real state machine, a block for each transaction, and everybody learns of it. What
 * it is told it judges; what breaks a rule changes nothing.
 */
import type { Hash } from '@itc/core/crypto/hash.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import type { Committed } from '@itc/core/dag/effects.js';
import { addressOf } from '@itc/core/ledger/address.js';
import { memberPossessionBytes, type MemberStake } from '@itc/core/ledger/bodies/membership.js';
import { subnetId } from '@itc/core/ledger/bodies/subnet.js';
import type { Body } from '@itc/core/ledger/body.js';
import type { CheckpointCertificate } from '@itc/core/ledger/checkpoint.js';
import type { Deposit } from '@itc/core/ledger/escrow.js';
import { genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { amount, height, millis, SUPPLY } from '@itc/core/ledger/ids.js';
import { encodeTransaction, transactionSigningBytes } from '@itc/core/ledger/transaction.js';
import { indicesOf, type ValidatorSet } from '@itc/core/ledger/validators.js';
import { applyBlock } from '@itc/core/state/apply.js';
import { NO_ESCROW, type Escrow } from '@itc/core/state/escrow-record.js';
import { countedId } from '@itc/core/state/keys.js';
import { LedgerState, noChanges } from '@itc/core/state/ledger-state.js';
import { idText } from '@itc/core/state/record-map.js';
import { verifyTransaction } from '@itc/core/state/verified-transaction.js';
import { fakeHash, fakeKey, fakeSign, fakeVerify } from '../fake-crypto.ts';

/** Owns all stakes, pays all deposits, and is nobody's member. */
export const BANK: PublicKey = fakeKey(250);
const STARTED_MS = 1_700_000_000_000;
const BLOCK_MS = 100;
const STAKE_PER_WEIGHT = 10_000_000n;
/** Blocks for which stake that was asked back stays where it is: a turn or so. */
const DELAY_BLOCKS = 20;

/** Faults put into the main chain itself, to see that the checkers see them. */
export interface ChainSabotage {
  /** Checkpoints are judged by the first set, whoever was elected since. */
  readonly judgesByFirstSet?: boolean;
  /** Whoever has signed decides. */
  readonly judgesBySigners?: boolean;
  /** What was paid is forgotten. */
  readonly paysAgain?: boolean;
}

/** What the state held just after a checkpoint was executed. */
export interface AtCommit {
  readonly escrow: Escrow;
}

export class MainChain {
  readonly id: Hash;
  readonly subnet: Hash;
  readonly committed: Committed[] = [];
  /** By sequence, from 1. */
  readonly atCommit: AtCommit[] = [];
  /** All that were ever made, by number from 1. */
  readonly deposits: Deposit[] = [];
  /** Ascending: which set decides from which checkpoint on. */
  readonly sets: { readonly first: number; readonly members: ValidatorSet }[];
  /** By height. */
  readonly #states: LedgerState[];
  readonly #sabotage: ChainSabotage;

  /** `staked`: the members have weight by stake and may change; otherwise they are listed for good. */
  constructor(options: {
    readonly members: ValidatorSet;
    readonly powBits: number;
    readonly staked: boolean;
    readonly sabotage?: ChainSabotage | undefined;
  }) {
    const { members, powBits, staked } = options;
    this.#sabotage = options.sabotage ?? {};
    const owner = addressOf(BANK);
    const listed = { id: fakeHash(Uint8Array.of(2)), name: 'home', members, powBits };
    const genesis: Genesis = {
      name: 'simulated',
      time: millis(STARTED_MS),
      validators: [{ key: BANK, weight: 1 }],
      accounts: [{ address: owner, balance: SUPPLY }],
      subnets: staked ? [] : [listed],
      feePerByte: amount(0n),
      validatorBond: amount(0n),
      bondPerWeight: amount(0n),
      reserve: amount(0n),
      rewardPerCheckpoint: amount(0n),
      depositPerByte: amount(0n),
      accountPrice: amount(0n),
      burnShare: 0,
    };
    this.id = genesisHash(genesis);
    this.subnet = staked ? subnetId(owner, 'home') : listed.id;
    this.#states = [LedgerState.fromGenesis(genesis)];
    this.sets = [{ first: 1, members }];
    if (!staked) return;
    const made = this.send(BANK, {
      kind: 'found-subnet',
      name: 'home',
      powBits,
      terms: {
        stakePerWeight: amount(STAKE_PER_WEIGHT),
        stakeMin: amount(STAKE_PER_WEIGHT),
        delayBlocks: DELAY_BLOCKS,
        isByInvitation: false,
      },
      members: members.map(({ key, weight }) => this.stakeOf(key, weight)),
    });
    if (made !== 'ok') throw new Error(`the subnet is not founded: ${made}`);
  }

  get height(): number {
    return this.#states.length - 1;
  }

  get state(): LedgerState {
    return this.stateAt(this.height);
  }

  stateAt(at: number): LedgerState {
    const state = this.#states[at];
    if (state === undefined) throw new RangeError(`there is no height ${at}`);
    return state;
  }

  stakeOf(key: PublicKey, weight: number): MemberStake {
    const message = memberPossessionBytes(this.id, addressOf(BANK), this.subnet);
    return { key, amount: amount(STAKE_PER_WEIGHT * BigInt(weight)), possession: fakeSign(key, message) };
  }

  /** Who decides a checkpoint, as elected. */
  setOf(sequence: number): { readonly first: number; readonly members: ValidatorSet } {
    const found = this.sets.findLast(({ first }) => first <= sequence);
    if (found === undefined) throw new RangeError(`no set decides checkpoint ${sequence}`);
    return found;
  }

  /** By one of its members; what is not the next one, or not signed by those who decide it, changes nothing. */
  submit(certificate: CheckpointCertificate, sender: PublicKey): void {
    if (this.#sabotage.judgesByFirstSet === true) this.#setMembers(this.sets[0]?.members ?? []);
    const members = this.state.subnet(this.subnet)?.members ?? [];
    if (this.#sabotage.judgesBySigners === true) {
      const signers = indicesOf(certificate.signers, members.length) ?? [];
      this.#setMembers(members.map((member, i) => (signers.includes(i) ? member : { ...member, weight: 0 })));
    }
    const outcome = this.send(sender, { kind: 'checkpoint', certificate });
    if (this.#sabotage.judgesBySigners === true) this.#setMembers(members);
    if (outcome !== 'ok') return;
    const { state } = this;
    this.committed.push({ certificate, height: height(this.height), txIndex: 0 });
    this.atCommit.push({ escrow: state.escrow(this.subnet) ?? NO_ESCROW });
    const turn = state.membership(this.subnet)?.turns.at(-1);
    const elected = turn === undefined ? undefined : state.memberTurn(this.subnet, turn);
    if (turn !== undefined && elected !== undefined && turn > (this.sets.at(-1)?.first ?? 0))
      this.sets.push({ first: turn, members: elected });
  }

  deposit(to: Deposit['to'], value: bigint): void {
    const { subnet } = this;
    if (this.send(BANK, { kind: 'deposit', subnet, to, amount: amount(value) }) !== 'ok') return;
    this.deposits.push({ number: this.deposits.length + 1, to, amount: amount(value) });
  }

  /** In a block of its own: `ok`, or the code of its receipt. */
  send(key: PublicKey, body: Body): string {
    const { state } = this;
    const at = height(this.height + 1);
    const unsigned = {
      key,
      lane: 0,
      nonce: state.account(addressOf(key))?.nonces[0] ?? 0,
      fee: amount(0n),
      validUntil: height(at + 10),
      body,
    };
    const signature = fakeSign(key, transactionSigningBytes(this.id, unsigned));
    const verified = verifyTransaction(this.id, encodeTransaction({ ...unsigned, signature }), fakeVerify);
    if (!verified.ok) return verified.code;
    const context = {
      chain: this.id,
      height: at,
      time: millis(STARTED_MS + BLOCK_MS * at),
      verify: fakeVerify,
    };
    const applied = applyBlock(state, context, [verified.value]);
    const [receipt] = applied.receipts;
    if (receipt?.outcome.ok !== true) return receipt?.outcome.code ?? 'no receipt';
    this.#states.push(applied.state);
    if (body.kind === 'withdraw' && this.#sabotage.paysAgain === true) this.#forgetPaid(state, body);
    return 'ok';
  }

  #setMembers(members: ValidatorSet): void {
    const record = this.state.subnet(this.subnet);
    if (record === undefined) return;
    const { next: _, ...rest } = record;
    const changed = noChanges();
    changed.subnet.set(idText(this.subnet), { ...rest, members });
    this.#states[this.height] = this.state.advance(changed).state;
  }

  #forgetPaid(before: LedgerState, { checkpoint }: Extract<Body, { kind: 'withdraw' }>): void {
    const open = before.withdrawals(this.subnet, checkpoint);
    const escrow = before.escrow(this.subnet);
    if (open === undefined || escrow === undefined) return;
    const changed = noChanges();
    changed.withdrawals.set(idText(countedId(this.subnet, checkpoint)), open);
    changed.escrow.set(idText(this.subnet), escrow);
    this.#states[this.height] = this.state.advance(changed).state;
  }
}
