/** What a subnet's driver is made of: where it stands, with which keys, disks and clocks. */
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Timing } from '@itc/core/dag/effects.js';
import type { CheckpointCertificate } from '@itc/core/ledger/checkpoint.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { KeyPair } from '../crypto/keypair.ts';
import type { VerifyPool } from '../crypto/verify-pool.ts';
import type { Clock, Random, Transport } from '../ports.ts';
import type { WriteAheadLog } from '../storage/write-ahead-log.ts';
import type { Accuser } from './accuser.ts';
import type { Logger } from './logger.ts';
import type { SubnetChain } from './subnet-chain.ts';
import type { SubnetRetention } from './subnet-retention.ts';
import type { SubnetStore } from './subnet-store.ts';

export interface SubnetOptions {
  readonly chain: SubnetChain;
  readonly subnet: Hash;
  readonly members: ValidatorSet;
  readonly powBits: number;
  readonly keys: KeyPair;
  readonly transport: Transport;
  readonly pool: VerifyPool;
  readonly log: WriteAheadLog;
  readonly records: readonly Uint8Array[];
  readonly store: SubnetStore;
  /** Share of others' payloads whose device signature is checked here, 1 for all; see `Auditor` for the rest of the rule. */
  readonly auditShare?: number;
  readonly retention: SubnetRetention;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly timing?: Partial<Timing>;
  /** Bytes of the log at which it is replaced by a snapshot. Default 32 MiB. */
  readonly logBytesMax?: number;
  /** Checkpoints behind at which a snapshot is taken over in any case. Default 512. */
  readonly behindMax?: number;
  /** Brings what other members have signed against the rules before the main chain; without it nobody here does. */
  readonly accuser?: Pick<Accuser, 'bring'>;
  /** Brings a full certificate to the validators. */
  readonly submit: (certificate: CheckpointCertificate) => void;
}
