/**
 * The documents of the HTTP API as the dashboard reads them. Hashes and ids are 64 hex digits, addresses
 * `itc1…`, amounts decimal strings of base units, times milliseconds since 1970 of the answering node.
 */
export interface Peer {
  readonly name?: string;
  readonly address: string;
  readonly role: string;
  readonly connected: boolean;
  readonly rttMs?: number;
  readonly reason?: string;
}

export interface ValidatorState {
  readonly index: number;
  readonly address: string;
  readonly name?: string;
  readonly weight: number;
  readonly connected: boolean;
  readonly primary: boolean;
}

export interface Quorum {
  readonly total: number;
  /** Weight that must be connected for blocks to be certified. */
  readonly strong: number;
  readonly connected: number;
  readonly reason?: string;
}

export interface SubnetMember {
  readonly index: number;
  readonly address: string;
  readonly name?: string;
  readonly weight: number;
  readonly connected: boolean;
}

export interface SubnetState {
  readonly id: string;
  readonly name: string;
  /** Sequence of the last checkpoint. */
  readonly checkpoint: number;
  readonly checkpointTime?: number;
  /** All that are final. */
  readonly payloads: number;
  readonly members: readonly SubnetMember[];
  /**
   * Only where the answering node takes part in the subnet: payloads that wait for an envelope, and envelopes
   * that wait for a checkpoint.
   */
  readonly pending?: { readonly payloads: number; readonly envelopes: number };
  readonly tips?: number;
  readonly powBits: number;
  readonly reason?: string;
}

export interface Process {
  readonly name: string;
  readonly role: string;
  readonly pid?: number;
  readonly state: 'running' | 'stopped' | 'exited';
  readonly restarts: number;
  readonly reason?: string;
  readonly url?: string;
}

export interface Status {
  readonly ready: boolean;
  readonly reason?: string;
  readonly chain: string;
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
  /** Time of the newest block. */
  readonly blockTime?: number;
  readonly blocksPerMinute: number;
  readonly transactions: number;
  readonly peers: readonly Peer[];
  readonly validators: readonly ValidatorState[];
  readonly quorum: Quorum;
  readonly subnets: readonly SubnetState[];
  /** Only where a devnet front answers. */
  readonly processes?: readonly Process[];
}

export interface BlockSummary {
  readonly height: number;
  readonly hash: string;
  readonly time: number;
  readonly transactions: number;
  readonly proposer?: string;
  readonly view: number;
  /** Validator indices in the certificate. */
  readonly signers: readonly number[];
  readonly bytes: number;
}

export interface BlockItem {
  readonly id: string;
  readonly kind: string;
  readonly sender: string;
  readonly fee: string;
  readonly ok: boolean;
  readonly code?: string;
  readonly message?: string;
}

export interface Block extends BlockSummary {
  readonly header: Readonly<Record<string, unknown>>;
  readonly certificate: {
    readonly view: number;
    readonly signers: readonly number[];
    readonly signatures: readonly string[];
  };
  readonly items: readonly BlockItem[];
}

export interface TransactionState {
  readonly id: string;
  readonly status: 'pending' | 'final' | 'unknown';
  readonly kind?: string;
  readonly sender?: string;
  readonly height?: number;
  readonly index?: number;
  readonly receipt?: {
    readonly ok: boolean;
    readonly code?: string;
    readonly message?: string;
    readonly fee: string;
  };
}

export interface Account {
  readonly address: string;
  readonly balance: string;
  readonly nonces: Readonly<Record<string, number>>;
}

export interface LampState {
  readonly on: boolean;
  /** 0 to 254. */
  readonly level: number;
}

export interface Latest {
  readonly name: string;
  readonly unit?: string;
  readonly value: number | boolean | string;
  readonly time: number;
}

export interface Grant {
  readonly subject: string;
  /** Of `onOff`, `level`, `colour`, `read`. */
  readonly actions: readonly string[];
  readonly levelMax: number;
  readonly notBefore: number;
  readonly expiresAt: number;
}

export interface Device {
  readonly address: string;
  readonly name?: string;
  readonly kind?: string;
  readonly owner?: string;
  readonly registered: boolean;
  readonly attested?: boolean;
  readonly online: boolean;
  readonly lastSeen?: number;
  readonly state?: LampState;
  readonly latest: readonly Latest[];
}

export interface DeviceDetail extends Device {
  readonly batch?: string;
  readonly model?: string;
  /** Name of the maker of the batch. */
  readonly maker?: string;
  /** Time of the block that took the claim. */
  readonly claimedAt?: number;
  readonly grants: readonly Grant[];
}

export type PayloadStatus = 'unknown' | 'received' | 'in-dag' | 'accepted' | 'final';

export interface Reading {
  readonly id: string;
  readonly payload: string;
  readonly index: number;
  readonly device: string;
  readonly name: string;
  readonly unit?: string;
  readonly value: number | boolean | string;
  readonly time: number;
  readonly status: PayloadStatus;
}

export interface Series {
  readonly name: string;
  readonly unit?: string;
  readonly times: readonly number[];
  readonly values: readonly number[];
}

export interface PayloadState {
  readonly id: string;
  readonly device: string;
  readonly signer: string;
  readonly attested: boolean;
  readonly sequence: number;
  readonly contentType: string;
  readonly receivedAt: number;
  readonly status: PayloadStatus;
  readonly envelope?: string;
  readonly checkpoint?: number;
  readonly height?: number;
  readonly finalAt?: number;
  readonly readings: number;
}

export interface CommandStages {
  /** When the gateway handed it to the lamp; absent while the lamp is away. */
  readonly sent?: number;
  readonly acknowledged?: number;
  readonly inDag?: number;
  readonly final?: number;
}

export type LampAction =
  | { readonly kind: 'on' }
  | { readonly kind: 'off' }
  | { readonly kind: 'level'; readonly level: number };

export interface CommandState {
  readonly id: string;
  readonly device: string;
  readonly signer: string;
  readonly action: { readonly kind: string; readonly level?: number };
  readonly stages: CommandStages;
  readonly outcome?: { readonly kind: 'done' } | { readonly kind: 'refused'; readonly reason: string };
  readonly state?: LampState;
  /** Why nothing happens yet, in the node's words. */
  readonly waiting?: string;
  readonly height?: number;
}

export type VertexState = 'pending' | 'accepted' | 'final';

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
  readonly state: VertexState;
}

export interface Checkpoint {
  readonly sequence: number;
  readonly hash: string;
  readonly time: number;
  readonly envelopes: number;
  readonly payloads: number;
  readonly height?: number;
  readonly signers?: readonly number[];
}

export interface Pairing {
  readonly owner: string;
  readonly granted: readonly string[];
}

/** What the event stream brings, decoded. */
export type LiveEvent =
  | { readonly kind: 'block'; readonly block: BlockSummary }
  | { readonly kind: 'envelope'; readonly subnet: string; readonly vertex: Vertex }
  | { readonly kind: 'weight'; readonly subnet: string; readonly accepted: readonly string[] }
  | {
      readonly kind: 'checkpoint';
      readonly subnet: string;
      readonly sequence: number;
      readonly final: readonly string[];
      readonly checkpoint: Partial<Checkpoint>;
    }
  | { readonly kind: 'reading'; readonly reading: Reading }
  | { readonly kind: 'command'; readonly command: CommandState }
  | { readonly kind: 'device'; readonly device: Device }
  | { readonly kind: 'status'; readonly status: Partial<Status> };
