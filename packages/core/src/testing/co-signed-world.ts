/** Chains whose checkpoints are co-signed, for tests and measurements of clients that demand it. */
import { equalBytes } from '../bytes/hex.ts';
import { idText } from '../bytes/id-text.ts';
import type { Hash } from '../crypto/hash.ts';
import { MmrLog } from '../crypto/mmr.ts';
import { ML_DSA_44 } from '../crypto/signature.ts';
import { StateTree } from '../crypto/state-tree.ts';
import { headerHash, type Header } from '../ledger/block.ts';
import { encodeCoSigners, NO_CO_SIGNER, type CoSigners } from '../ledger/co-signers.ts';
import { coSigningBytes } from '../ledger/stable-certificate.ts';
import { genesisHash, type Genesis } from '../ledger/genesis.ts';
import { epoch } from '../ledger/ids.ts';
import { trustCoSigned, type CoSignedTrust } from '../light/co-signed.ts';
import type { CoSignature, CoSignedCheckpoint, CoSignedHop } from '../light/co-signed-stream.ts';
import { accountKey, CO_SIGNERS_KEY, stateKeyHash } from '../state/keys.ts';
import { encodeRecord } from '../state/records.ts';
import { amount } from '../ledger/ids.ts';
import { ChainBuilder, world, type CertifiedBlock, type World } from './chain.ts';
import { groupOf } from './epochs.ts';
import { keyPair, type KeyPair } from './keys.ts';
import { schemeKeyPair } from './schemes.ts';

/** By seed and weight; a seed of −1 has no key. */
export type Members = readonly (readonly [seed: number, weight: number])[];

/** Four of weight 1; one leaves and one comes from each to the next. */
export const slidingMembers = (from: number): Members => [0, 1, 2, 3].map((i) => [from + i, 1]);

const pairs = new Map<number, KeyPair>();

/** Making one costs some milliseconds. */
export function coSigningPair(seed: number): KeyPair {
  let pair = pairs.get(seed);
  if (pair === undefined) pairs.set(seed, (pair = schemeKeyPair(ML_DSA_44, seed)));
  return pair;
}

export function coSignersOf(at: number, members: Members): CoSigners {
  return {
    epoch: epoch(at),
    members: members.map(([seed, weight]) => ({
      weight,
      key: seed < 0 ? NO_CO_SIGNER : coSigningPair(seed).address,
    })),
  };
}

const made = new Map<string, CoSignature>();

/** Once for the same checkpoint: signing costs some milliseconds, too. */
export function coSign(chain: Hash, header: Header, stateRoot: Hash, seed: number): CoSignature {
  const pair = coSigningPair(seed);
  const hash = headerHash(header);
  const message = coSigningBytes(chain, { epoch: header.epoch, height: header.height, hash, stateRoot });
  const name = `${seed} ${idText(message)}`;
  let signature = made.get(name);
  if (signature === undefined) {
    signature = { signer: pair.address, key: pair.key.bytes, signature: pair.sign(message) };
    made.set(name, signature);
  }
  return signature;
}

/** Two blocks an epoch, the second of which closes it, but for the last; every block may be co-signed. */
export class CoSignedWorld {
  readonly world: World;
  readonly builder: ChainBuilder;
  readonly history: MmrLog = new MmrLog();
  /** By epoch. */
  readonly members: readonly Members[];
  readonly first: CertifiedBlock[] = [];
  readonly closing: CertifiedBlock[] = [];
  readonly genesis: Genesis;
  readonly chain: Hash;
  readonly start: CoSignedTrust;

  constructor(members: readonly Members[]) {
    const plain = world();
    const [first = []] = members;
    const validators = groupOf(first.map(([, weight], i) => [1000 + i, weight]));
    // In the order of the set, which is that of the validators' own keys.
    const ordered = validators.set.map(({ key }) => {
      const at = first.findIndex((_, i) => equalBytes(keyPair(1000 + i).key.bytes, key.bytes));
      return first[at] as Members[number];
    });
    this.members = [ordered, ...members.slice(1)];
    this.genesis = {
      ...plain.genesis,
      validators: validators.set,
      coSigners: coSignersOf(0, ordered).members.map(({ key }) => key),
    };
    this.chain = genesisHash(this.genesis);
    this.world = { ...plain, genesis: this.genesis, chain: this.chain, validators };
    this.builder = new ChainBuilder(this.world);
    for (let at = 0; at < members.length; at += 1) {
      const isLast = at === members.length - 1;
      this.first.push(this.append(at));
      if (!isLast) this.closing.push(this.append(at, true));
    }
    this.start = trustCoSigned(this.genesis) as CoSignedTrust;
  }

  append(at: number, closes = false, transactions: readonly Uint8Array[] = []): CertifiedBlock {
    const nextValidators = closes ? { nextValidators: this.world.validators } : {};
    const block = this.builder.append(transactions, { epoch: at, ...nextValidators });
    this.history.append(headerHash(block.block.header));
    return block;
  }

  coSigners(at: number): CoSigners {
    return coSignersOf(at, this.members[at] as Members);
  }

  /** After a block of an epoch: those who co-sign, and an account. */
  tree(coSigners: CoSigners): StateTree {
    const account = encodeRecord('account', { balance: amount(7n), nonces: [] });
    return StateTree.empty.update([
      { key: stateKeyHash(CO_SIGNERS_KEY), value: encodeCoSigners(coSigners) },
      { key: stateKeyHash(accountKey(this.world.treasury.address)), value: account },
    ]);
  }

  /** By all of the epoch unless told otherwise. */
  checkpoint(
    { block: { header } }: CertifiedBlock,
    o: { readonly seeds?: readonly number[]; readonly after?: CoSigners } = {},
  ): CoSignedCheckpoint {
    const after = o.after ?? this.coSigners(header.epoch);
    const stateRoot = this.tree(after).root;
    const all = (this.members[header.epoch] as Members).flatMap(([seed]) => (seed < 0 ? [] : [seed]));
    const coSignatures = (o.seeds ?? all).map((seed) => coSign(this.chain, header, stateRoot, seed));
    return { header, stateRoot, coSignatures };
  }

  /** Across the end of an epoch. */
  hop(
    at: number,
    o: {
      readonly seeds?: readonly number[];
      readonly shown?: CoSigners;
      readonly block?: CertifiedBlock;
    } = {},
  ): CoSignedHop {
    const coSigners = o.shown ?? this.coSigners(at + 1);
    const tree = this.tree(coSigners);
    const key = stateKeyHash(CO_SIGNERS_KEY);
    const successors = { record: encodeCoSigners(coSigners), proof: tree.prove(key) };
    const checkpoint = this.checkpoint(o.block ?? (this.closing[at] as CertifiedBlock), {
      after: coSigners,
      ...(o.seeds && { seeds: o.seeds }),
    });
    return { ...checkpoint, successors, coSigners };
  }

  trustAt(at: number): CoSignedTrust {
    if (at === 0) return this.start;
    const { header, stateRoot } = this.hop(at - 1);
    const { height, time } = header;
    return {
      chain: this.chain,
      coSigners: this.coSigners(at),
      last: { height, time, hash: headerHash(header), stateRoot },
      ended: false,
    };
  }
}
