/** Routes about devices on the ledger: records, provenance, access, groups, makers and batches (spec STATE-16, STATE-17). */
import { Type, type Static } from 'typebox';
import { toHex } from '@itc/core/bytes/hex.js';
import { idBytes, idText } from '@itc/core/bytes/id-text.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { asAddress, formatAddress, type Address } from '@itc/core/ledger/address.js';
import type { Scope } from '@itc/core/ledger/bodies/access.js';
import { ACTIONS, type ModelLimits, type Terms } from '@itc/core/ledger/terms.js';
import { encodeProvenanceProof, proveProvenance } from '@itc/core/light/provenance-proof.js';
import { chainOf, termsIn } from '@itc/core/state/access-chain.js';
import { isInGroup } from '@itc/core/state/access-record.js';
import { inForce } from '@itc/core/state/find-access.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import type { Chain } from '../runtime/chain.ts';
import { readable, type Hops } from '../runtime/hops.ts';
import { addressParam, hash32 } from './chain-routes.ts';
import {
  AccessForm,
  BatchForm,
  DeviceRecordForm,
  GroupForm,
  MakerForm,
  ModelForm,
} from './device-schemas.ts';
import { AddressText, Hex32, Problem } from './schemas.ts';
import { refuse, type Api, type Routes } from './server.ts';

export interface DevicePort {
  readonly chain: Chain;
  readonly hops: Hops;
}

const ACTION_NAMES: readonly (readonly [name: string, bit: number])[] = [
  ['on-off', ACTIONS.onOff],
  ['level', ACTIONS.level],
  ['colour', ACTIONS.colour],
  ['read', ACTIONS.read],
];

function limitsForm({
  actions,
  levelMax,
  colour,
}: ModelLimits): NonNullable<Static<typeof DeviceRecordForm>['limits']> {
  return { actions: actionNames(actions), levelMax, ...(colour && { colour: { ...colour } }) };
}

export function actionNames(actions: number): string[] {
  return ACTION_NAMES.flatMap(([name, bit]) => ((actions & bit) === 0 ? [] : [name]));
}

export function deviceRoutes(port: DevicePort): Routes {
  return (api) => {
    recordRoutes(api, port);
    accessRoutes(api, port);
    makerRoutes(api, port);
  };
}

const DeviceParam = Type.Object({ device: AddressText });

function recordRoutes(api: Api, { chain, hops }: DevicePort): void {
  api.get(
    '/api/v1/ledger/devices/:device',
    {
      schema: {
        summary: 'A device on the ledger: owner, state, maker, what is under way',
        params: DeviceParam,
        response: { 200: DeviceRecordForm, '4xx': Problem },
      },
    },
    (request) => deviceForm(chain.state, addressParam(request.params.device)),
  );

  api.get(
    '/api/v1/proofs/provenance/:device',
    {
      schema: {
        summary: 'Proof of where a device comes from and whose it is',
        description:
          'Of a device that nobody has claimed the batch is named, as its birth certificate (or voucher) has it.',
        params: DeviceParam,
        querystring: Type.Object({ batch: Type.Optional(Hex32) }),
        response: {
          200: Type.Object({
            height: Type.Integer(),
            proof: Type.String({ description: 'base64url of the provenance proof (spec WIRE-9.7)' }),
          }),
          '4xx': Problem,
          503: Problem,
        },
      },
    },
    (request) => {
      const { tip } = chain;
      const certificate = tip === undefined ? undefined : chain.blockAt(tip.height)?.certificate;
      const state = tip === undefined ? undefined : chain.stateUnder(tip.height);
      if (tip === undefined || certificate === undefined || state === undefined)
        return refuse('not-ready', 'the first block has not been committed yet');
      const { batch } = request.query;
      const proof = proveProvenance({
        header: tip,
        certificate,
        hops: hops.to({ header: tip, certificate }),
        tree: state.tree,
        address: addressParam(request.params.device),
        ...(batch !== undefined && { batchId: hash32(batch) }),
      });
      if (proof === undefined)
        return refuse('not-found', 'nobody has claimed this device, and no batch of it is named');
      return {
        height: tip.height,
        proof: Buffer.from(readable(encodeProvenanceProof(proof))).toString('base64url'),
      };
    },
  );
}

