/** The configuration of one process: a JSON file checked in full before anything starts. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { LedgerError } from '@itc/core/ledger/errors.js';

const Port = Type.Integer({ minimum: 0, maximum: 65535 });
const Endpoint = Type.Object(
  { host: Type.String({ minLength: 1 }), port: Port },
  { additionalProperties: false },
);
const KeyHex = Type.String({ pattern: '^[0-9a-f]{64}$' });

export const PeerConfig = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 64 }),
    role: Type.Union([Type.Literal('validator'), Type.Literal('gateway'), Type.Literal('member')]),
    /** Ed25519 public key. */
    key: KeyHex,
    host: Type.String({ minLength: 1 }),
    port: Port,
  },
  { additionalProperties: false },
);

export const NodeConfig = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 64 }),
    role: Type.Union([Type.Literal('validator'), Type.Literal('gateway'), Type.Literal('member')]),
    /** Paths are relative to the configuration file. */
    dataDir: Type.String({ minLength: 1 }),
    keyFile: Type.String({ minLength: 1 }),
    genesisFile: Type.String({ minLength: 1 }),
    peer: Endpoint,
    /** `host:port` at which others reach this process, where that is not `peer` (behind a router, or listening on all addresses). */
    advertise: Type.Optional(Type.String({ pattern: '^[^\\s]{1,122}:[0-9]{1,5}$' })),
    api: Endpoint,
    mqtt: Type.Optional(Endpoint),
    /** Every other process of the network, by ledger key: who is not named is not let in. */
    peers: Type.Array(PeerConfig, { maxItems: 256 }),
    /**
     * Channels to peers sealed with keys of X25519 and ML-KEM-768 inside TLS (spec QUANTUM-5): off, on with those who have it, or require.
     * Default off.
     */
    hybrid: Type.Optional(Type.Union([Type.Literal('off'), Type.Literal('on'), Type.Literal('require')])),
    /** Subnet this gateway or member takes part in. */
    subnet: Type.Optional(KeyHex),
    logLevel: Type.Optional(
      Type.Union([Type.Literal('debug'), Type.Literal('info'), Type.Literal('warn'), Type.Literal('error')]),
    ),
    /** Threads that verify signatures; 0 verifies in line. */
    verifyThreads: Type.Optional(Type.Integer({ minimum: 0, maximum: 64 })),
    /** A block is proposed this often when there is nothing to order, so that light clients see time pass. */
    heartbeatMs: Type.Optional(Type.Integer({ minimum: 100, maximum: 600_000 })),
    /**
     * A validator asks for the next view when what waits makes no progress for this long; grows with every view that fails.
     * Intervals of resending follow from it. Below a quarter of a second, disks and schedulers would look like faults.
     */
    viewTimeoutMs: Type.Optional(Type.Integer({ minimum: 250, maximum: 600_000 })),
    /** A validator this many blocks behind takes over a state instead of executing them; 0 = never. Default 2 000. */
    stateSyncBlocks: Type.Optional(Type.Integer({ minimum: 0 })),
    /** Blocks kept below the newest stable checkpoint; older ones are pruned. Without it, and without the next, all are kept. */
    retainBlocks: Type.Optional(Type.Integer({ minimum: 0 })),
    /** Bytes of blocks kept: above that the oldest are pruned, as far as they lie below the newest stable checkpoint. */
    retainBytes: Type.Optional(Type.Integer({ minimum: 0 })),
    /** Of payloads in envelopes of other members, the share whose device signature is checked (spec DAG-13.2). Default 1/16; 1 checks all. */
    auditShare: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
    /** Keep what happened by account, device and subnet, for `GET /api/v1/log`. Default: where people ask, not on a validator. */
    eventLog: Type.Optional(Type.Boolean()),
    /** Bytes on disk a gateway or member keeps of its subnet's past; above that the oldest is pruned. Without it, and without the next, all is kept. */
    retainEnvelopeBytes: Type.Optional(Type.Integer({ minimum: 8_388_608 })),
    /** Age in milliseconds beyond which readings are pruned. */
    retainEnvelopeMs: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  { additionalProperties: false },
);

export type PeerConfig = Static<typeof PeerConfig>;
export type NodeConfig = Static<typeof NodeConfig>;
export type Role = NodeConfig['role'];

/** Where a node looks for its co-signing key, beside its own: the one in use, and its successor until an epoch names it. */
export function coSigningKeyPaths(keyFile: string): readonly [current: string, next: string] {
  const base = keyFile.replace(/\.json$/, '');
  return [`${base}.co-sign.json`, `${base}.co-sign-next.json`];
}

/** Reads and checks a configuration; its paths come back absolute. Throws `config.invalid` naming the field. */
export function readConfig(path: string): NodeConfig {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new LedgerError(
      'config.invalid',
      `${path} cannot be read as JSON: ${(error as Error).message}`,
      { path },
      error,
    );
  }
  if (!Value.Check(NodeConfig, parsed)) {
    const [first] = Value.Errors(NodeConfig, parsed);
    throw new LedgerError(
      'config.invalid',
      `${path}: ${first?.instancePath ?? ''} ${first?.message ?? 'is not acceptable'}`,
      { path },
    );
  }
  if (parsed.role !== 'validator' && parsed.subnet === undefined) {
    throw new LedgerError('config.invalid', `${path}: a ${parsed.role} needs the id of its subnet`, { path });
  }
  const base = dirname(resolve(path));
  return {
    ...parsed,
    dataDir: resolve(base, parsed.dataDir),
    keyFile: resolve(base, parsed.keyFile),
    genesisFile: resolve(base, parsed.genesisFile),
  };
}
