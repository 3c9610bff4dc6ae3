/** The first document of a chain; its hash is the chain's identity and every signature covers it (spec STATE-1). */
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import { compareBytes, equalBytes, toHex } from '../bytes/hex.ts';
import type { Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, hashTagged, ZERO_HASH, type Hash } from '../crypto/hash.ts';
import type { Address } from './address.ts';
import { amount, millis, SUPPLY, type Amount, type Millis } from './ids.ts';
import { LIMITS } from './limits.ts';
import { readAddress, readHash } from './fields.ts';
import { readValidatorSet, writeValidatorSet, type ValidatorSet } from './validators.ts';

export interface Genesis {
  readonly name: string;
  readonly time: Millis;
  readonly validators: ValidatorSet;
  /** Balances, bonds and reserve add up to SUPPLY. Sorted by address. */
  readonly accounts: readonly { readonly address: Address; readonly balance: Amount }[];
  /** Each id once. */
  readonly subnets: readonly GenesisSubnet[];
  /** Price of one byte of a transaction, in base units; 0 makes the chain free of fees. */
  readonly feePerByte: Amount;
  /** Base units each validator of this document has bonded. Bonds and reserve are part of the supply. */
  readonly validatorBond: Amount;
  /** Bond that one unit of weight needs, and the least bond; `validatorBond` carries the weight of each validator here. */
  readonly bondPerWeight: Amount;
  /** Pays `rewardPerCheckpoint` to the validators while it lasts. */
  readonly reserve: Amount;
  readonly rewardPerCheckpoint: Amount;
  /** Deposit for one byte of a record, in base units, as long as the record is there. */
  readonly depositPerByte: Amount;
  /** What it costs to pay to an account that has no record. */
  readonly accountPrice: Amount;
  /** Of every 10 000 base units of fees paid out, those that burn. */
  readonly burnShare: number;
  /** Co-signing keys by validator, see `CoSigner.key`; left out where nobody has one. */
  readonly coSigners?: readonly Address[];
}

export interface GenesisSubnet {
  readonly id: Hash;
  readonly name: string;
  readonly members: ValidatorSet;
  readonly powBits: number;
}

export function encodeGenesis(genesis: Genesis): Uint8Array {
  const writer = new Writer(1024);
  writer.text(genesis.name).u53(genesis.time);
  writeValidatorSet(writer, genesis.validators);
  writer.list(genesis.accounts, (w, account) => w.fixed(account.address, HASH_BYTES).u64(account.balance));
  writer.list(genesis.subnets, (w, subnet) => {
    w.fixed(subnet.id, HASH_BYTES).text(subnet.name);
    writeValidatorSet(w, subnet.members);
    w.u8(subnet.powBits);
  });
  writer
    .u64(genesis.feePerByte)
    .u64(genesis.validatorBond)
    .u64(genesis.bondPerWeight)
    .u64(genesis.reserve)
    .u64(genesis.rewardPerCheckpoint)
    .u64(genesis.depositPerByte)
    .u64(genesis.accountPrice)
    .u16(genesis.burnShare);
  // A document of a chain without co-signatures is the one it always was.
  if (genesis.coSigners !== undefined) writer.list(genesis.coSigners, (w, key) => w.fixed(key, HASH_BYTES));
  return writer.finish();
}

export function readGenesis(reader: Reader): Genesis {
  const genesis: Genesis = {
    name: reader.text(LIMITS.textBytesMax),
    time: millis(reader.u53()),
    validators: readValidatorSet(reader),
    accounts: reader.list(LIMITS.genesisAccountsMax, (r) => ({
      address: readAddress(r),
      balance: amount(r.u64()),
    })),
    subnets: reader.list(LIMITS.genesisSubnetsMax, (r) => ({
      id: readHash(r),
      name: r.text(LIMITS.textBytesMax),
      members: readValidatorSet(r),
      powBits: r.u8(),
    })),
    feePerByte: amount(reader.u64()),
    validatorBond: amount(reader.u64()),
    bondPerWeight: amount(reader.u64()),
    reserve: amount(reader.u64()),
    rewardPerCheckpoint: amount(reader.u64()),
    depositPerByte: amount(reader.u64()),
    accountPrice: amount(reader.u64()),
    burnShare: reader.u16(),
    ...(reader.remaining > 0 && { coSigners: reader.list(LIMITS.validatorsMax, readAddress) }),
  };
  const { coSigners } = genesis;
  if (coSigners !== undefined && coSigners.length !== genesis.validators.length)
    reader.refuse('decode.out-of-range', 'expected a co-signing key, or none, for each validator');
  if (coSigners?.every((key) => equalBytes(key, ZERO_HASH)) === true)
    reader.refuse('decode.not-canonical', 'where nobody has a co-signing key there is no list');
  for (const [i, account] of genesis.accounts.entries()) {
    const previous = genesis.accounts[i - 1];
    if (previous !== undefined && compareBytes(previous.address, account.address) >= 0) {
      reader.refuse('decode.not-canonical', 'expected accounts in ascending order, each once');
    }
  }
  if (genesis.burnShare > LIMITS.burnShareMax)
    reader.refuse('decode.out-of-range', `expected a burnShare up to ${LIMITS.burnShareMax}`);
  const ids = new Set<string>();
  for (const subnet of genesis.subnets) {
    ids.add(toHex(subnet.id));
    if (subnet.members.length > LIMITS.subnetMembersMax || subnet.powBits > LIMITS.powBitsMax) {
      reader.refuse('decode.out-of-range', `expected subnet ${subnet.name} within the limits of subnets`);
    }
  }
  if (ids.size !== genesis.subnets.length) reader.refuse('decode.not-canonical', 'a subnet is there twice');
  // Otherwise the first election would take weight away from those the document chose.
  for (const { weight } of genesis.validators) {
    if (BigInt(weight) * genesis.bondPerWeight > genesis.validatorBond)
      reader.refuse('decode.out-of-range', `expected a validatorBond that carries weight ${weight}`);
  }
  const total = genesis.accounts.reduce(
    (sum, account) => sum + account.balance,
    genesis.reserve + genesis.validatorBond * BigInt(genesis.validators.length),
  );
  if (total !== SUPPLY)
    reader.refuse(
      'decode.out-of-range',
      `expected balances, bonds and reserve that add up to ${SUPPLY}, got ${total}`,
    );
  return genesis;
}

export function decodeGenesis(bytes: Uint8Array): Result<Genesis, DecodeCode> {
  return decode(readGenesis, bytes);
}

/** The chain id. */
export function genesisHash(genesis: Genesis): Hash {
  return hashTagged('genesis', encodeGenesis(genesis));
}
