/** `node apps/dashboard/dist/testing/serve-fake.js [port]`: the dashboard over a fake devnet, for work on the page. */
import { fileURLToPath } from 'node:url';
import { startFakeApi } from './fake-api.ts';

const port = Number(process.argv[2] ?? 8090);
const api = await startFakeApi({ seed: 1, port, www: fileURLToPath(new URL('../www', import.meta.url)) });
console.log(`The dashboard over a fake devnet: ${api.url}`);
