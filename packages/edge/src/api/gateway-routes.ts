/** What a gateway adds to the HTTP API of its process: devices, readings, payloads, commands, logins, enrolment. */
import { Type, type Static } from 'typebox';
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import type { Result } from '@itc/core/bytes/result.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { ACTIONS } from '@itc/core/ledger/bodies/access.js';
import { batchOf } from './ledger-port.ts';
import { addressParam, hash32 } from '@itc/node/api/chain-routes.js';
import { AddressText, Hex, Hex32, Problem } from '@itc/node/api/schemas.js';
import { refuse, type Api, type Routes } from '@itc/node/api/server.js';
import type { Chain } from '@itc/node/runtime/chain.js';
import type { Gateway } from '../gateway.ts';
import type { LedgerPort } from '../ports.ts';
import { RequestGuard } from './request-guard.ts';
import { Challenge, Command, Device, DeviceDetail, Payload, Reading, Series, Statuses } from './schemas.ts';

export interface GatewayRoutesOptions {
  readonly gateway: Gateway;
  readonly ledger: LedgerPort;
  readonly chain: Chain;
  readonly guard: RequestGuard;
}

const IDS_MAX = 1_000;
const Who = Type.Object({ device: Type.String({ minLength: 1, maxLength: 80 }) });

export function gatewayRoutes(options: GatewayRoutesOptions): Routes {
  return (api) => {
    deviceRoutes(api, options);
    payloadRoutes(api, options);
    commandRoutes(api, options);
    enrolmentRoutes(api, options);
  };
}

function take<T>(result: Result<T, ErrorCode>): T {
  return result.ok ? result.value : refuse(result.code, result.message);
}

function deviceRoutes(api: Api, { gateway, chain, guard }: GatewayRoutesOptions): void {
  /** Who signed a question, where somebody did. */
  const asking = (request: Parameters<RequestGuard['check']>[0]): { readonly caller?: Address } =>
    request.headers.authorization === undefined ? {} : { caller: take(guard.check(request)).address };

  api.get(
    '/api/v1/devices',
    {
      schema: {
        summary: 'Devices this gateway knows',
        response: { 200: Type.Object({ devices: Type.Array(Device) }) },
      },
    },
    () => ({ devices: gateway.devices().map((device) => ({ ...device, latest: [...device.latest] })) }),
  );

  api.get(
    '/api/v1/devices/:device',
    {
      schema: {
        summary: 'One device, by address or name',
        params: Who,
        response: { 200: DeviceDetail, 404: Problem },
      },
    },
    (request) => {
      const device = gateway.device(request.params.device);
      const address = gateway.resolve(request.params.device);
      if (device === undefined || address === undefined)
        return refuse('not-found', `no device is known as ${request.params.device}`);
      const record = chain.state.device(address);
      return {
        ...device,
        latest: [...device.latest],
        ...(record === undefined
          ? {}
          : {
              batch: toHex(record.batch),
              model: toHex(record.model),
              claimedAt: record.claimedAt,
              ...batchOf(chain, record.batch),
            }),
        grants: [...chain.state.grants(address)].map(({ subject, grant }) => ({
          subject: formatAddress(subject),
          actions: Object.entries(ACTIONS).flatMap(([name, bit]) =>
            (grant.actions & bit) === 0 ? [] : [name],
          ),
          levelMax: grant.levelMax,
          notBefore: grant.notBefore,
          expiresAt: grant.expiresAt,
        })),
      };
    },
  );

  api.get(
    '/api/v1/devices/:device/readings',
    {
      schema: {
        summary: 'Readings, newest first',
        description:
          'Readings belong to whoever owned the device when they were made. Signed (spec CLIENT-2): those of the signer’s own time, and those of now with a grant to read. Unsigned: those of the present owner, where the gateway answers its home.',
        params: Who,
        querystring: Type.Object({
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: IDS_MAX })),
          before: Type.Optional(Type.Integer({ minimum: 0, description: 'milliseconds since 1970' })),
          name: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
        }),
        response: { 200: Type.Object({ readings: Type.Array(Reading) }), '4xx': Problem },
      },
    },
    (request) => {
      const { limit = 100, before, name } = request.query;
      const readings = take(
        gateway.readings({
          device: request.params.device,
          limit,
          ...asking(request),
          ...(before === undefined ? {} : { before }),
          ...(name === undefined ? {} : { name }),
        }),
      );
      return { readings };
    },
  );

  api.get(
    '/api/v1/devices/:device/series',
    {
      schema: {
        summary: 'One quantity, thinned out for a chart',
        params: Who,
        querystring: Type.Object({
          name: Type.String({ minLength: 1, maxLength: 128 }),
          points: Type.Optional(Type.Integer({ minimum: 2, maximum: 2_000 })),
        }),
        response: { 200: Series, '4xx': Problem },
      },
    },
    (request) => {
      const { times, values, ...rest } = take(
        gateway.series({
          device: request.params.device,
          name: request.query.name,
          points: request.query.points ?? 120,
          ...asking(request),
        }),
      );
      return { ...rest, times: [...times], values: [...values] };
    },
  );
}