function deviceForm(state: LedgerState, address: Address): Static<typeof DeviceRecordForm> {
  const device = state.device(address);
  if (device === undefined) return refuse('device.unknown', 'nobody has claimed this device');
  const id = idText(address);
  const batch = state.batch(device.batch);
  const maker = batch && state.maker(batch.maker);
  if (batch === undefined || maker === undefined)
    return refuse('internal', 'a device is of a batch, and a batch of a maker');
  const model = state.record('model', idText(batch.maker) + idText(batch.model));
  const sale = state.record('sale', id);
  const recovery = state.record('device-recovery', id);
  return {
    address: formatAddress(address),
    key: toHex(device.key.bytes),
    owner: formatAddress(device.owner),
    state: device.state,
    transfers: device.transfers,
    ownedSince: device.ownedSince,
    claimedAt: device.claimedAt,
    history: toHex(device.history),
    recoveryDelay: device.recoveryDelay,
    deposit: String(device.deposit.amount),
    batch: toHex(device.batch),
    model: toHex(device.model),
    ...(model && { modelName: model.name, limits: limitsForm(model) }),
    maker: formatAddress(batch.maker),
    makerName: maker.name,
    attested: batch.attestation !== undefined,
    ...(sale && {
      offer: { to: formatAddress(sale.to), price: String(sale.price), expiresAt: sale.expiresAt },
    }),
    ...(recovery && {
      recovery: {
        claimant: formatAddress(recovery.claimant),
        readyAt: recovery.readyAt,
        expiresAt: recovery.expiresAt,
      },
    }),
  };
}

/** Entries of one answer; an owner has few groups and a device few grants, but nobody else's business should cost more. */
const ENTRIES_MAX = 1_000;

function accessRoutes(api: Api, { chain }: DevicePort): void {
  api.get(
    '/api/v1/ledger/devices/:device/access',
    {
      schema: {
        summary: 'What is granted for a device, by itself or in a group, and what was delegated',
        params: DeviceParam,
        response: { 200: Type.Object({ access: Type.Array(AccessForm) }), '4xx': Problem },
      },
    },
    (request) => {
      const { state } = chain;
      const address = addressParam(request.params.device);
      const device = state.device(address);
      if (device === undefined) return refuse('device.unknown', 'nobody has claimed this device');
      const access = accessIn(chain, { kind: 'device', device: address });
      for (const [id, group] of state.records.walk('group', idText(device.owner))) {
        if (!isInGroup(group, address, device)) continue;
        const scope: Scope = { kind: 'group', owner: device.owner, group: asHash(idBytes(id).slice(32)) };
        for (const entry of accessIn(chain, scope))
          access.push({ ...entry, group: { id: toHex(scope.group), name: group.name } });
      }
      return { access: access.slice(0, ENTRIES_MAX) };
    },
  );

  api.get(
    '/api/v1/ledger/groups/:owner',
    {
      schema: {
        summary: 'Groups and rooms of an owner',
        params: Type.Object({ owner: AddressText }),
        response: { 200: Type.Object({ groups: Type.Array(GroupForm) }), '4xx': Problem },
      },
    },
    (request) => {
      const { state } = chain;
      const owner = addressParam(request.params.owner);
      const groups: Static<typeof GroupForm>[] = [];
      for (const [id, group] of state.records.walk('group', idText(owner))) {
        groups.push({
          id: toHex(idBytes(id).slice(32)),
          name: group.name,
          place: group.place,
          devices: group.devices.map(({ device, transfers }) => ({
            device: formatAddress(device),
            counts: state.device(device)?.transfers === transfers,
          })),
        });
      }
      return { groups };
    },
  );

  api.get(
    '/api/v1/ledger/groups/:owner/:group/access',
    {
      schema: {
        summary: 'What is granted for a group, and what was delegated from it',
        params: Type.Object({ owner: AddressText, group: Hex32 }),
        response: { 200: Type.Object({ access: Type.Array(AccessForm) }), '4xx': Problem },
      },
    },
    (request) => {
      const owner = addressParam(request.params.owner);
      const group = hash32(request.params.group);
      if (chain.state.record('group', idText(owner) + idText(group)) === undefined)
        return refuse('group.unknown', 'this owner has no such group');
      return { access: accessIn(chain, { kind: 'group', owner, group }).slice(0, ENTRIES_MAX) };
    },
  );
}

