/** What the HTTP API answers. Hashes and ids are hex, addresses `itc1…`, amounts decimal texts, times ms since 1970. */
import type { BodyKind } from '@itc/core/ledger/body.js';
import type { ParameterName } from '@itc/core/ledger/bodies/parameters.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import type { Amount } from '@itc/core/ledger/ids.js';
import type { Refusal } from '@itc/core/ledger/command.js';

export interface NodeStatus {
  readonly ready: boolean;
  /** Why not, in words. Every part below has one of its own. */
  readonly reason?: string;
  readonly chain: string;
  /** From the genesis document. */
  readonly chainName?: string;
  /** Of the answering node. */
  readonly name: string;
  readonly version: string;
  readonly role: string;
  readonly address: string;
  readonly time: number;
  readonly height: number;
  readonly finalisedHeight: number;
  readonly view: number;
  readonly epoch: number;
  /** Of a process configured as a validator: its place in the epoch. */
  readonly seat?: {
    readonly role: 'validator' | 'leaving' | 'joining' | 'observer';
    readonly reason?: string;
  };
  readonly blockTime: number;
  readonly blocksPerMinute: number;
  readonly transactions: number;
  readonly peers: readonly PeerStatus[];
  readonly validators: readonly ValidatorStatus[];
  readonly quorum: {
    readonly total: number;
    readonly strong: number;
    readonly connected: number;
    readonly reason?: string;
  };
  readonly subnets: readonly SubnetStatus[];
  /** What is not as it should be with the answering node, serious things first. */
  readonly concerns?: readonly Concern[];
  /** Of the devnet's front only. */
  readonly processes?: readonly ProcessStatus[];
}

export interface Concern {
  /** The same for the same thing. */
  readonly code: string;
  /** `chain`, `disk`, `peers`, `gateway`, or `subnet NAME`. */
  readonly part: string;
  /** In a sentence, and what to do about it. */
  readonly what: string;
  readonly todo: string;
  readonly since: number;
  /** The process does not do its work because of it. */
  readonly serious: boolean;
}

export interface PeerStatus {
  readonly name?: string;
  readonly address: string;
  readonly role: string;
  readonly connected: boolean;
  readonly rttMs?: number;
  readonly reason?: string;
}

export interface ValidatorStatus {
  readonly index: number;
  readonly address: string;
  readonly name?: string;
  readonly weight: number;
  readonly connected: boolean;
  readonly primary: boolean;
  /** Proposes the next block. */
  readonly proposer?: boolean;
  /** Gets no turn to propose for some time. */
  readonly skipped?: boolean;
}

/** One place in a set of validators; its index is that of certificates. */
export interface Seat {
  /** Consensus key. */
  readonly key: string;
  readonly address: string;
  readonly weight: number;
}

export interface EpochSummary {
  readonly epoch: number;
  /** First height. */
  readonly since: number;
  /** Last height; absent while it goes on. */
  readonly closes?: number;
  readonly total: number;
  /** Weight that certifies. */
  readonly strong: number;
  readonly validators: readonly Seat[];
}

/** An account that has bonded a consensus key. */
export interface BondedValidator {
  readonly address: string;
  readonly key: string;
  readonly name?: string;
  readonly connected: boolean;
  readonly state: 'active' | 'joining' | 'leaving' | 'candidate' | 'jailed';
  /** In the present epoch. */
  readonly weight: number;
  /** What votes and bond allow: elections move towards it. */
  readonly target: number;
  readonly granted: number;
  readonly bond: string;
  readonly unbonding: readonly { readonly amount: string; readonly releaseAt: number }[];
  /** That have not reached a quorum. */
  readonly votes: readonly { readonly voter: string; readonly weight: number; readonly castAt: number }[];
  readonly jailed: boolean;
  readonly restartAt?: number;
  /** Registered for co-signatures. */
  readonly coSigning?: { readonly key: string; readonly since: number; readonly isInForce: boolean };
}

