/** Events of firmware (spec STATE-23). */
import type { Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import type { Version } from '../ledger/firmware.ts';
import type { Millis } from '../ledger/ids.ts';

interface Line {
  readonly channel: Hash;
  readonly maker: Address;
  readonly model: Hash;
}

export type FirmwareEventBody =
  | ({
      readonly kind: 'channel-created' | 'channel-rotated';
      readonly board: string;
      readonly version: number;
      readonly expiresAt: Millis;
    } & Line)
  | ({
      readonly kind: 'firmware-released';
      readonly number: number;
      readonly version: Version;
      /** With the signatures it came with. */
      readonly approved: boolean;
    } & Line)
  | ({
      readonly kind: 'release-approved';
      readonly number: number;
      /** Keys that have signed so far. */
      readonly approvals: number;
      readonly approved: boolean;
    } & Line)
  | ({
      readonly kind: 'rollout-changed';
      readonly number: number;
      readonly share: number;
      readonly halted: boolean;
    } & Line)
  | ({
      readonly kind: 'installs-reported';
      readonly number: number;
      readonly subnet: Hash;
      readonly member: Address;
      readonly count: number;
      readonly failures: number;
      readonly root: Hash;
    } & Line)
  | { readonly kind: 'installs-expired'; readonly channel: Hash; readonly subnet: Hash };
