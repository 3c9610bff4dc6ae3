/** Routes about what the state costs and who pays: parameters in force, sponsorships, streams (spec STATE-18 to STATE-21). */
import { Type, type Static } from 'typebox';
import { toHex } from '@itc/core/bytes/hex.js';
import { idBytes, idText } from '@itc/core/bytes/id-text.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import { PARAMETER_NAMES, PARAMETERS } from '@itc/core/ledger/bodies/parameters.js';
import { BODY_CODES, KINDS } from '@itc/core/ledger/body.js';
import type { SponsorScope } from '@itc/core/ledger/bodies/sponsor.js';
import type { Sponsorship } from '@itc/core/state/sponsor-record.js';
import { accrued, endsAt, type Stream } from '@itc/core/state/stream-record.js';
import type { Chain } from '../runtime/chain.ts';
import { addressParam, hash32 } from './chain-routes.ts';
import { AddressText, AmountText, Count, Hex32, Problem } from './schemas.ts';
import { refuse, type Api, type Routes } from './server.ts';

/** Of one answer; and how many records one question may look at. */
const LIMIT_MAX = 200;
const LOOKED_MAX = 100_000;

const Time = Type.Integer({ description: 'milliseconds since 1970' });

const ParametersForm = Type.Object({
  height: Count,
  values: Type.Object(
    {
      feePerByte: AmountText,
      rewardPerCheckpoint: AmountText,
      depositPerByte: AmountText,
      accountPrice: AmountText,
      burnShare: AmountText,
    },
    { description: 'in force for the next block; burnShare in parts of 10 000' },
  ),
  bondPerWeight: AmountText,
  votes: Type.Array(
    Type.Object({
      parameter: Type.String(),
      agreed: Type.Optional(Type.String({ description: 'in force behind the next checkpoint height' })),
      votes: Type.Array(Type.Object({ voter: AddressText, value: Type.String(), height: Count })),
    }),
  ),
});

const SponsorshipForm = Type.Object({
  sponsorship: Hex32,
  sponsor: AddressText,
  name: Type.String(),
  kinds: Type.Array(Type.String()),
  scope: Type.Object({ kind: Type.String(), of: Type.Array(Type.String()) }),
  perDevicePerDay: AmountText,
  perDay: AmountText,
  expiresAt: Time,
  paysState: Type.Boolean(),
  balance: AmountText,
  spentToday: AmountText,
  devices: Type.Array(Type.Object({ subject: AddressText, spent: AmountText }), {
    description: 'what devices, or accounts where those are named, have used today',
  }),
});

const StreamForm = Type.Object({
  stream: Hex32,
  payer: AddressText,
  payee: AddressText,
  rate: AmountText,
  period: Count,
  funded: AmountText,
  paid: AmountText,
  due: Type.Intersect([AmountText], { description: 'by the time of the newest block' }),
  start: Time,
  end: Type.Intersect([Time], { description: 'when time or money ends' }),
  device: Type.Optional(AddressText),
});

export function tokenRoutes(chain: Chain): Routes {
  return (api: Api): void => {
    api.get(
      '/api/v1/parameters',
      {
        schema: {
          summary: 'Prices and shares in force, their bounds, and the votes about them',
          response: { 200: ParametersForm },
        },
      },
      () => parametersOf(chain),
    );

    api.get(
      '/api/v1/sponsorships',
      {
        schema: {
          summary: 'Sponsorships, of one sponsor or all',
          querystring: Type.Object({
            sponsor: Type.Optional(AddressText),
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIMIT_MAX })),
          }),
          response: { 200: Type.Object({ sponsorships: Type.Array(SponsorshipForm) }), '4xx': Problem },
        },
      },
      (request) => {
        const { sponsor, limit = 50 } = request.query;
        const wanted = sponsor === undefined ? undefined : idText(addressParam(sponsor));
        const sponsorships = found(
          chain,
          'sponsorship',
          limit,
          (record) => wanted === undefined || idText(record.sponsor) === wanted,
        ).map(([id, record]) => sponsorshipOf(chain, id, record));
        return { sponsorships };
      },
    );

    api.get(
      '/api/v1/sponsorships/:sponsorship',
      {
        schema: {
          summary: 'A sponsorship: terms, what is left, what was used today',
          params: Type.Object({ sponsorship: Hex32 }),
          response: { 200: SponsorshipForm, 404: Problem },
        },
      },
      (request) => {
        const id = idText(hash32(request.params.sponsorship));
        const record = chain.state.record('sponsorship', id);
        if (record === undefined) return refuse('not-found', 'no such sponsorship');
        return sponsorshipOf(chain, id, record);
      },
    );

    api.get(
      '/api/v1/streams',
      {
        schema: {
          summary: 'Streams an account pays or is paid by',
          querystring: Type.Object({
            account: AddressText,
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIMIT_MAX })),
          }),
          response: { 200: Type.Object({ streams: Type.Array(StreamForm) }), '4xx': Problem },
        },
      },
      (request) => {
        const account = idText(addressParam(request.query.account));
        const { limit = 50 } = request.query;
        const streams = found(
          chain,
          'stream',
          limit,
          ({ payer, payee }) => idText(payer) === account || idText(payee) === account,
        ).map(([id, stream]) => streamOf(chain, id, stream));
        return { streams };
      },
    );

    api.get(
      '/api/v1/streams/:stream',
      {
        schema: {
          summary: 'A stream, and what is due',
          params: Type.Object({ stream: Hex32 }),
          response: { 200: StreamForm, 404: Problem },
        },
      },
      (request) => {
        const id = idText(hash32(request.params.stream));
        const stream = chain.state.record('stream', id);
        return stream === undefined ? refuse('not-found', 'no such stream') : streamOf(chain, id, stream);
      },
    );
  };
}

