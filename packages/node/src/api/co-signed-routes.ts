/** For clients that demand co-signatures: the stream, and who has co-signed what (spec QUANTUM-4). */
import { toHex } from '@itc/core/bytes/hex.js';
import { idText } from '@itc/core/bytes/id-text.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { headerHash } from '@itc/core/ledger/block.js';
import { coSignersQuorum, hasCoSigner } from '@itc/core/ledger/co-signers.js';
import { epoch, height } from '@itc/core/ledger/ids.js';
import { Type } from 'typebox';
import type { Chain } from '../runtime/chain.ts';
import { CoSignedServer, NOT_CO_SIGNED } from '../runtime/co-signed-server.ts';
import type { CoSigning } from '../runtime/co-signing.ts';
import { ITEMS_BUT_PAYLOADS, wantsOf } from './light-routes.ts';
import { Problem } from './schemas.ts';
import { refuse, type Api, type Routes } from './server.ts';
import type { SourceBudget } from './source-budget.ts';

const Counter = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const CoSignaturesAnswer = Type.Object({
  height: Type.Integer({ description: 'of the newest checkpoint that enough have co-signed' }),
  hash: Type.String(),
  epoch: Type.Integer(),
  weight: Type.Integer({ description: 'that has co-signed, as far as was gathered' }),
  needed: Type.Integer(),
  total: Type.Integer(),
  coSigners: Type.Array(
    Type.Object({
      weight: Type.Integer(),
      key: Type.Optional(Type.String({ description: 'address of the ML-DSA-44 key' })),
      hasSigned: Type.Boolean(),
    }),
    { description: 'in the order of the validators' },
  ),
});

/** Bytes of an answer that count as another one. */
const ANSWER_BYTES = 65_536;

/** `budget`: what serving an address may cost; without one, whoever asks is answered. */
export function coSignedRoutes(chain: Chain, coSigning: CoSigning, budget?: SourceBudget): Routes {
  const server = new CoSignedServer(chain, coSigning);
  return (api: Api): void => {
    api.get(
      '/api/v1/light/co-signed',
      {
        onRequest: async ({ raw }) => budget?.assertWelcome(budget.sourceOf(raw.socket)),
        schema: {
          summary:
            'From the co-signers a client trusts to the newest co-signed checkpoint, with proofs of what it asks for',
          description:
            'application/octet-stream as spec/quantum.md, QUANTUM-3, has it: ML-DSA-44 signatures of validators, and nothing that needs to be believed.',
          querystring: Type.Object({
            epoch: Type.Integer({
              minimum: 0,
              maximum: 0xffff_ffff,
              description: 'whose co-signers are trusted',
            }),
            height: Type.Optional(Counter),
            ...ITEMS_BUT_PAYLOADS,
          }),
          response: { 200: Type.Unsafe<Buffer>({ type: 'string', format: 'binary' }), '4xx': Problem },
        },
      },
      (request, reply) => {
        const { query } = request;
        const answer = server.answer({
          epoch: epoch(query.epoch),
          height: height(query.height ?? 0),
          wants: wantsOf(query).flatMap((want) => (want.kind === 'payload' ? [] : [want])),
        });
        const cost = answer.ok ? 1 + Math.floor(answer.value.length / ANSWER_BYTES) : 1;
        budget?.charge(budget.sourceOf(request.raw.socket), cost);
        // What is shown here is for everybody, a page of another origin included.
        reply.header('access-control-allow-origin', '*');
        if (!answer.ok) return refuse(answer.code, answer.message);
        reply.type('application/octet-stream');
        return Buffer.from(answer.value);
      },
    );
    api.get(
      '/api/v1/co-signatures',
      {
        schema: {
          summary: 'The newest checkpoint that validators have co-signed, and who has',
          response: { 200: CoSignaturesAnswer, '4xx': Problem },
        },
      },
      () => {
        const newest = coSigning.newest();
        if (newest === undefined) return refuse('not-ready', NOT_CO_SIGNED);
        const { header, coSigners } = newest;
        const signed = new Set(
          coSigning.store.entry(header.height)?.signatures.map(({ signer }) => idText(signer)),
        );
        const members = coSigners.members.map((member) => ({
          weight: member.weight,
          ...(hasCoSigner(member) && { key: formatAddress(member.key) }),
          hasSigned: signed.has(idText(member.key)),
        }));
        const sum = (of: readonly { readonly weight: number }[]): number =>
          of.reduce((total, { weight }) => total + weight, 0);
        return {
          height: header.height,
          hash: toHex(headerHash(header)),
          epoch: header.epoch,
          weight: sum(members.filter(({ hasSigned }) => hasSigned)),
          needed: coSignersQuorum(coSigners),
          total: sum(members),
          coSigners: members,
        };
      },
    );
  };
}