export interface ValidatorsAnswer {
  readonly height: number;
  readonly epoch: number;
  readonly since: number;
  readonly total: number;
  readonly strong: number;
  /** Base units of bond that carry one unit of weight. */
  readonly bondPerWeight: string;
  /** Epochs end at multiples of this height. */
  readonly checkpointInterval: number;
  /** The epoch ends at the next such height. */
  readonly changeDue: boolean;
  /** Elected, and not in office yet. */
  readonly next?: {
    readonly epoch: number;
    readonly closes: number;
    readonly validators: readonly Seat[];
  };
  readonly validators: readonly BondedValidator[];
}

export interface SubnetStatus {
  readonly id: string;
  readonly name: string;
  readonly checkpoint: number;
  readonly checkpointTime: number;
  readonly payloads: number;
  readonly members: readonly {
    readonly index: number;
    readonly address: string;
    readonly name?: string;
    readonly weight: number;
    readonly connected: boolean;
  }[];
  readonly pending?: { readonly payloads: number; readonly envelopes: number };
  readonly tips?: number;
  readonly powBits: number;
  readonly reason?: string;
}

export interface ProcessStatus {
  readonly name: string;
  readonly role: string;
  readonly pid?: number;
  readonly state: 'running' | 'stopped' | 'exited';
  /** When it came into this state. */
  readonly since?: number;
  readonly restarts: number;
  readonly reason?: string;
  readonly url?: string;
}

export interface GenesisAnswer {
  readonly hash: string;
  /** The canonical document; its hash is the chain. */
  readonly bytes: string;
}

export interface BlockSummary {
  readonly height: number;
  readonly hash: string;
  readonly time: number;
  readonly transactions: number;
  readonly proposer?: string;
  readonly view: number;
  readonly signers: readonly number[];
  readonly bytes: number;
}

export interface BlockDetail extends BlockSummary {
  readonly header: {
    readonly flags: number;
    readonly epoch: number;
    readonly parentHash: string;
    readonly txRoot: string;
    readonly stateRoot: string;
    readonly historyRoot: string;
    readonly validatorsHash: string;
    readonly nextValidatorsHash: string;
  };
  readonly certificate: {
    readonly view: number;
    readonly signers: readonly number[];
    readonly signatures: readonly string[];
  };
  readonly items: readonly {
    readonly id: string;
    readonly kind: string;
    readonly sender: string;
    readonly fee: string;
    readonly ok: boolean;
    readonly code?: ErrorCode;
    readonly message?: string;
  }[];
}

export interface TransactionStatus {
  readonly id: string;
  readonly status: 'pending' | 'final' | 'unknown';
  readonly kind?: string;
  readonly sender?: string;
  readonly height?: number;
  readonly index?: number;
  readonly receipt?: {
    readonly ok: boolean;
    readonly code?: ErrorCode;
    readonly message?: string;
    readonly fee: string;
  };
  /** base64url of the inclusion proof, when it was asked for and the transaction is final. */
  readonly proof?: string;
}

export interface AccountStatus {
  readonly address: string;
  readonly balance: string;
  /** Next nonce per lane; a lane that is absent is at 0. */
  readonly nonces: Readonly<Record<string, number>>;
}

export interface ParametersAnswer {
  readonly height: number;
  readonly values: Readonly<Record<ParameterName, string>>;
  readonly votes: readonly ParameterVotesStatus[];
}

/** In base units; `burnShare` in parts of 10 000. */
export interface ParametersInForce {
  readonly feePerByte: Amount;
  readonly rewardPerCheckpoint: Amount;
  readonly depositPerByte: Amount;
  readonly accountPrice: Amount;
  readonly burnShare: number;
  readonly votes: readonly ParameterVotesStatus[];
}

export interface ParameterVotesStatus {
  readonly parameter: ParameterName;
  /** In force behind the next checkpoint height. */
  readonly agreed?: string;
  readonly votes: readonly { readonly voter: string; readonly value: string; readonly height: number }[];
}

