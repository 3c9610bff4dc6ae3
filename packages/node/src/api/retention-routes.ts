/** Routes about what a member keeps of its subnet's past, and for whom longer (spec SUBNET-1, SUBNET-2). */
import { Type, type Static } from 'typebox';
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { Result } from '@itc/core/bytes/result.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import type { FastifyRequest } from 'fastify';
import type { Chain } from '../runtime/chain.ts';
import type { Pin } from '../runtime/subnet-pins.ts';
import type { SubnetLevels } from '../runtime/subnet-levels.ts';
import type { SubnetRetention } from '../runtime/subnet-retention.ts';
import { addressParam } from './chain-routes.ts';
import { AddressText, Count, LevelNumber, Problem } from './schemas.ts';
import { refuse, type Routes } from './server.ts';

const Time = Type.Integer({ minimum: 0, description: 'milliseconds since 1970' });
const Kept = Type.Object({ checkpoint: Count, time: Time });

const PinAnswer = Type.Object({
  device: AddressText,
  until: Time,
  readings: Count,
  bytes: Count,
  missed: Type.Integer({ minimum: 0, description: 'readings whose proof could not be kept' }),
});

const LevelAnswer = Type.Object({ device: AddressText, level: Type.Optional(LevelNumber) });

const RetentionAnswer = Type.Object({
  bytesTarget: Type.Optional(Count),
  keepMs: Type.Optional(Count),
  bytes: Type.Object({ bodies: Count, rows: Count, pins: Count, log: Count, total: Count }),
  oldest: Type.Optional(Kept),
  newest: Type.Optional(Kept),
  bytesPerDay: Type.Optional(Count),
  keptUntil: Type.Optional(
    Type.Integer({
      description:
        'until when a reading that becomes final now is expected to be kept, milliseconds since 1970; absent: for ever',
    }),
  ),
  pins: Type.Array(PinAnswer),
  reason: Type.Optional(Type.String()),
});

export interface RetentionPort {
  readonly chain: Chain;
  readonly retention: SubnetRetention;
  /** What owners say their devices need. */
  readonly levels: SubnetLevels;
  /** Whoever runs this process; beside a device's owner, it may pin. */
  readonly operator: Address;
  readonly now: () => number;
  /** Who signed a request. */
  readonly authorise: (
    request: FastifyRequest,
  ) => Result<{ readonly address: Address }, 'request.unauthorised'>;
}

/** A pin beyond this is a slip of the keyboard. */
const PIN_MS_MAX = 30 * 365 * 86_400_000;

function pinView({ device, ...rest }: Pin): Static<typeof PinAnswer> {
  return { device: formatAddress(device), ...rest };
}

export function retentionRoutes(port: RetentionPort): Routes {
  const { chain, retention, levels, now } = port;
  /** The owner of the device, or who runs this process. */
  const assertOwner = (request: FastifyRequest, device: Address): void => {
    const caller = port.authorise(request);
    if (!caller.ok) return refuse(caller.code, caller.message);
    const { address } = caller.value;
    const owner = chain.state.device(device)?.owner;
    if (owner !== undefined && equalBytes(owner, address)) return undefined;
    if (equalBytes(address, port.operator)) return undefined;
    return refuse(
      'request.unauthorised',
      'only the owner of the device, or who runs this process, may do this',
    );
  };
  const levelOf = (device: Address): Static<typeof LevelAnswer> => {
    const level = levels.of(device);
    return { device: formatAddress(device), ...(level === undefined ? {} : { level }) };
  };
  return (api) => {
    api.get(
      '/api/v1/retention',
      {
        schema: {
          summary: 'What is kept here of the subnet’s past, and how long',
          response: { 200: RetentionAnswer },
        },
      },
      (): Static<typeof RetentionAnswer> => {
        const { policy, bytes, oldest, newest, bytesPerDay, keptMs, pins, reason } = retention.status();
        return {
          ...policy,
          bytes,
          ...(oldest && { oldest }),
          ...(newest && { newest }),
          ...(bytesPerDay !== undefined && { bytesPerDay: Math.round(bytesPerDay) }),
          ...(keptMs !== undefined && { keptUntil: Math.round(now() + keptMs) }),
          pins: pins.map(pinView),
          ...(reason !== undefined && { reason }),
        };
      },
    );

    api.get(
      '/api/v1/levels/:device',
      {
        schema: {
          summary:
            'The security level that the payloads of a device need, as its owner has told this process',
          params: Type.Object({ device: AddressText }),
          response: { 200: LevelAnswer, 400: Problem },
        },
      },
      (request): Static<typeof LevelAnswer> => levelOf(addressParam(request.params.device)),
    );

    api.post(
      '/api/v1/levels',
      {
        schema: {
          summary:
            'Say which security level the payloads of a device need; without one, that it is for who waits to say',
          description: 'Signed by the owner of the device or by this process.',
          body: Type.Object(
            { device: AddressText, level: Type.Optional(LevelNumber) },
            { additionalProperties: false },
          ),
          response: { 200: LevelAnswer, '4xx': Problem },
        },
      },
      async (request) => {
        const device = addressParam(request.body.device);
        assertOwner(request, device);
        const set = await levels.set(device, request.body.level);
        return set.ok ? levelOf(device) : refuse(set.code, set.message);
      },
    );

    api.post(
      '/api/v1/retention/pins',
      {
        schema: {
          summary: 'Keep the readings of a device, with their proofs, until a date; or no longer',
          description:
            'Signed by the owner of the device or by this process. `until` 0 ends the pin and forgets what it kept.',
          body: Type.Object({ device: AddressText, until: Time }, { additionalProperties: false }),
          response: { 200: PinAnswer, '4xx': Problem },
        },
      },
      async (request) => {
        const device = addressParam(request.body.device);
        assertOwner(request, device);
        const { until } = request.body;
        if (until === 0) {
          const pin = retention.pins.of(device);
          if (pin === undefined) return refuse('not-found', 'the device is not pinned here');
          await retention.pins.unpin(device);
          return pinView({ ...pin, until: 0, readings: 0, bytes: 0 });
        }
        if (until <= now() || until > now() + PIN_MS_MAX)
          return refuse('request.malformed', 'until: expected a time to come, within 30 years');
        const pinned = await retention.pins.pin(device, until);
        return pinned.ok ? pinView(pinned.value) : refuse(pinned.code, pinned.message);
      },
    );
  };
}