function payloadRoutes(api: Api, { gateway }: GatewayRoutesOptions): void {
  api.get(
    '/api/v1/payloads/:id',
    {
      schema: {
        summary: 'How far a payload has come',
        params: Type.Object({ id: Hex32 }),
        response: { 200: Payload, 404: Problem },
      },
    },
    (request) =>
      gateway.payload(hash32(request.params.id)) ?? refuse('not-found', 'this gateway has no such payload'),
  );

  api.get(
    '/api/v1/payloads/:id/readings/:index',
    {
      schema: {
        summary: 'What shows that a reading which came in a batch is under the root its device signed',
        description:
          'spec DEVICE-3.3, as base64url. That the payload is final shows GET /api/v1/payloads/{id}/proof.',
        params: Type.Object({ id: Hex32, index: Type.Integer({ minimum: 0, maximum: 0xffff }) }),
        response: {
          200: Type.Object({
            proof: Type.String(),
            index: Type.Integer({ description: 'of the reading in its batch' }),
            record: Type.Integer({ description: 'of the records of the reading that is proven' }),
          }),
          404: Problem,
        },
      },
    },
    (request) => {
      const { id, index } = request.params;
      const proven =
        gateway.batchProof(hash32(id), index) ?? refuse('not-found', 'no batch with such a reading is here');
      return { ...proven, proof: Buffer.from(proven.proof).toString('base64url') };
    },
  );

  api.get(
    '/api/v1/payloads/:id/batch',
    {
      schema: {
        summary: 'All readings of a batch, in the order of the tree whose root its payload holds',
        params: Type.Object({ id: Hex32 }),
        response: { 200: Type.Object({ readings: Type.Array(Type.String()) }), 404: Problem },
      },
    },
    (request) => {
      const batch = gateway.batch(hash32(request.params.id));
      if (batch === undefined) return refuse('not-found', 'no readings of such a batch are here');
      return { readings: batch.map((reading) => Buffer.from(reading).toString('base64url')) };
    },
  );

  api.post(
    '/api/v1/payloads/status',
    {
      schema: {
        summary: 'How far many payloads have come',
        body: Type.Object({ ids: Type.Array(Hex32, { maxItems: IDS_MAX }) }, { additionalProperties: false }),
        response: { 200: Statuses },
      },
    },
    (request) => gateway.statuses(request.body.ids.map(hash32)),
  );
}

function commandRoutes(api: Api, { gateway, ledger }: GatewayRoutesOptions): void {
  api.post(
    '/api/v1/commands',
    {
      schema: {
        summary: 'Send a signed command to a device',
        description: 'The device itself decides; ask for the command by its id, or hear of it by events.',
        body: Type.Object({ payload: Hex }, { additionalProperties: false }),
        response: { 202: Command, '4xx': Problem },
      },
    },
    async (request, reply) => {
      const bytes = fromHex(request.body.payload);
      if (!bytes.ok) return refuse('request.malformed', bytes.message);
      return reply.code(202).send(take(await gateway.submitCommand(bytes.value)));
    },
  );

  api.get(
    '/api/v1/commands',
    {
      schema: {
        summary: 'Commands, newest first',
        querystring: Type.Object({
          device: Type.Optional(Type.String({ minLength: 1, maxLength: 80 })),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200 })),
        }),
        response: { 200: Type.Object({ commands: Type.Array(Command) }) },
      },
    },
    (request) => {
      const { device, limit = 50 } = request.query;
      return { commands: take(gateway.commands({ limit, ...(device === undefined ? {} : { device }) })) };
    },
  );

  api.get(
    '/api/v1/commands/:id',
    {
      schema: {
        summary: 'The stages of a command',
        params: Type.Object({ id: Hex32 }),
        response: { 200: Command, 404: Problem },
      },
    },
    (request) =>
      gateway.command(request.params.id) ?? refuse('not-found', 'this gateway has no such command'),
  );

  api.get(
    '/api/v1/proofs/access',
    {
      schema: {
        summary: 'What shows a device whether a subject may command it',
        querystring: Type.Object({ device: AddressText, subject: AddressText }),
        response: { 200: Type.Object({ proof: Type.String(), height: Type.Integer() }), 404: Problem },
      },
    },
    (request) => {
      const proof = ledger.accessProof(
        addressParam(request.query.device),
        addressParam(request.query.subject),
      );
      if (proof === undefined)
        return refuse('not-found', 'the device has no record in the newest certified state');
      return { proof: Buffer.from(proof).toString('base64url'), height: ledger.head().height };
    },
  );
}

function enrolmentRoutes(api: Api, { gateway, guard }: GatewayRoutesOptions): void {
  api.post(
    '/api/v1/gateway/challenge',
    {
      schema: {
        summary: 'A challenge for one MQTT login by user name and password',
        response: { 200: Challenge },
      },
    },
    () => gateway.challenge(),
  );

  api.post(
    '/api/v1/gateway/devices',
    {
      schema: {
        summary: 'Name a device here, or enrol one that has no key',
        description:
          'Signed by the owner: authorization: ITC-Ed25519 key=…, time=…, signature=…, or ITC-P256, ITC-ML-DSA-44, ITC-WebAuthn (spec CLIENT-2)',
        body: Type.Object(
          {
            name: Type.String({ minLength: 1, maxLength: 64 }),
            kind: Type.Optional(Type.String({ minLength: 1, maxLength: 32 })),
            device: Type.Optional(AddressText),
            legacy: Type.Optional(
              Type.Object(
                { password: Type.String({ minLength: 1, maxLength: 128 }) },
                { additionalProperties: false },
              ),
            ),
          },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ address: AddressText, name: Type.String() }), '4xx': Problem },
      },
    },
    async (request) => {
      const caller = take(guard.check(request));
      return take(
        await gateway.enrol({
          caller: caller.address,
          ...(request.body as Omit<Static<typeof Enrolment>, 'caller'>),
        }),
      );
    },
  );
}

const Enrolment = Type.Object({
  name: Type.String(),
  kind: Type.Optional(Type.String()),
  device: Type.Optional(Type.String()),
  legacy: Type.Optional(Type.Object({ password: Type.String() })),
});