export interface SponsorshipStatus {
  readonly sponsorship: string;
  readonly sponsor: string;
  readonly name: string;
  readonly kinds: readonly BodyKind[];
  readonly scope: { readonly kind: string; readonly of: readonly string[] };
  readonly perDevicePerDay: string;
  readonly perDay: string;
  readonly expiresAt: number;
  readonly paysState: boolean;
  /** Paid in and not used. */
  readonly balance: string;
  readonly spentToday: string;
  /** What each device used today; each account, where accounts are named. */
  readonly devices: readonly { readonly subject: string; readonly spent: string }[];
}

export interface StreamStatus {
  readonly stream: string;
  readonly payer: string;
  readonly payee: string;
  readonly rate: string;
  readonly period: number;
  readonly funded: string;
  readonly paid: string;
  /** By the time of the newest block. */
  readonly due: string;
  readonly start: number;
  readonly end: number;
  readonly device?: string;
}

export interface DeviceStatus {
  readonly address: string;
  readonly name?: string;
  readonly kind?: string;
  readonly owner?: string;
  readonly registered: boolean;
  readonly attested?: boolean;
  readonly online: boolean;
  readonly lastSeen?: number;
  readonly state?: { readonly on: boolean; readonly level: number; readonly kelvin?: number };
  readonly latest: readonly {
    readonly name: string;
    readonly unit?: string;
    readonly value: number | string | boolean;
    readonly time: number;
  }[];
}

export interface DeviceDetail extends DeviceStatus {
  readonly batch?: string;
  readonly model?: string;
  /** Name of the maker of the batch. */
  readonly maker?: string;
  readonly claimedAt?: number;
  readonly grants: readonly {
    readonly subject: string;
    readonly actions: readonly string[];
    readonly levelMax: number;
    readonly notBefore: number;
    readonly expiresAt: number;
  }[];
}

export type ReadingStage = 'received' | 'in-dag' | 'accepted' | 'final';

export interface Reading {
  /** Payload id, colon, position in the payload. */
  readonly id: string;
  readonly payload: string;
  readonly index: number;
  readonly device: string;
  readonly name: string;
  readonly unit?: string;
  readonly value: number | string | boolean;
  readonly time: number;
  readonly status: ReadingStage;
  /** It came in a batch: the payload holds a root, the readings are beside it. */
  readonly batch?: true;
}

export interface Series {
  readonly name: string;
  readonly unit?: string;
  readonly times: readonly number[];
  readonly values: readonly number[];
}

export interface PayloadStatus {
  readonly id: string;
  readonly device: string;
  readonly signer: string;
  readonly attested: boolean;
  readonly sequence: number;
  readonly contentType: string;
  readonly receivedAt: number;
  readonly status: ReadingStage;
  readonly envelope?: string;
  readonly checkpoint?: number;
  readonly height?: number;
  readonly finalAt?: number;
  readonly readings: number;
}

/** Where a payload stands, as one member of its subnet sees it. */
export interface PayloadLevel {
  readonly payload: string;
  readonly state: 'unknown' | 'waiting' | 'pending' | 'contested' | 'applied' | 'ignored';
  /** 0 seen, 1 more than half of stake and work, 2 two thirds of the stake, 3 final; absent when unknown or without effect. */
  readonly level?: 0 | 1 | 2 | 3;
  /** The level its device asks for; absent when its owner has not said, or it is not known yet whose payload it is. */
  readonly needed?: 0 | 1 | 2 | 3;
  readonly envelope?: string;
  /** Stake that approves its envelope, and all stake. */
  readonly weight?: number;
  readonly total?: number;
  readonly checkpoint?: number;
  readonly height?: number;
  /** Why it was ignored: a code, and a sentence. */
  readonly code?: string;
  readonly reason?: string;
}

export interface SubnetBalance {
  readonly address: string;
  /** In base units. */
  readonly balance: string;
  /** Of the checkpoint. */
  readonly sequence: number;
  /** base64url; `judgeBalance` checks both. */
  readonly checkpoint: string;
  readonly proof: string;
}

