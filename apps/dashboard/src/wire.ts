export type Peer = Api.PeerStatus;

export type ValidatorState = Api.ValidatorStatus;

export type Quorum = Api.NodeStatus['quorum'];

export type SubnetMember = Api.SubnetStatus['members'][number];

export type SubnetState = Omit<Api.SubnetStatus, 'checkpointTime'> & { readonly checkpointTime?: number };

export type Process = Api.ProcessStatus;

export type Status = Omit<Api.NodeStatus, 'blockTime' | 'subnets'> & {
  readonly blockTime?: number;
  readonly subnets: readonly SubnetState[];
};

export type BlockSummary = Api.BlockSummary;

export type BlockItem = Api.BlockDetail['items'][number];

export type Block = Omit<Api.BlockDetail, 'header'> & { readonly header: Readonly<Record<string, unknown>> };

export type TransactionState = Api.TransactionStatus;

export type Account = Api.AccountStatus;

export type LampState = NonNullable<Api.DeviceStatus['state']>;

export type Latest = Api.DeviceStatus['latest'][number];

export type Grant = Api.DeviceDetail['grants'][number];

export type Device = Api.DeviceStatus;

export type DeviceDetail = Api.DeviceDetail;

export type PayloadStatus = Api.ReadingStage | 'unknown';

export type Reading = Omit<Api.Reading, 'status'> & { readonly status: PayloadStatus };

export type Series = Api.Series;

export type PayloadState = Omit<Api.PayloadStatus, 'status'> & { readonly status: PayloadStatus };

export type CommandStages = Api.CommandStatus['stages'];

export type LampAction =
  | { readonly kind: 'on' }
  | { readonly kind: 'off' }
  | { readonly kind: 'level'; readonly level: number };

export type CommandState = Api.CommandStatus;

export type VertexState = Api.Vertex['state'];

export type Vertex = Api.Vertex;

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
import type * as Api from '@itc/client/api.js';

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
