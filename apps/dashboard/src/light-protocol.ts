/** What the page asks the worker that verifies, and what it answers: plain texts and numbers, so that the page needs no code of the ledger. */

export type LightQuestion =
  /** A device's record, and its grants to these subjects; addresses. */
  | { readonly kind: 'device'; readonly device: string; readonly subjects: readonly string[] }
  /** A payload with its readings; hex id. */
  | { readonly kind: 'payload'; readonly payload: string }
  /** The newest header of this node and of others, over one nonce; their origins. */
  | { readonly kind: 'compare'; readonly others: readonly string[] }
  /** Forget what is trusted and begin with the genesis this node shows. */
  | { readonly kind: 'trust-anew' };

/** Under which certified header something was proved. */
export interface ProofLine {
  readonly height: number;
  readonly time: number;
  /** Places of the validators that signed. */
  readonly signers: readonly number[];
  readonly weight: number;
  readonly total: number;
}

/** What the page shows of a grant. */
export interface GrantTerms {
  readonly actions: readonly string[];
  readonly levelMax: number;
  readonly notBefore: number;
  readonly expiresAt: number;
}

export interface ProvedDevice {
  readonly kind: 'device';
  readonly proof: ProofLine;
  /** Absent: nobody owns it, provably. */
  readonly record?: {
    readonly owner: string;
    readonly batch: string;
    readonly model: string;
    readonly claimedAt: number;
  };
  readonly grants: readonly {
    readonly subject: string;
    /** Absent: there is none, provably. */
    readonly terms?: GrantTerms;
  }[];
}

export interface ProvedPayload {
  readonly kind: 'payload';
  readonly proof: ProofLine;
  readonly device: string;
  readonly signer: string;
  readonly attested: boolean;
  readonly sequence: number;
  readonly contentType: string;
  readonly readings: readonly {
    readonly name: string;
    readonly unit?: string;
    readonly value: number | string | boolean;
    /** Absent where the device told it relative to when the gateway heard it: nobody else can know. */
    readonly time?: number;
  }[];
}

/** What one gateway showed beside the others. */
export type ComparedGateway =
  | { readonly kind: 'agrees'; readonly gateway: string; readonly isFresh: boolean }
  | { readonly kind: 'behind'; readonly gateway: string; readonly blocks: number }
  | { readonly kind: 'failed'; readonly gateway: string; readonly code: string; readonly message: string };

export interface ComparedGateways {
  readonly kind: 'compared';
  readonly proof: ProofLine;
  readonly gateways: readonly ComparedGateway[];
}

/** Gateways showed headers that cannot both be of one chain. */
export interface GatewayConflict {
  readonly kind: 'contradicted';
  readonly height: number;
  /** Consensus keys of those who signed both in one view, hex. */
  readonly convicted: readonly string[];
  /** Gateways that took the evidence. */
  readonly reported: readonly string[];
}

export interface Unproved {
  readonly kind: 'failed';
  /** Of `LightFault`, or `internal`. */
  readonly code: string;
  readonly message: string;
  /** The step that did not hold. */
  readonly check?: string;
  /** Genesis hash this browser trusts, and the one the node shows, when that is the matter. */
  readonly chains?: { readonly trusted: string; readonly shown: string };
  /** What was proved before. */
  readonly last?: ProvedDevice | ProvedPayload;
}

export type LightReply =
  | ProvedDevice
  | ProvedPayload
  | ComparedGateways
  | GatewayConflict
  | Unproved
  | { readonly kind: 'done' };

export interface ToWorker {
  readonly id: number;
  readonly question: LightQuestion;
}

export interface FromWorker {
  readonly id: number;
  readonly reply: LightReply;
}

/** Besides this node. */
export const OTHERS_MAX = 7;

/** As many grants as fit one request beside the device's record. */
export const SUBJECTS_MAX = 15;
