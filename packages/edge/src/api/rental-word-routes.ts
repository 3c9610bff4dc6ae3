/** What devices of this gateway said about their rentals, for whoever brings it to the chain (spec EDGE-13.5). */
import { Type } from 'typebox';
import { toHex } from '@itc/core/bytes/hex.js';
import { AddressText, Hex, Hex32 } from '@itc/node/api/schemas.js';
import type { Routes } from '@itc/node/api/server.js';
import type { Gateway } from '../gateway.ts';

const Word = Type.Object({
  rental: Hex32,
  event: Type.Union([Type.Literal('started'), Type.Literal('used'), Type.Literal('stopped')]),
  at: Type.Integer({ minimum: 0, description: 'milliseconds since 1970' }),
  uses: Type.Integer({ minimum: 0 }),
  word: Hex,
});

export function rentalWordRoutes(gateway: Pick<Gateway, 'rentalWords'>): Routes {
  return (api) => {
    api.get(
      '/api/v1/rentals/devices/:device/words',
      {
        schema: {
          summary: 'What a device of this gateway last said about its rental',
          description:
            '`word` is the device’s signed payload: the body of rental-start, rental-use or rental-stop.',
          params: Type.Object({ device: AddressText }),
          response: { 200: Type.Object({ words: Type.Array(Word) }) },
        },
      },
      (request) => ({
        words: gateway.rentalWords(request.params.device).map(({ rental, event, at, uses, bytes }) => ({
          rental: toHex(rental),
          event,
          at,
          uses,
          word: toHex(bytes),
        })),
      }),
    );
  };
}
