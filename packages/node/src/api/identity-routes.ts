/** Routes about who acts for an account or a device: DID documents, with the proof that makes them worth believing. */
import { Type } from 'typebox';
import { toHex } from '@itc/core/bytes/hex.js';
import { didDocument, parseDid } from '@itc/core/ledger/did.js';
import { encodeIdentityProof, proveIdentity } from '@itc/core/light/identity-proof.js';
import type { Chain } from '../runtime/chain.ts';
import { readable, type Hops } from '../runtime/hops.ts';
import { Problem } from './schemas.ts';
import { refuse, type Routes } from './server.ts';

export interface IdentityPort {
  readonly chain: Chain;
  readonly hops: Hops;
}

const DidAnswer = Type.Object({
  document: Type.Object({}, { additionalProperties: true, description: 'W3C DID document' }),
  height: Type.Integer({ description: 'of the header whose state was asked' }),
  proof: Type.String({ description: 'base64url of the identity proof (spec WIRE-9.6)' }),
});

export function identityRoutes(port: IdentityPort): Routes {
  const { chain, hops } = port;
  return (api) => {
    api.get(
      '/api/v1/did/:did',
      {
        schema: {
          summary: 'DID document of an account or a device, with proof',
          description:
            'The document is what the proof says (spec DID-2); who does not trust this node makes it from the proof, as the client does.',
          params: Type.Object({ did: Type.String({ maxLength: 80 }) }),
          response: { 200: DidAnswer, 400: Problem, 503: Problem },
        },
      },
      (request) => {
        const did = parseDid(request.params.did);
        if (!did.ok) return refuse(did.code, did.message);
        if (did.value.method !== 'itc')
          return refuse('address.malformed', 'a did:key resolves to itself, without a ledger');
        const { address } = did.value;
        const { tip } = chain;
        const certificate = tip === undefined ? undefined : chain.blockAt(tip.height)?.certificate;
        const state = tip === undefined ? undefined : chain.stateUnder(tip.height);
        if (tip === undefined || certificate === undefined || state === undefined)
          return refuse('not-ready', 'the first block has not been committed yet');
        const linked = { header: tip, certificate, hops: hops.to({ header: tip, certificate }) };
        const proof = proveIdentity({ ...linked, tree: state.tree, address });
        const records = {
          address,
          chain: toHex(chain.id),
          keys: state.keys(address),
          guardians: state.guardians(address),
          device: state.device(address),
        };
        return {
          document: { ...didDocument(records) },
          height: tip.height,
          proof: Buffer.from(readable(encodeIdentityProof(proof))).toString('base64url'),
        };
      },
    );
  };
}
