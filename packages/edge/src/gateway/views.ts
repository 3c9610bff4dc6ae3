/** What the gateway shows to the HTTP API: plain values, addresses in bech32m, hashes in hex, times in milliseconds. */
import type { Address } from '@itc/core/ledger/address.js';
import type { SignedWord } from './rental-words.ts';
import type { Action, Refusal } from '@itc/core/ledger/command.js';
import type { ContentType } from '@itc/core/ledger/payload.js';
import type { Stage } from '../3-cyber/vault/status.ts';

export interface LampState {
  readonly on: boolean;
  /** 0 to 254. */
  readonly level: number;
  /** Colour temperature, of a lamp that has one. */
  readonly kelvin?: number;
}

export type ShownValue = number | string | boolean;

export interface LatestValue {
  readonly name: string;
  readonly unit?: string;
  /** Binary values as base64url. */
  readonly value: ShownValue;
  readonly time: number;
}

export interface DeviceView {
  readonly address: string;
  readonly name?: string;
  readonly kind?: string;
  readonly owner?: string;
  readonly registered: boolean;
  /** True for devices whose readings the gateway signs. */
  readonly attested?: boolean;
  readonly online: boolean;
  readonly lastSeen?: number;
  readonly state?: LampState;
  readonly latest: readonly LatestValue[];
}

export interface ReadingView extends LatestValue {
  /** `payload:index`. */
  readonly id: string;
  readonly payload: string;
  readonly index: number;
  readonly device: string;
  readonly status: Stage;
  /** It came in a batch: the payload holds its root (DEVICE-3). */
  readonly batch?: true;
}

export interface SeriesView {
  readonly name: string;
  readonly unit?: string;
  readonly times: readonly number[];
  readonly values: readonly number[];
}

export interface PayloadView {
  readonly id: string;
  readonly device: string;
  readonly signer: string;
  readonly attested: boolean;
  readonly sequence: number;
  readonly contentType: ContentType;
  readonly receivedAt: number;
  readonly status: Stage;
  readonly envelope?: string;
  readonly checkpoint?: number;
  readonly height?: number;
  readonly finalAt?: number;
  readonly readings: number;
}

export interface CommandView {
  readonly id: string;
  readonly device: string;
  readonly signer: string;
  readonly action: Action;
  readonly stages: {
    readonly sent?: number;
    readonly acknowledged?: number;
    readonly inDag?: number;
    readonly final?: number;
  };
  readonly outcome?: { readonly kind: 'done' } | { readonly kind: 'refused'; readonly reason: Refusal };
  readonly state?: LampState;
  /** Why there is no outcome yet, or never will be. */
  readonly waiting?: string;
  readonly height?: number;
}

export interface StatusesView {
  readonly statuses: Readonly<Record<string, Stage | 'unknown'>>;
  readonly final: Readonly<Record<string, { height: number; time: number; finalAt: number }>>;
}

export type GatewayEvent =
  | { readonly kind: 'reading'; readonly reading: ReadingView }
  | { readonly kind: 'command'; readonly command: CommandView }
  | { readonly kind: 'device'; readonly device: DeviceView }
  /** For the chain: the device of this gateway said what became of its rental. */
  | { readonly kind: 'rental-word'; readonly device: Address; readonly word: SignedWord };