interface Listed {
  sponsorship: Sponsorship;
  stream: Stream;
}

/** There is no index by account: at most `LOOKED_MAX` records are looked at. */
function found<K extends keyof Listed>(
  chain: Chain,
  kind: K,
  limit: number,
  fits: (record: Listed[K]) => boolean,
): (readonly [id: string, record: Listed[K]])[] {
  const all: (readonly [string, Listed[K]])[] = [];
  let looked = 0;
  for (const [id, record] of chain.state.records.walk(kind)) {
    looked += 1;
    if (looked > LOOKED_MAX || all.length >= limit) break;
    if (fits(record as Listed[K])) all.push([id, record as Listed[K]]);
  }
  return all;
}

function parametersOf(chain: Chain): Static<typeof ParametersForm> {
  const { parameters } = chain.state;
  const votes = PARAMETER_NAMES.flatMap((parameter) => {
    const record = chain.state.record('parameter-votes', String.fromCharCode(PARAMETERS[parameter].code));
    if (record === undefined) return [];
    return [
      {
        parameter,
        ...(record.next !== undefined && { agreed: String(record.next) }),
        votes: record.votes.map(({ voter, value, castAt }) => ({
          voter: formatAddress(voter),
          value: String(value),
          height: castAt,
        })),
      },
    ];
  });
  return {
    height: chain.height,
    values: {
      feePerByte: String(parameters.feePerByte),
      rewardPerCheckpoint: String(parameters.rewardPerCheckpoint),
      depositPerByte: String(parameters.depositPerByte),
      accountPrice: String(parameters.accountPrice),
      burnShare: String(parameters.burnShare),
    },
    bondPerWeight: String(parameters.bondPerWeight),
    votes,
  };
}

function sponsorshipOf(chain: Chain, id: string, record: Sponsorship): Static<typeof SponsorshipForm> {
  const { terms } = record;
  let spentToday = 0n;
  const devices: { subject: string; spent: string }[] = [];
  for (const [key, { spent }] of chain.state.records.walk('sponsored', id)) {
    const subject = idBytes(key.slice(32));
    // Zeros stand for all together.
    if (subject.every((byte) => byte === 0)) spentToday = spent;
    else if (devices.length < LIMIT_MAX)
      devices.push({ subject: formatAddress(subject as Address), spent: String(spent) });
  }
  return {
    sponsorship: toHex(idBytes(id)),
    sponsor: formatAddress(record.sponsor),
    name: record.name,
    kinds: KINDS.filter((kind) => terms.kinds.includes(BODY_CODES[kind])),
    scope: scopeOf(terms.scope),
    perDevicePerDay: String(terms.perDevicePerDay),
    perDay: String(terms.perDay),
    expiresAt: terms.expiresAt,
    paysState: terms.paysState,
    balance: String(record.balance),
    spentToday: String(spentToday),
    devices,
  };
}

function scopeOf(scope: SponsorScope): { kind: string; of: string[] } {
  const { kind } = scope;
  switch (kind) {
    case 'batch':
      return { kind, of: [toHex(scope.batch)] };
    case 'model':
      return { kind, of: [toHex(scope.model)] };
    case 'maker':
      return { kind, of: [formatAddress(scope.maker)] };
    case 'devices':
      return { kind, of: scope.devices.map(formatAddress) };
    case 'accounts':
      return { kind, of: scope.accounts.map(formatAddress) };
  }
}

function streamOf(chain: Chain, id: string, stream: Stream): Static<typeof StreamForm> {
  const due = accrued(stream, chain.time) - stream.paid;
  return {
    stream: toHex(idBytes(id)),
    payer: formatAddress(stream.payer),
    payee: formatAddress(stream.payee),
    rate: String(stream.rate),
    period: stream.period,
    funded: String(stream.funded),
    paid: String(stream.paid),
    due: String(due > 0n ? due : 0n),
    start: stream.start,
    end: endsAt(stream),
    ...(stream.device !== undefined && { device: formatAddress(stream.device) }),
  };
}
