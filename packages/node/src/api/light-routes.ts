/** One request, one stream: what light clients ask of a gateway (spec LIGHT-10). */
import { fromHex } from '@itc/core/bytes/hex.js';
import { epoch, height } from '@itc/core/ledger/ids.js';
import { parseStateKey, type StateKey } from '@itc/core/state/keys.js';
import { Type } from 'typebox';
import { LIGHT_WANTS_MAX, type LightServer, type LightWant } from '../runtime/light-server.ts';
import { hash32 } from './chain-routes.ts';
import { Hex32, Problem } from './schemas.ts';
import { refuse, type Api, type Routes } from './server.ts';
import type { SourceBudget } from './source-budget.ts';

const Counter = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Many = <T extends ReturnType<typeof Type.String> | typeof Counter>(item: T, description: string) =>
  Type.Optional(Type.Union([item, Type.Array(item, { maxItems: LIGHT_WANTS_MAX })], { description }));

/** What may be asked for in one question. */
export const ITEMS_BUT_PAYLOADS = {
  state: Many(Type.String({ pattern: '^([0-9a-f]{2}){1,112}$' }), 'state keys: kind byte and id'),
  transaction: Many(Hex32, 'ids'),
  header: Many(Counter, 'heights'),
};

/** Bytes of an answer that count as another one. */
const ANSWER_BYTES = 65_536;

/** `budget`: what serving an address may cost; without one, whoever asks is answered. */
export function lightRoutes(server: LightServer, budget?: SourceBudget): Routes {
  return (api: Api): void => {
    api.get(
      '/api/v1/light',
      {
        onRequest: async ({ raw }) => budget?.assertWelcome(budget.sourceOf(raw.socket)),
        schema: {
          summary: 'From what a light client trusts to the newest header, with proofs of what it asks for',
          description:
            'application/octet-stream as spec/light-client.md, LIGHT-9, has it: nothing in it needs to be believed. Items may be repeated in the query.',
          querystring: Type.Object({
            epoch: Type.Integer({ minimum: 0, maximum: 0xffff_ffff, description: 'that is trusted' }),
            height: Type.Optional(Counter),
            thirds: Type.Optional(
              Type.Union([Type.Literal('1'), Type.Literal('2')], {
                description: 'of the trusted weight must vouch for a later set; 2 when left out',
              }),
            ),
            nonce: Type.Optional(Hex32),
            ...ITEMS_BUT_PAYLOADS,
            payload: Many(Hex32, 'ids'),
          }),
          response: { 200: Type.Unsafe<Buffer>({ type: 'string', format: 'binary' }), '4xx': Problem },
        },
      },
      async (request, reply) => {
        const { query } = request;
        const answer = await server.answerFetching({
          epoch: epoch(query.epoch),
          height: height(query.height ?? 0),
          thirds: query.thirds === '1' ? 1 : 2,
          ...(query.nonce !== undefined && { nonce: hash32(query.nonce) }),
          wants: wantsOf(query),
        });
        budget?.charge(
          budget.sourceOf(request.raw.socket),
          answer.ok ? 1 + Math.floor(answer.value.length / ANSWER_BYTES) : 1,
        );
        // A page of another origin may compare gateways: what is shown here is for everybody.
        reply.header('access-control-allow-origin', '*');
        if (!answer.ok) return refuse(answer.code, answer.message);
        reply.type('application/octet-stream');
        return Buffer.from(answer.value);
      },
    );
  };
}

export interface Asked {
  readonly epoch: number;
  readonly height?: number;
  readonly state?: string | readonly string[];
  readonly transaction?: string | readonly string[];
  readonly payload?: string | readonly string[];
  readonly header?: number | readonly number[];
}

export function wantsOf(asked: Asked): LightWant[] {
  const wants: LightWant[] = [
    ...listOf(asked.state).map((text): LightWant => ({ kind: 'state', key: stateKeyOf(text) })),
    ...listOf(asked.transaction).map((text): LightWant => ({ kind: 'transaction', id: hash32(text) })),
    ...listOf(asked.payload).map((text): LightWant => ({ kind: 'payload', id: hash32(text) })),
    ...listOf(asked.header).map((at): LightWant => ({ kind: 'header', height: height(at) })),
  ];
  if (wants.length > LIGHT_WANTS_MAX)
    refuse('request.malformed', `expected at most ${LIGHT_WANTS_MAX} items, got ${wants.length}`);
  return wants;
}

function listOf<T extends string | number>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return typeof value === 'object' ? value : [value];
}

function stateKeyOf(text: string): StateKey {
  const bytes = fromHex(text);
  if (!bytes.ok || parseStateKey(bytes.value) === undefined)
    return refuse('request.malformed', `expected a state key, got ${text}`);
  return bytes.value as StateKey;
}
