/** What all nodes of a run share: the first document, and memories that would be the same at each of them. */
import { hash } from 'node:crypto';
import { installSha256, type Hash } from '@itc/core/crypto/hash.js';
import { amount, height } from '@itc/core/ledger/ids.js';
import { encodeTransaction, transactionId, transactionSigningBytes } from '@itc/core/ledger/transaction.js';
import { validatorSetFlaw, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import { addressOf } from '@itc/core/ledger/address.js';
import { nativeSha256 } from '@itc/core/testing/keys.js';
import { fakeKey, fakeSign } from '../fake-crypto.ts';
import { Traffic } from '../ledger/traffic.ts';
import { Random } from '../random.ts';
import { Executions, type Machine } from './executions.ts';
import { Requests } from './requests.ts';
import { BlockTree } from './sim-block.ts';
import type { Elections } from './sim-ledger.ts';

export class Home {
  readonly chain: Hash;
  readonly elections: Elections;
  readonly genesisState: LedgerState;
  readonly tree: BlockTree;
  readonly requests: Requests = new Requests();
  readonly executions: Executions;
  readonly traffic: Traffic;

  constructor(o: {
    readonly seed: number;
    readonly validators: ValidatorSet;
    readonly elections: Elections;
    readonly machine: Machine;
    /** SHA-256 unless a mutation has another one. */
    readonly hash?: ((bytes: Uint8Array) => Uint8Array) | undefined;
  }) {
    // Light clients hash by themselves, by the real function.
    if (o.hash === undefined) installSha256(nativeSha256, (bytes) => hash('sha256', bytes, 'binary'));
    else installSha256(o.hash);
    const flaw = validatorSetFlaw(o.validators);
    if (flaw !== undefined) throw new RangeError(`the validators of a run: ${flaw}`);
    this.elections = o.elections;
    this.traffic = new Traffic(new Random(o.seed * 2 + 77), o.validators);
    this.chain = this.traffic.chain;
    this.genesisState = this.traffic.genesisState;
    this.tree = new BlockTree(this.chain);
    this.executions = new Executions(this.chain, o.machine);
  }

  /** A node that lost its log asks for a fresh start, with its consensus key and without a fee. */
  restart(request: number, self: number, state: LedgerState): void {
    if (this.requests.askAgain(request)) return;
    const key = fakeKey(self);
    const unsigned = {
      key,
      lane: 0,
      nonce: state.account(addressOf(key))?.nonces[0] ?? 0,
      fee: amount(0n),
      // Nobody else asks with this number.
      validUntil: height(1_000_000_000 + request),
      body: { kind: 'restart' },
    } as const;
    const signature = fakeSign(key, transactionSigningBytes(this.chain, unsigned));
    const encoded = encodeTransaction({ ...unsigned, signature });
    this.requests.ask(request, { encoded, id: transactionId(encoded) });
  }
}
