// Builds MicroQuickJS with our host, and the light client's engine as its bytecode: `node packages/core/engines/build-mquickjs.mjs`.
// Wants a C compiler (`cc`, or CC), and the engine's source: fetched with cargo, or the folder MQUICKJS names.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ENGINE = fileURLToPath(new URL('../src/light/engine/', import.meta.url));
const OUT = join(HERE, 'node_modules/.mquickjs/');
const HOST = join(OUT, process.platform === 'win32' ? 'host.exe' : 'host');

/** What runs on the chip beside the engine: streams come from its host, and codes go there; so do questions about signatures. */
const PROGRAM = `
import { I_READ, INTS, NONCE, NUMBERS, STATE_BYTES, TRUST_BYTES, WORDS } from './layout.ts';
import { begin, push } from './machine.ts';
import { setVerifier } from './host.ts';
const m = {
  bytes: new Uint8Array(STATE_BYTES),
  ints: new Int32Array(INTS),
  numbers: new Float64Array(NUMBERS),
  words: new Int32Array(WORDS),
};
const packet = new Uint8Array(250);
function tell(from, count) {
  for (let i = 0; i < count; i += 1) load(3, m.bytes[from + i]);
}
function read(to, at, count) {
  for (let i = 0; i < count; i += 1) to[at + i] = load(1);
}
setVerifier(function (_, key, message, length, signature) {
  tell(key, 32);
  tell(message, length);
  tell(signature, 64);
  return load(4) === 1;
});
function judge() {
  read(m.bytes, 0, TRUST_BYTES);
  read(m.bytes, NONCE, 32);
  const now = load(2);
  begin(m, now, load(2));
  let refused = false;
  for (let left = load(2); left > 0;) {
    const count = left < packet.length ? left : packet.length;
    read(packet, 0, count);
    left -= count;
    for (let at = 0; at < count && !refused; at += m.ints[I_READ]) {
      const code = push(m, packet, at, count);
      if (code === 0) break;
      load(5, code);
      refused = code < 0;
    }
  }
  tell(0, TRUST_BYTES);
  load(6);
}
while (load(0) === 1) judge();
`;

function run(command, args, options = {}) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', ...options });
  if (error !== undefined || status !== 0)
    throw new Error(`${command} ${args[0] ?? ''}: ${error?.message ?? stderr.trim().slice(-400)}`);
  return stdout;
}

function source() {
  if (process.env.MQUICKJS !== undefined) return process.env.MQUICKJS;
  const at = ['--locked', '--manifest-path', join(HERE, 'mquickjs/Cargo.toml')];
  run('cargo', ['fetch', ...at], { timeout: 60_000 });
  const { packages } = JSON.parse(
    run('cargo', ['metadata', '--offline', '--format-version', '1', ...at], { maxBuffer: 64 << 20 }),
  );
  const crate = packages.find(({ name }) => name === 'mquickjs-sys');
  return join(dirname(crate.manifest_path), 'vendor/mquickjs');
}

function buildHost() {
  const host = join(HERE, 'mquickjs/host.c');
  if (existsSync(HOST) && statSync(HOST).mtimeMs > statSync(host).mtimeMs) return;
  const from = source();
  const cc = process.env.CC ?? 'cc';
  const files = (...names) => names.map((name) => join(from, name));
  const table = join(OUT, 'table');
  mkdirSync(OUT, { recursive: true });
  run(cc, ['-O2', '-w', '-I', from, '-o', table, ...files('mqjs_stdlib.c', 'mquickjs_build.c')]);
  writeFileSync(join(OUT, 'mquickjs_atom.h'), run(table, ['-a']));
  writeFileSync(join(OUT, 'mqjs_stdlib.h'), run(table, []));
  const engine = files('mquickjs.c', 'cutils.c', 'dtoa.c', 'libm.c');
  run(cc, ['-O2', '-w', '-I', OUT, '-I', from, '-o', HOST, host, ...engine, '-lm']);
}

/** Host and program, with the program's size as this machine's words have it, and as a chip's of 32 bits. */
export async function buildMicroQuickJs() {
  buildHost();
  const { outputFiles } = await build({
    stdin: { contents: PROGRAM, resolveDir: ENGINE, loader: 'ts' },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2020',
  });
  // The engine knows ES5. Nothing here closes over a variable of a loop.
  const text = outputFiles[0].text.replaceAll(/\b(let|const) /g, 'var ');
  const [script, program, small] = ['light.js', 'light.bin', 'light-32.bin'].map((name) => join(OUT, name));
  writeFileSync(script, text);
  run(HOST, ['compile', script, program]);
  run(HOST, ['compile32', script, small]);
  return {
    host: HOST,
    program,
    folder: OUT,
    programBytes: readFileSync(program).length,
    programBytes32: readFileSync(small).length,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { program, programBytes, programBytes32 } = await buildMicroQuickJs();
  console.log(`${programBytes} bytes in ${program}, ${programBytes32} for 32 bits`);
}
