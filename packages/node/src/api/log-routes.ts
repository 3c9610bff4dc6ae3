/** What happened to whom: the log of events, newest first, page by page. */
import { Type, type Static } from 'typebox';
import type { Chain } from '../runtime/chain.ts';
import type { PlacedEntry } from '../runtime/event-log.ts';
import { addressParam, hash32 } from './chain-routes.ts';
import { AddressText, Hex32, Problem } from './schemas.ts';
import { refuse, type Api, type Routes } from './server.ts';

const LIMIT_MAX = 200;

const Entry = Type.Object({
  cursor: Type.String({ description: 'of this entry: `before` it lie the older ones' }),
  height: Type.Integer(),
  time: Type.Integer({ description: 'milliseconds since 1970, of the block' }),
  transaction: Type.Optional(Hex32),
  sender: Type.Optional(AddressText),
  fee: Type.Optional(Type.String({ description: 'base units' })),
  sponsorship: Type.Optional(Hex32),
  refused: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() })),
  event: Type.Optional(
    Type.Object(
      { kind: Type.String() },
      {
        additionalProperties: true,
        description:
          'fields by kind; amounts are decimal text in base units, ids are addresses or hexadecimal',
      },
    ),
  ),
});

const Page = Type.Object({
  entries: Type.Array(Entry),
  next: Type.Optional(Type.String({ description: '`before` of the next page; absent on the last one' })),
});

export function logRoutes(chain: Chain): Routes {
  return (api: Api): void => {
    api.get(
      '/api/v1/log',
      {
        schema: {
          summary: 'What happened to an account, a device, a subnet, or anything else with an id',
          description:
            'Newest first. Everything that named the id: transactions it sent, also refused ones with their fee; what others did; what time brought.',
          querystring: Type.Object({
            about: Type.Union([AddressText, Hex32]),
            before: Type.Optional(Type.String({ pattern: '^[0-9]{1,16}\\.[0-9]{1,9}$' })),
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIMIT_MAX })),
          }),
          response: { 200: Page, '4xx': Problem },
        },
      },
      (request): Static<typeof Page> => {
        const { about, before, limit = 50 } = request.query;
        const entries = chain.events({
          about: idOf(about),
          ...(before !== undefined && { before: placeOf(before) }),
          limit,
        });
        if (entries === undefined)
          return refuse('not-found', 'this node keeps no log of events; ask a gateway, or set eventLog');
        const last = entries.at(-1);
        return {
          entries: entries.map((entry) => {
            const { position, ...rest } = entry;
            return { cursor: `${entry.height}.${position}`, ...rest };
          }),
          ...(last !== undefined && entries.length === limit && { next: cursorOf(last) }),
        };
      },
    );
  };
}

function idOf(text: string): Uint8Array {
  return text.startsWith('itc1') ? addressParam(text) : hash32(text);
}

function cursorOf({ height, position }: PlacedEntry): string {
  return `${height}.${position}`;
}

function placeOf(cursor: string): { readonly height: number; readonly position: number } {
  const [at, position] = cursor.split('.').map(Number) as [number, number];
  if (!Number.isSafeInteger(at)) return refuse('request.malformed', 'expected a cursor of an earlier answer');
  return { height: at, position };
}