function accessIn(chain: Chain, scope: Scope): Static<typeof AccessForm>[] {
  const { records } = chain.state;
  const place: Uint8Array = scope.kind === 'device' ? scope.device : scope.group;
  const counts = (by: Address, via: Address | undefined): boolean => {
    const found = chainOf(records, scope, { by, via });
    return found !== undefined && [...termsIn(found)].every((terms) => inForce(terms, chain.time));
  };
  const access: Static<typeof AccessForm>[] = [];
  for (const [id, grant] of records.walk('grant', idText(place))) {
    const subject = asAddress(idBytes(id).slice(32));
    access.push({
      subject: formatAddress(subject),
      granter: formatAddress(grant.granter),
      delegated: false,
      counts: counts(subject, undefined),
      ...termsForm(grant),
    });
  }
  for (const [id, delegation] of records.walk('delegation', idText(place))) {
    const bytes = idBytes(id);
    const subject = asAddress(bytes.slice(32, 64));
    const granter = asAddress(bytes.slice(64));
    const { via } = delegation;
    access.push({
      subject: formatAddress(subject),
      granter: formatAddress(granter),
      ...(via && { via: formatAddress(via) }),
      delegated: true,
      counts: counts(subject, granter),
      ...termsForm(delegation),
    });
  }
  return access;
}

function termsForm(
  terms: Terms,
): Pick<
  Static<typeof AccessForm>,
  'actions' | 'levelMax' | 'notBefore' | 'expiresAt' | 'colour' | 'schedule' | 'uses' | 'delegable'
> {
  const { actions, levelMax, notBefore, expiresAt, colour, schedule, uses, delegable } = terms;
  return {
    actions: actionNames(actions),
    levelMax,
    notBefore,
    expiresAt,
    ...(colour && { colour: { ...colour } }),
    ...(schedule && {
      schedule: { utcOffset: schedule.utcOffset, windows: schedule.windows.map((window) => ({ ...window })) },
    }),
    ...(uses !== undefined && { uses }),
    ...(delegable !== undefined && { delegable }),
  };
}

function makerRoutes(api: Api, { chain }: DevicePort): void {
  api.get(
    '/api/v1/ledger/makers/:maker',
    {
      schema: {
        summary: 'A maker with its models',
        params: Type.Object({ maker: AddressText }),
        response: { 200: MakerForm, '4xx': Problem },
      },
    },
    (request) => {
      const { state } = chain;
      const address = addressParam(request.params.maker);
      const maker = state.maker(address);
      if (maker === undefined) return refuse('maker.unknown', 'no maker has this address');
      const models: Static<typeof ModelForm>[] = [];
      for (const [id, model] of state.records.walk('model', idText(address))) {
        if (models.length >= ENTRIES_MAX) break;
        models.push({ hash: toHex(idBytes(id).slice(32)), name: model.name, ...limitsForm(model) });
      }
      return {
        address: formatAddress(address),
        name: maker.name,
        registeredAt: maker.registeredAt,
        ...(maker.attestation && { attestation: toHex(maker.attestation.bytes) }),
        models,
      };
    },
  );

  api.get(
    '/api/v1/ledger/batches/:batch',
    {
      schema: {
        summary: 'A batch of devices',
        params: Type.Object({ batch: Hex32 }),
        response: { 200: BatchForm, '4xx': Problem },
      },
    },
    (request) => {
      const id: Hash = hash32(request.params.batch);
      const batch = chain.state.batch(id);
      if (batch === undefined) return refuse('batch.unknown', 'no batch has this id');
      return {
        id: toHex(id),
        maker: formatAddress(batch.maker),
        root: toHex(batch.root),
        count: batch.count,
        claimed: batch.claimed,
        model: toHex(batch.model),
        depositPerDevice: String(batch.depositPerDevice),
        registeredAt: batch.registeredAt,
        attested: batch.attestation !== undefined,
      };
    },
  );
}
