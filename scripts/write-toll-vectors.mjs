// Writes spec/vectors/toll.json: `node scripts/write-toll-vectors.mjs` after a build.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { tollVectors } from '../packages/core/dist/testing/toll-vectors.js';

const file = fileURLToPath(new URL('../spec/vectors/toll.json', import.meta.url));
const vectors = tollVectors();
writeFileSync(file, `${JSON.stringify(vectors, undefined, 1)}\n`);
console.log(`${vectors.length} vectors in ${file}`);
