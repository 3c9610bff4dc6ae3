/** Published test vectors beside the repository, read in place; tests skip where they are absent. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

/** From dist/testing of this package. */
const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/** A file of this repository. */
export function repositoryText(path: string): string {
  return readFileSync(`${ROOT}${path}`, 'utf8');
}

/** For the `skip` option of a test: false, or why it cannot run. */
export function unlessVectors(folder: string): false | string {
  return existsSync(`${ROOT}../shared/vectors/${folder}`) ? false : `../shared/vectors/${folder} is absent`;
}

export function vectorJson(path: string): unknown {
  const bytes = readFileSync(`${ROOT}../shared/vectors/${path}`);
  return JSON.parse((path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8'));
}

/** All JSON files below a folder, as paths for `vectorJson`, in a fixed order. */
export function vectorPaths(folder: string): string[] {
  const found: string[] = [];
  for (const name of readdirSync(`${ROOT}../shared/vectors/${folder}`).sort()) {
    const path = `${folder}/${name}`;
    if (statSync(`${ROOT}../shared/vectors/${path}`).isDirectory()) found.push(...vectorPaths(path));
    else if (name.endsWith('.json')) found.push(path);
  }
  return found;
}
