/** What happened, for explorers, dashboards, gateways and their indexes. Derived from the block: nothing here is hashed. */
import type { Hash } from '../crypto/hash.ts';
import type { PublicKey } from '../crypto/signature.ts';
import type { KeySet } from '../ledger/account-keys.ts';
import type { Address } from '../ledger/address.ts';
import type { Guardianship } from '../ledger/bodies/keys.ts';
import type { StatementKind } from '../ledger/evidence.ts';
import type { Amount, Epoch, Height, Millis } from '../ledger/ids.ts';
import type { TransferOutput } from '../ledger/bodies/transfer.ts';
import type { ValidatorSet } from '../ledger/validators.ts';
import type { TokenEventBody } from './events-token.ts';
import type { AccessEventBody, DeviceLifeEventBody } from './events-device.ts';
import type { MembershipEventBody } from './events-membership.ts';
import type { FirmwareEventBody } from './events-firmware.ts';
import type { RentalEventBody } from './events-rental.ts';

/** One per accepted transaction; a refused one has its receipt only. What the end of a block brings comes behind them. */
export type LedgerEvent = LedgerEventBody & {
  /** Absent when there are none. */
  readonly moves?: readonly Move[];
  readonly height: Height;
  /** Time of the block. */
  readonly at: Millis;
  /** Absent for what no single transaction brought about. */
  readonly transaction: Hash | undefined;
  /** Position in the block; behind the last transaction for what the end of the block brought. */
  readonly index: number;
};

/**
 * What came to a balance or left it, beside the fee. Transfers, rewards and returned bonds say it in fields of their own, so they have
 * none of these: there are very many of them.
 */
export interface Move {
  readonly kind: 'paid' | 'received' | 'deposit-held' | 'deposit-returned' | 'account-opened';
  /** Whose money: a sponsor's where one pays. */
  readonly account: Address;
  /** Out of this budget, or back into it, rather than the balance of the account. */
  readonly sponsorship?: Hash;
  readonly amount: Amount;
}

/** As the end of a block gives it. */
export type EndEvent = LedgerEventBody & Pick<LedgerEvent, 'moves'>;

export type LedgerEventBody =
  | { readonly kind: 'transferred'; readonly from: Address; readonly to: Address; readonly amount: Amount }
  | { readonly kind: 'distributed'; readonly from: Address; readonly outputs: readonly TransferOutput[] }
  | { readonly kind: 'maker-registered'; readonly maker: Address; readonly name: string }
  | {
      readonly kind: 'batch-registered';
      readonly batch: Hash;
      readonly maker: Address;
      readonly count: number;
      readonly model: Hash;
      readonly depositPerDevice: Amount;
    }
  | {
      readonly kind: 'device-claimed';
      readonly device: Address;
      readonly owner: Address;
      readonly batch: Hash;
      readonly model: Hash;
      /** The built-in ITC that went to the device's account. */
      readonly deposit: Amount;
    }
  | {
      readonly kind: 'subnet-created';
      readonly subnet: Hash;
      readonly creator: Address;
      readonly name: string;
      readonly members: number;
    }
  | {
      readonly kind: 'checkpoint-committed';
      readonly subnet: Hash;
      readonly sequence: number;
      /** Of the checkpoint: the `previous` of the next one. */
      readonly hash: Hash;
      readonly appliedRoot: Hash;
      readonly envelopeCount: number;
      readonly payloadCount: number;
      readonly powBits: number;
      /** Greatest envelope time. */
      readonly time: Millis;
      /** Stake that signed, and stake of all members. */
      readonly weight: number;
      readonly total: number;
      /** Number of the last deposit credited inside; 0 before the first. */
      readonly deposits: number;
      /** How many withdrawals it lets out, and their sum. */
      readonly withdrawalCount: number;
      readonly withdrawn: Amount;
    }
  | {
      readonly kind: 'deposited';
      readonly subnet: Hash;
      readonly number: number;
      readonly from: Address;
      /** Inside the subnet. */
      readonly to: Address;
      readonly amount: Amount;
    }
  | {
      readonly kind: 'withdrawn';
      readonly subnet: Hash;
      /** Sequence of the checkpoint that let it out. */
      readonly checkpoint: number;
      readonly number: number;
      readonly to: Address;
      readonly amount: Amount;
    }
  | DeviceLifeEventBody
  | AccessEventBody
  | KeysEventBody
  | RentalEventBody
  | FirmwareEventBody
  | MembershipEventBody
  | TokenEventBody
  | ValidatorEventBody;

type KeysEventBody =
  | { readonly kind: 'keys-rotated'; readonly account: Address; readonly keys: KeySet }
  | ({ readonly kind: 'guardians-set'; readonly account: Address } & Guardianship)
  | {
      readonly kind: 'recovery-proposed';
      readonly account: Address;
      readonly guardian: Address;
      readonly keys: KeySet;
      /** Guardians who want these keys, and how many must. */
      readonly support: number;
      readonly threshold: number;
      /** Once they agree: from when on it may be finished. */
      readonly readyAt: Millis | undefined;
    }
  | {
      readonly kind: 'recovery-vetoed';
      readonly account: Address;
      readonly by: Address;
      /** Or one vote against it, which was not enough. */
      readonly isOver: boolean;
    }
  | { readonly kind: 'recovered'; readonly account: Address; readonly keys: KeySet };

type ValidatorEventBody =
  | {
      readonly kind: 'validator-bonded';
      readonly validator: Address;
      readonly key: PublicKey;
      readonly amount: Amount;
      /** All of it now. */
      readonly bond: Amount;
    }
  | {
      readonly kind: 'validator-unbonding';
      readonly validator: Address;
      readonly amount: Amount;
      /** What stays. */
      readonly bond: Amount;
      readonly releaseAt: Height;
    }
  | {
      /** `weight-granted`: with this vote the quorum was reached. */
      readonly kind: 'weight-voted' | 'weight-granted';
      readonly validator: Address;
      readonly voter: Address;
      readonly weight: number;
      /** Weight that wants this, and weight of the epoch. */
      readonly support: number;
      readonly total: number;
    }
  | {
      readonly kind: 'validator-jailed';
      readonly validator: Address;
      readonly key: PublicKey;
      readonly statement: StatementKind;
      readonly burned: Amount;
    }
  /** In force from the next epoch on. */
  | { readonly kind: 'co-signing-key-registered'; readonly validator: Address; readonly key: Address }
  /** With the bond. */
  | { readonly kind: 'co-signing-key-dropped'; readonly validator: Address }
  | { readonly kind: 'restart-asked'; readonly validator: Address }
  | {
      readonly kind: 'epoch-elected';
      /** The one to come. */
      readonly epoch: Epoch;
      /** Last height of the one that is. */
      readonly closes: Height;
      readonly validators: ValidatorSet;
    }
  | {
      readonly kind: 'epoch-promoted';
      readonly epoch: Epoch;
      /** Its first height: the one above this block. */
      readonly since: Height;
      readonly validators: ValidatorSet;
    }
  | {
      readonly kind: 'rewards-paid';
      /** What had been collected, and what the reserve added. */
      readonly fees: Amount;
      readonly burned: Amount;
      readonly reward: Amount;
      readonly shares: readonly { readonly validator: Address; readonly amount: Amount }[];
    }
  | { readonly kind: 'bond-released'; readonly validator: Address; readonly amount: Amount };

export type LedgerEventKind = LedgerEvent['kind'];