/** Withdrawals that wait to be fetched; amounts in base units. */
export interface WaitingWithdrawals {
  readonly address: string;
  readonly withdrawals: readonly {
    readonly checkpoint: number;
    readonly number: number;
    readonly amount: string;
    readonly path: readonly string[];
  }[];
}

export interface SubnetSeat {
  /** Address of the member's key. */
  readonly member: string;
  readonly key: string;
  readonly weight: number;
}

export interface SubnetMembersAnswer {
  readonly subnet: string;
  readonly name: string;
  readonly checkpoint: number;
  readonly members: readonly SubnetSeat[];
  /** Absent where members are fixed. */
  readonly terms?: {
    readonly stakePerWeight: string;
    readonly stakeMin: string;
    readonly delayBlocks: number;
    readonly isByInvitation: boolean;
  };
  readonly stakes: readonly {
    readonly member: string;
    readonly owner: string;
    readonly stake: string;
    readonly leaving: readonly { readonly amount: string; readonly releaseAt: number }[];
    readonly isAdmitted: boolean;
    readonly isPunished: boolean;
    readonly votes: readonly string[];
  }[];
  /** Elected, in force behind checkpoint `turnAfter`. */
  readonly next?: readonly SubnetSeat[];
  readonly turnAfter?: number;
  /** The next turn will have other members. */
  readonly changeDue: boolean;
  /** What the node that answers can show against members who have not been punished for it, in hex: see `accuseMember`. */
  readonly faults: readonly string[];
}

export interface PayloadStatuses {
  readonly statuses: Readonly<Record<string, ReadingStage | 'unknown'>>;
  readonly final: Readonly<
    Record<string, { readonly height: number; readonly time: number; readonly finalAt: number }>
  >;
}

export interface CommandStatus {
  readonly id: string;
  readonly device: string;
  readonly signer: string;
  readonly action: {
    readonly kind: 'on' | 'off' | 'level' | 'colour-temperature' | 'begin' | 'end';
    readonly level?: number;
    readonly kelvin?: number;
  };
  /** When each was reached; one that is absent was not reached yet: `sent` while the device is away. */
  readonly stages: {
    readonly sent?: number;
    readonly acknowledged?: number;
    readonly inDag?: number;
    readonly final?: number;
  };
  readonly outcome?: { readonly kind: 'done' } | { readonly kind: 'refused'; readonly reason: Refusal };
  readonly state?: { readonly on: boolean; readonly level: number; readonly kelvin?: number };
  /** What it waits for, in words. */
  readonly waiting?: string;
  readonly height?: number;
}

export interface Vertex {
  readonly hash: string;
  /** Member index. */
  readonly issuer: number;
  readonly lane: number;
  readonly sequence: number;
  readonly parents: readonly string[];
  readonly time: number;
  readonly payloads: number;
  /** Share of the stake that approves it, 0 to 1. */
  readonly weight: number;
  readonly state: 'pending' | 'accepted' | 'final';
}

export interface CheckpointSummary {
  readonly sequence: number;
  readonly hash: string;
  readonly time: number;
  readonly envelopes: number;
  readonly payloads: number;
  readonly height: number;
}

/** `event` names of `/api/v1/events` and what their data is. */
export interface LiveEvents {
  readonly block: BlockSummary;
  readonly envelope: Vertex & { readonly subnet: string };
  readonly weight: { readonly subnet: string; readonly accepted: readonly string[] };
  readonly checkpoint: {
    readonly subnet: string;
    readonly sequence: number;
    readonly final: readonly string[];
  };
  readonly reading: Reading;
  readonly command: CommandStatus;
  readonly device: DeviceStatus;
  readonly status: Partial<NodeStatus>;
}

export type LiveEvent = {
  readonly [K in keyof LiveEvents]: { readonly id: string; readonly event: K; readonly value: LiveEvents[K] };
}[keyof LiveEvents];
