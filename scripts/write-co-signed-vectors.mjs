// Writes spec/vectors/co-signed-streams.json: `node scripts/write-co-signed-vectors.mjs` after a build.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { verifySignature } from '../packages/core/dist/crypto/verify.js';
import { coSignedVectors } from '../packages/core/dist/testing/co-signed-vectors.js';

const file = fileURLToPath(new URL('../spec/vectors/co-signed-streams.json', import.meta.url));
const { frames, vectors } = coSignedVectors(verifySignature);
const lines = (list) => list.map((one) => JSON.stringify(one)).join(',\n');
writeFileSync(file, `{"frames":[\n${lines(frames)}\n],"vectors":[\n${lines(vectors)}\n]}\n`);
