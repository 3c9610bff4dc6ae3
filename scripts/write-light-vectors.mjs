// Writes spec/vectors/light-streams.json: `node scripts/write-light-vectors.mjs` after a build.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { driveMachine } from '../packages/core/dist/testing/light-drive.js';
import { lightVectors } from '../packages/core/dist/testing/light-vectors.js';

const file = fileURLToPath(new URL('../spec/vectors/light-streams.json', import.meta.url));
const vectors = lightVectors(driveMachine);
writeFileSync(file, `${JSON.stringify(vectors, undefined, 1)}\n`);
console.log(`${vectors.length} vectors in ${file}`);
