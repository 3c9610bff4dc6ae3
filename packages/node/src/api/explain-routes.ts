/** One route: what became of something, and why (spec SUBNET-5). */
import { Type } from 'typebox';
import { explain, type ExplainPort } from '../runtime/explain.ts';
import { hash32 } from './chain-routes.ts';
import { Count, Hex32, LevelNumber } from './schemas.ts';
import type { Routes } from './server.ts';

const STATES = [
  'unknown',
  'waiting',
  'pending',
  'lazy',
  'unsolid',
  'accepted',
  'evicted',
  'ignored',
  'refused',
  'final',
] as const;
const KINDS = ['transaction', 'payload', 'envelope', 'unknown'] as const;

const ExplainAnswer = Type.Object({
  id: Hex32,
  kind: Type.Unsafe<(typeof KINDS)[number]>({ type: 'string', enum: [...KINDS] }),
  state: Type.Unsafe<(typeof STATES)[number]>({ type: 'string', enum: [...STATES] }),
  reason: Type.String(),
  expectedMs: Type.Optional(Type.Integer({ minimum: 0, description: 'until it is expected to be final' })),
  height: Type.Optional(Count),
  checkpoint: Type.Optional(Count),
  envelope: Type.Optional(Hex32),
  approvedBy: Type.Optional(Type.Array(Type.String())),
  weight: Type.Optional(Count),
  needed: Type.Optional(Count),
  level: Type.Optional(LevelNumber),
  levelNeeded: Type.Optional(LevelNumber),
});

export function explainRoutes(port: ExplainPort): Routes {
  return (api) => {
    api.get(
      '/api/v1/explain/:id',
      {
        schema: {
          summary: 'What became of a transaction, a payload or an envelope, and why',
          params: Type.Object({ id: Hex32 }),
          response: { 200: ExplainAnswer },
        },
      },
      (request) => {
        const { approvedBy, ...rest } = explain(port, hash32(request.params.id));
        return { id: request.params.id, ...rest, ...(approvedBy && { approvedBy: [...approvedBy] }) };
      },
    );
  };
}
