/**
 * What a client found: two votes of one validator that contradict each other (spec LIGHT-4.3, CLIENT-14.9). A client may have no account, so a
 * node that can pay brings it before the ledger; a lie costs whoever sends it, as every signature that does not hold does.
 */
import { equalBytes, fromHex } from '@itc/core/bytes/hex.js';
import { decode } from '@itc/core/bytes/reader.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { voteSigningBytes } from '@itc/core/ledger/block.js';
import { readEvidence, type Accusation, type Evidence } from '@itc/core/ledger/evidence.js';
import { Type } from 'typebox';
import type { Accuser } from '../runtime/accuser.ts';
import type { Chain } from '../runtime/chain.ts';
import { Problem } from './schemas.ts';
import { refuse, type Api, type Routes } from './server.ts';
import type { SourceBudget } from './source-budget.ts';

export interface EvidencePort {
  readonly chain: Pick<Chain, 'id' | 'state'>;
  readonly verify: SignatureVerifier;
  readonly accuser: Pick<Accuser, 'accuse'>;
  readonly sources: SourceBudget;
}

type CommitEvidence = Exclude<Evidence, { kind: 'checkpoint' }>;

/** Two votes of 32 + 64 bytes, and what they are about. */
const EVIDENCE_HEX_MAX = 1_024;

export function evidenceRoutes(port: EvidencePort): Routes {
  return (api: Api): void => {
    api.post(
      '/api/v1/evidence',
      {
        onRequest: async ({ raw }) => port.sources.assertWelcome(port.sources.sourceOf(raw.socket)),
        schema: {
          summary: 'Two commit votes of one validator for two blocks of one height and view',
          description:
            '`evidence` as in a transaction of that kind (spec WIRE-3), in hex. Whoever wants to be sure sends that transaction.',
          body: Type.Object({ evidence: Type.String({ maxLength: EVIDENCE_HEX_MAX }) }),
          response: { 200: Type.Object({ taken: Type.Boolean() }), '4xx': Problem },
        },
      },
      (request, reply) => {
        reply.header('access-control-allow-origin', '*');
        const evidence = evidenceIn(request.body.evidence);
        const held = holds(port, evidence);
        if (held !== undefined) {
          port.sources.refused(port.sources.sourceOf(request.raw.socket), held);
          return refuse(held, 'the votes are not those of a validator that has something to lose');
        }
        port.accuser.accuse(evidence.culprit, accusationOf(evidence), 0);
        return { taken: true };
      },
    );
  };
}

function evidenceIn(hex: string): CommitEvidence {
  const bytes = fromHex(hex);
  const read = bytes.ok ? decode(readEvidence, bytes.value) : bytes;
  if (!read.ok || read.value.kind !== 'commit')
    return refuse('request.malformed', 'expected evidence of two commit votes, in hex');
  if (equalBytes(read.value.first.hash, read.value.second.hash))
    return refuse('evidence.malformed', 'expected two votes that differ, got one of them twice');
  return read.value;
}

function holds(
  { chain, verify }: EvidencePort,
  evidence: CommitEvidence,
): 'validator.unknown' | 'validator.jailed' | 'evidence.signature' | undefined {
  const { culprit, epoch, view, height } = evidence;
  const accused = chain.state.validatorOf(culprit);
  if (accused === undefined) return 'validator.unknown';
  if (accused.validator.jailed) return 'validator.jailed';
  const isSigned = [evidence.first, evidence.second].every(({ hash, signature }) =>
    verify(culprit, voteSigningBytes('commit', { chain: chain.id, epoch, view, height, hash }), signature),
  );
  return isSigned ? undefined : 'evidence.signature';
}

function accusationOf({ epoch, view, height, first, second }: CommitEvidence): Accusation {
  const vote = { kind: 'commit', epoch, view, height } as const;
  return { kind: 'vote', first: { ...vote, ...first }, second: { ...vote, ...second } };
}
